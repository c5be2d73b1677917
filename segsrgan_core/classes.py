"""The classes that a network segments: names of drawem9 tissues, and left and right.

A segmentation's channels come in groups, each a set of probabilities of its own: the tissues (one channel for a single
tissue, else one each with the background first), then, where wished, outside, left and right hemisphere.
"""

from dataclasses import dataclass

import numpy as np

from segsrgan_core.errors import UserError

# The nine tissues of the dHCP structural pipeline, `*_desc-drawem9_dseg.nii.gz` (Makropoulos et al. 2018).
# 0 is outside of the labelled field.
DRAWEM9: dict[int, str] = {
    1: "csf",
    2: "cortex",
    3: "white",
    4: "background",
    5: "ventricles",
    6: "cerebellum",
    7: "deep_grey",
    8: "brainstem",
    9: "hippocampi_amygdala",
}
NUMBERS = {name: number for number, name in DRAWEM9.items()}
SIDES = ("left", "right")


@dataclass(frozen=True)
class Classes:
    """An ordered choice of tissues; whatever is none of them is the background, class 0.

    Attributes:
        names: of the tissues, class 1 first.
        hemispheres: whether the content of the skull is also split into left and right.
    """

    names: tuple[str, ...]
    hemispheres: bool = False

    def __post_init__(self):
        unknown = [name for name in self.names if name not in NUMBERS]
        if unknown or not self.names or len(set(self.names)) < len(self.names):
            raise UserError(
                f"model.classes: expected different names of {sorted(NUMBERS)}; received {list(self.names)}."
            )

    @property
    def numbers(self) -> dict[str, int]:
        """The drawem9 number of each class."""
        return {name: NUMBERS[name] for name in self.names}

    @property
    def tissue_channels(self) -> int:
        """Channels of the tissues: 1 (sigmoid) for one class, else with the background (softmax)."""
        return 1 if len(self.names) == 1 else 1 + len(self.names)

    @property
    def groups(self) -> tuple[int, ...]:
        """Channels of each group."""
        return (self.tissue_channels, 1 + len(SIDES)) if self.hemispheres else (self.tissue_channels,)

    @property
    def channels(self) -> int:
        """Channels of the network's segmentation."""
        return sum(self.groups)

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Turn drawem9 numbers into class indices, uint8 of the same shape."""
        table = np.zeros(max(256, int(labels.max()) + 1), np.uint8)
        for index, name in enumerate(self.names, start=1):
            table[NUMBERS[name]] = index
        return table[labels]

    def one_hot(self, labels: np.ndarray, sides: np.ndarray | None = None) -> np.ndarray:
        """Turn label maps into the truth of the network's segmentation.

        Args:
            labels: uint8 (X, Y, Z), drawem9 numbers.
            sides: uint8 (X, Y, Z), 1 left, 2 right; needed with `hemispheres`.

        Returns:
            float32 (X, Y, Z, channels).
        """
        n = self.tissue_channels
        truth = self.encode(labels)[..., None] == np.arange(n) + (n == 1)
        if self.hemispheres:
            truth = np.concatenate([truth, sides[..., None] == np.arange(1 + len(SIDES))], axis=-1)
        return truth.astype(np.float32)

    def decode(self, probabilities: np.ndarray, threshold: float = 0.5) -> np.ndarray:
        """Turn probabilities into drawem9 numbers.

        Args:
            probabilities: float32 (X, Y, Z, channels).
            threshold: of the one class; several classes are decided by the largest probability.

        Returns:
            uint8 (X, Y, Z), 0 for the background.
        """
        if self.tissue_channels == 1:
            indices = (probabilities[..., 0] > threshold).astype(np.uint8)
        else:
            indices = np.argmax(probabilities[..., : self.tissue_channels], axis=-1)
        return np.array([0, *(NUMBERS[name] for name in self.names)], np.uint8)[indices]

    def votes(self, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what probabilities (X, Y, Z, channels) say of the hemispheres; None without them.

        Returns:
            bool (X, Y, Z): within the skull; float32 (X, Y, Z): probability of right less that of left.
        """
        if not self.hemispheres:
            return None
        _, left, right = np.moveaxis(probabilities[..., self.tissue_channels :], -1, 0)
        return left + right > 0.5, right - left  # all are 0 where the network was not run

    def of(self, probabilities: np.ndarray) -> dict[str, np.ndarray]:
        """Return the probability of each named class, float32 (X, Y, Z)."""
        first = 0 if self.tissue_channels == 1 else 1
        return {name: probabilities[..., first + i] for i, name in enumerate(self.names)}
