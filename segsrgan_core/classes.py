"""Classes of a segmentation: tissues of drawem9, and hemispheres.

The channels of a segmentation form groups of probabilities: the tissues (one channel for a single tissue, otherwise one
per tissue after the background), then, with hemispheres: outside, left, right.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import special

from segsrgan_core.errors import UserError

# The nine tissues of the dHCP structural pipeline, `*_desc-drawem9_dseg.nii.gz` (Makropoulos et al. 2018).
# 0 is outside the labelled field.
_TISSUES = "csf cortex white background ventricles cerebellum deep_grey brainstem hippocampi_amygdala"
DRAWEM9: dict[int, str] = dict(enumerate(_TISSUES.split(), start=1))
NUMBERS = {name: number for number, name in DRAWEM9.items()}
SIDES = ("left", "right")
LEAST = 1e-4  # least probability that is told from 0


def main_tissue(names: Iterable[str]) -> str:
    """Return the tissue out of several by which a result is judged: the cortex, or else the first one."""
    names = list(names)
    return "cortex" if "cortex" in names else names[0]


def log_probabilities(named: np.ndarray) -> np.ndarray:
    """Return the logarithms (..., 1 + n) of the background's and the n named classes' probabilities (..., n)."""
    return np.log(np.maximum(np.concatenate([1 - named.sum(-1, keepdims=True), named], -1), LEAST))


@dataclass(frozen=True)
class Classes:
    """An ordered choice of tissues; everything else is the background, class 0.

    A UserError tells of no name, an unknown one, or one that stands twice.
    """

    names: tuple[str, ...]  # of the tissues, class 1 first
    hemispheres: bool = False  # also split the content of the skull into left and right

    def __post_init__(self):
        unknown = [name for name in self.names if name not in NUMBERS]
        if unknown or not self.names or len(set(self.names)) < len(self.names):
            raise UserError(f"model.classes: {list(self.names)} are not different names out of {sorted(NUMBERS)}.")

    @property
    def numbers(self) -> dict[str, int]:
        """Drawem9 number of each class."""
        return {name: NUMBERS[name] for name in self.names}

    @property
    def tissue_channels(self) -> int:
        """Number of channels of the tissues: 1 (sigmoid) for one class, else with the background (softmax)."""
        return 1 if len(self.names) == 1 else 1 + len(self.names)

    @property
    def main_channel(self) -> int:
        """Channel of the `main_tissue`."""
        return self.tissue_channels - len(self.names) + self.names.index(main_tissue(self.names))

    @property
    def channel_names(self) -> list[str]:
        """What each channel is the probability of; "rest" is whatever is none of several tissues."""
        rest = ["rest"] if len(self.names) > 1 else []
        return [*rest, *self.names, *(("outside", *SIDES) if self.hemispheres else ())]

    @property
    def groups(self) -> tuple[int, ...]:
        """Number of channels of each group."""
        return (self.tissue_channels, 1 + len(SIDES)) if self.hemispheres else (self.tissue_channels,)

    @property
    def channels(self) -> int:
        """Number of channels of the segmentation."""
        return sum(self.groups)

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Return the class indices of drawem9 numbers, uint8 of the same shape."""
        table = np.zeros(max(256, int(labels.max()) + 1), np.uint8)
        for index, name in enumerate(self.names, start=1):
            table[NUMBERS[name]] = index
        return table[labels]

    def one_hot(self, labels: np.ndarray, sides: np.ndarray | None = None) -> np.ndarray:
        """Return label maps as the truth of the network's segmentation, float32 (X, Y, Z, channels).

        `labels` are drawem9 numbers, uint8 (X, Y, Z); with hemispheres, `sides` are 1 left, 2 right, uint8 (X, Y, Z).
        """
        n = self.tissue_channels
        truth = self.encode(labels)[..., None] == np.arange(n) + (n == 1)
        if self.hemispheres:
            truth = np.concatenate([truth, sides[..., None] == np.arange(1 + len(SIDES))], axis=-1)
        return truth.astype(np.float32)

    def calibrate(self, probabilities: np.ndarray, temperature: float, biases: dict[str, float]) -> None:
        """Replace the tissues' p by softmax((log p + bias) / temperature), in place (Guo et al. 2017, section 4.2).

        Probabilities are float32 (X, Y, Z, channels); a background's own channel is not changed. The temperature, above
        1 for a network that is too sure, changes no label. Biases go by class, the background's is 0; -log(t / (1 - t))
        of a single class is a threshold of t.
        """
        shift = np.float32([0, *(biases.get(name, 0) for name in self.names)])
        for named in self._named(probabilities):  # planes, which the processor holds close
            seen = named.sum(-1) > LEAST  # elsewhere all is background
            logits = (log_probabilities(named[seen]) + shift) / np.float32(temperature)
            named[seen] = special.softmax(logits, -1)[:, 1:] * (named[seen] > 0)  # outside the skull it stays 0

    def decode(self, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `most_likely` of probabilities, (X, Y, Z, channels)."""
        return self.most_likely(np.moveaxis(self._named(probabilities), -1, 0))

    def most_likely(self, named: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the drawem9 number of the likeliest class, uint8, 0 for the background, and its probability, float32.

        `named` are the probabilities of the named classes, float32 (X, Y, Z), one after the other.
        """
        labels, best, total = np.uint8(0), np.float32(0), np.float32(0)
        for number, p in zip(self.numbers.values(), named, strict=True):
            labels = np.where(p > best, np.uint8(number), labels)
            best, total = np.maximum(best, p), total + p
        background = 1 - total
        return np.where(background >= best, np.uint8(0), labels), np.maximum(best, background)

    def _named(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities[..., self.tissue_channels - len(self.names) : self.tissue_channels]

    def votes(self, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what probabilities (X, Y, Z, channels) say about the hemispheres; None without them.

        It is bool (X, Y, Z), within the skull; float32 (X, Y, Z), probability of right minus probability of left.
        """
        if not self.hemispheres:
            return None
        _, left, right = np.moveaxis(probabilities[..., self.tissue_channels :], -1, 0)
        return left + right > 0.5, right - left  # all 0 where the network was not run

    def of(self, probabilities: np.ndarray) -> dict[str, np.ndarray]:
        """Return the probability of each named class, float32 (X, Y, Z)."""
        return dict(zip(self.names, np.moveaxis(self._named(probabilities), -1, 0), strict=True))
