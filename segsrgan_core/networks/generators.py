"""Generators: from an interpolated image to a high-resolution image and class probabilities.

Input: (B, X, Y, Z, 1), the interpolated image divided by its intensity scale; with `thickness_channel`, a second
channel that holds the slice thickness in mm in every voxel. Output: float32 (B, X, Y, Z, 1 + n_classes).
X, Y and Z are multiples of 4 (residual) or 8 (unet).
"""

from collections.abc import Callable

import keras

from segsrgan_core.networks.convolutions import Convolution, UpsamplingConvolution, UpsamplingJoin
from segsrgan_core.networks.layers import ImageAndClasses, InstanceNormalization


class Blocks:
    """Building blocks of one network, with one precision and one padding.

    Args:
        policy: Keras dtype policy, "float32" or "mixed_bfloat16".
        padding: "reflect" (as published) or "zero" (faster).
        seed: seed of the initial weights; each layer has its own.
    """

    def __init__(self, policy: str, padding: str, seed: int):
        if padding not in ("reflect", "zero"):
            raise ValueError(f"padding: expected 'reflect' or 'zero'. Received: padding={padding!r}")
        self.policy, self.padding, self._seed = policy, padding, seed

    def conv(self, x, channels: int, kernel: int = 3, stride: int = 1, scale: float = 1.0, layer=Convolution):
        """Convolution without bias; `scale` is that of the variance of the initial weights."""
        self._seed += 1
        initial = keras.initializers.VarianceScaling(scale, "fan_avg", "uniform", seed=self._seed)
        return layer(channels, kernel, stride, self.padding, initial, dtype=self.policy)(x)

    def normalise(self, x, relu: bool = False):
        """Instance normalisation."""
        return InstanceNormalization(relu=relu, dtype=self.policy)(x)

    def unit(self, x, channels: int, kernel: int = 3, stride: int = 1, layer=Convolution):
        """Convolution, instance normalisation, ReLU; the grid is kept or halved (stride 2)."""
        return self.normalise(self.conv(x, channels, kernel, stride, layer=layer), relu=True)

    def upsampled_unit(self, x, channels: int):
        """A unit after nearest-neighbour upsampling by 2."""
        return self.unit(x, channels, layer=UpsamplingConvolution)

    def residual(self, x, channels: int):
        """Residual block: two convolutions and a shortcut; no ReLU after the sum."""
        y = self.normalise(self.conv(self.unit(x, channels), channels))
        return keras.layers.Add(dtype=self.policy)([x, y])

    def joined_unit(self, x, skip, channels: int):
        """A unit on the channels of `x`, upsampled by 2, and of a skip connection."""
        return self.unit([x, skip], channels, layer=UpsamplingJoin)


def residual_body(blocks: Blocks, x, k: int, kernel: int):
    """Body of the published SegSRGAN generator (Delannoy et al. 2020): 2 strided levels, 6 residual blocks at 4k."""
    x = blocks.unit(x, k, kernel)
    x = blocks.unit(x, 2 * k, stride=2)
    x = blocks.unit(x, 4 * k, stride=2)
    for _ in range(6):
        x = blocks.residual(x, 4 * k)
    for channels in (2 * k, k):
        x = blocks.upsampled_unit(x, channels)
    return x


def unet_body(blocks: Blocks, x, k: int, kernel: int):
    """Body of a U-Net (Cicek et al. 2016) with strided convolutions, instance normalisation and three levels."""
    x = blocks.unit(x, k, kernel)
    skips = []
    for channels in (2 * k, 4 * k, 8 * k):
        skips.append(x)
        x = blocks.unit(blocks.unit(x, channels, stride=2), channels)
    for channels in (4 * k, 2 * k, k):
        x = blocks.joined_unit(blocks.unit(x, channels), skips.pop(), channels)
    return blocks.unit(x, k)


HEAD_SCALE = 0.01  # of the initial weights of the last convolution: training starts near the interpolated image
BODIES: dict[str, Callable] = {"residual": residual_body, "unet": unet_body}


def build_generator(
    name: str = "residual",
    k: int = 16,
    n_classes: int = 1,
    hemispheres: bool = False,
    thickness_channel: bool = False,
    kernel: int = 7,
    padding: str = "reflect",
    policy: str = "float32",
    seed: int = 0,
) -> keras.Model:
    """Build a generator.

    Args:
        name: "residual" (the published one) or "unet".
        k: channels at full resolution; multiples of 16 are fastest.
        n_classes: 1 for one structure (sigmoid), or the number of classes including the background (softmax).
        hemispheres: add three channels of probabilities: outside, left, right.
        thickness_channel: add a second input channel with the distance between slices in mm.
        kernel: edge of the first and the last convolution, in voxels; 7 as published.
        padding: "reflect" (as published) or "zero".
        policy: Keras dtype policy of the convolutions.
        seed: seed of the initial weights.

    Returns:
        A Keras model for any patch size that is a multiple of its strides.

    Raises:
        ValueError: an unknown name, or a width or class number below 1.
    """
    if name not in BODIES:
        raise ValueError(f"generator: expected one of {sorted(BODIES)}. Received: name={name!r}")
    if k < 1 or n_classes < 1:
        raise ValueError(f"generator: expected k >= 1 and n_classes >= 1. Received: k={k}, n_classes={n_classes}")
    blocks = Blocks(policy, padding, seed)
    inputs = keras.Input((None, None, None, 1 + thickness_channel), name="interpolated")
    features = BODIES[name](blocks, inputs, k, kernel)
    groups = (n_classes, 3) if hemispheres else (n_classes,)
    scores = blocks.conv(features, 1 + sum(groups), kernel, scale=HEAD_SCALE)
    outputs = ImageAndClasses(groups, dtype="float32", name="image_and_classes")(scores, inputs)
    return keras.Model(inputs, outputs, name=f"generator_{name}")
