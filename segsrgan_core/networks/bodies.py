"""Bodies of the generators, written once for all libraries that run them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

EPSILON = 1e-3  # added to the variance in an instance normalisation
# Log-odds of the background at scores of 0. Without it a head without bias, on features that are never negative, first
# has to learn that most voxels are background.
BACKGROUND = 2.0


class Blocks(ABC):
    """Building blocks of one network: five operations of a library, and units composed of them.

    Features are whatever the library computes with; each operation returns new features.
    """

    @abstractmethod
    def conv(self, x: Any, channels: int, kernel: int = 3, stride: int = 1) -> Any:
        """Convolve without bias; the grid is kept or halved (stride 2, then padded with zeros)."""

    @abstractmethod
    def upsampled_conv(self, x: Any, channels: int) -> Any:
        """Upsample by 2 (nearest neighbour) and convolve with a 3^3 kernel."""

    @abstractmethod
    def joined_conv(self, x: Any, skip: Any, channels: int) -> Any:
        """Upsample `x` by 2, append the channels of `skip`, and convolve with a 3^3 kernel."""

    @abstractmethod
    def normalise(self, x: Any, relu: bool = False) -> Any:
        """Normalise each channel over its voxels, scale and shift it; with `relu` set what is negative to 0."""

    @abstractmethod
    def add(self, x: Any, y: Any) -> Any:
        """Sum of two features."""

    def unit(self, x: Any, channels: int, kernel: int = 3, stride: int = 1) -> Any:
        """Convolution, instance normalisation, ReLU."""
        return self.normalise(self.conv(x, channels, kernel, stride), relu=True)

    def residual(self, x: Any, channels: int) -> Any:
        """Residual block: two convolutions and a shortcut; no ReLU after the sum."""
        return self.add(x, self.normalise(self.conv(self.unit(x, channels), channels)))


def residual_body(blocks: Blocks, x: Any, k: int, kernel: int) -> Any:
    """Body of the published SegSRGAN generator (Delannoy et al. 2020): 2 strided levels, 6 residual blocks at 4k."""
    x = blocks.unit(x, k, kernel)
    x = blocks.unit(x, 2 * k, stride=2)
    x = blocks.unit(x, 4 * k, stride=2)
    for _ in range(6):
        x = blocks.residual(x, 4 * k)
    for channels in (2 * k, k):
        x = blocks.normalise(blocks.upsampled_conv(x, channels), relu=True)
    return x


def unet_body(blocks: Blocks, x: Any, k: int, kernel: int) -> Any:
    """Body of a U-Net (Cicek et al. 2016) with strided convolutions, instance normalisation and three levels."""
    x = blocks.unit(x, k, kernel)
    skips = []
    for channels in (2 * k, 4 * k, 8 * k):
        skips.append(x)
        x = blocks.unit(blocks.unit(x, channels, stride=2), channels)
    for channels in (4 * k, 2 * k, k):
        x = blocks.normalise(blocks.joined_conv(blocks.unit(x, channels), skips.pop(), channels), relu=True)
    return blocks.unit(x, k)


Body = Callable[[Blocks, Any, int, int], Any]
# Of each generator; the scores of several are averaged.
BODIES: dict[str, tuple[Body, ...]] = {
    "residual": (residual_body,),
    "unet": (unet_body,),
    "two_unets": (unet_body, unet_body),
}
