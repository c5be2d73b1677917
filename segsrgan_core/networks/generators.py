"""Generators: from an interpolated image to a high-resolution image and class probabilities.

Input: (B, X, Y, Z, 1), the interpolated image divided by its intensity scale; with `thickness_channel`, a second
channel that holds the slice thickness in mm in every voxel. Output: float32 (B, X, Y, Z, 1 + n_classes).
X, Y and Z are multiples of 4 (residual) or 8 (the others).
"""

import keras

from segsrgan_core.networks.bodies import BODIES, Blocks, Body
from segsrgan_core.networks.convolutions import Convolution, UpsamplingConvolution, UpsamplingJoin
from segsrgan_core.networks.layers import ImageAndClasses, InstanceNormalization


class KerasBlocks(Blocks):
    """Building blocks as Keras layers, with one precision and one padding; features (B, X, Y, Z, C).

    Each layer has its own seed of the initial weights, from the one after `seed` on; see `build_generator`.
    """

    def __init__(self, policy: str, padding: str, seed: int):
        self.policy, self.padding, self._seed = policy, padding, seed

    def conv(self, x, channels: int, kernel: int = 3, stride: int = 1, scale: float = 1.0, layer=Convolution):
        """Convolution without bias; `scale` is that of the variance of the initial weights."""
        self._seed += 1
        return layer(channels, kernel, stride, self.padding, scale, self._seed, dtype=self.policy)(x)

    def upsampled_conv(self, x, channels: int):
        """Nearest-neighbour upsampling by 2 and a convolution."""
        return self.conv(x, channels, layer=UpsamplingConvolution)

    def joined_conv(self, x, skip, channels: int):
        """Upsampling of `x`, concatenation and a convolution."""
        return self.conv([x, skip], channels, layer=UpsamplingJoin)

    def normalise(self, x, relu: bool = False):
        """Instance normalisation."""
        return InstanceNormalization(relu=relu, dtype=self.policy)(x)

    def add(self, x, y):
        """Sum of two features."""
        return keras.layers.Add(dtype=self.policy)([x, y])


HEAD_SCALE = 0.01  # of the initial weights of the last convolution: training starts near the interpolated image


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
        name: "residual" (the published one), "unet", or "two_unets" (their scores are averaged).
        k: channels at full resolution; multiples of 16 are fastest.
        n_classes: 1 for one structure (sigmoid), or the number of classes including the background (softmax).
        hemispheres: add three channels of probabilities: outside, left, right.
        thickness_channel: add a second input channel with the distance between slices in mm.
        kernel: edge of the first and the last convolution, in voxels; 7 as published.
        padding: "reflect" (as published) or "zero" (faster).
        policy: Keras dtype policy of the convolutions, "float32" or "mixed_bfloat16".
        seed: seed of the initial weights.

    Returns:
        A Keras model for any patch size that is a multiple of its strides.
    """
    blocks = KerasBlocks(policy, padding, seed)
    inputs = keras.Input((None, None, None, 1 + thickness_channel), name="interpolated")
    groups = (n_classes, 3) if hemispheres else (n_classes,)

    def scores_of(body: Body, x: keras.KerasTensor) -> keras.KerasTensor:
        return blocks.conv(body(blocks, x, k, kernel), 1 + sum(groups), kernel, scale=HEAD_SCALE)

    bodies = BODIES[name]
    if len(bodies) > 1:  # a model each, so that variables come member by member
        windows = [keras.Input(inputs.shape[1:]) for _ in bodies]
        members = [keras.Model(x, scores_of(body, x)) for body, x in zip(bodies, windows, strict=True)]
        scores = keras.layers.Average(dtype="float32")([member(inputs) for member in members])
    else:
        scores = scores_of(bodies[0], inputs)
    outputs = ImageAndClasses(groups, dtype="float32", name="image_and_classes")(scores, inputs)
    return keras.Model(inputs, outputs, name=f"generator_{name}")
