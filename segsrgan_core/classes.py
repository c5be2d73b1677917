"""The classes that a network segments, as names of drawem9 tissues."""

from dataclasses import dataclass

import numpy as np

from segsrgan_core.cohorts.labels import DRAWEM9
from segsrgan_core.errors import UserError

NUMBERS = {name: number for number, name in DRAWEM9.items()}


@dataclass(frozen=True)
class Classes:
    """An ordered choice of tissues; whatever is none of them is the background, class 0.

    Attributes:
        names: of the tissues, class 1 first.
    """

    names: tuple[str, ...]

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
    def channels(self) -> int:
        """Channels of the network's segmentation: 1 (sigmoid) for one class, else with the background (softmax)."""
        return 1 if len(self.names) == 1 else 1 + len(self.names)

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Turn drawem9 numbers into class indices, uint8 of the same shape."""
        table = np.zeros(max(256, int(labels.max()) + 1), np.uint8)
        for index, name in enumerate(self.names, start=1):
            table[NUMBERS[name]] = index
        return table[labels]

    def one_hot(self, labels: np.ndarray) -> np.ndarray:
        """Turn drawem9 numbers (X, Y, Z) into the truth of the network's segmentation, float32 (X, Y, Z, channels)."""
        classes = self.encode(labels)
        return (classes[..., None] == np.arange(self.channels) + (self.channels == 1)).astype(np.float32)

    def decode(self, probabilities: np.ndarray, threshold: float = 0.5) -> np.ndarray:
        """Turn probabilities into drawem9 numbers.

        Args:
            probabilities: float32 (X, Y, Z, channels).
            threshold: of the one class; several classes are decided by the largest probability.

        Returns:
            uint8 (X, Y, Z), 0 for the background.
        """
        if self.channels == 1:
            indices = (probabilities[..., 0] > threshold).astype(np.uint8)
        else:
            indices = np.argmax(probabilities, axis=-1)
        return np.array([0, *(NUMBERS[name] for name in self.names)], np.uint8)[indices]

    def of(self, probabilities: np.ndarray) -> dict[str, np.ndarray]:
        """Return the probability of each named class, float32 (X, Y, Z)."""
        first = 0 if self.channels == 1 else 1
        return {name: probabilities[..., first + i] for i, name in enumerate(self.names)}
