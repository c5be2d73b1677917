"""Critic: one score for a pair of image and segmentation."""

import keras

from segsrgan_core.networks.convolutions import FoldedConv3D, PatchConv3D
from segsrgan_core.networks.layers import LeakyReLU

# The same convolution, each in the form that is fastest at its number of channels.
LAYERS = (FoldedConv3D, keras.layers.Conv3D, keras.layers.Conv3D, PatchConv3D, PatchConv3D)


def build_critic(channels: int, width: int = 32, policy: str = "float32", seed: int = 0) -> keras.Model:
    """Build the critic of SegSRGAN (Delannoy et al. 2020): 5 strided convolutions, then one score.

    Args:
        channels: of the input: the image, the classes, and 1 more with the slice thickness.
        width: channels of the first convolution (32 as published); each next has twice as many.
        policy: Keras dtype policy of the convolutions; the score is float32.
        seed: seed of the initial weights.

    Returns:
        A Keras model (B, X, Y, Z, channels) -> (B, 1); X, Y and Z are multiples of 16. It has no normalisation, as the
        gradient penalty requires (Gulrajani et al. 2017, section 4).
    """
    inputs = keras.Input((None, None, None, channels), name="image_and_classes")
    x = inputs
    for level, layer in enumerate(LAYERS):
        initial = keras.initializers.GlorotUniform(seed=seed + level)
        x = layer(width * 2**level, 4, strides=2, padding="same", kernel_initializer=initial, dtype=policy)(x)
        x = LeakyReLU(dtype=policy)(x)
    x = keras.layers.GlobalAveragePooling3D(dtype="float32")(x)
    initial = keras.initializers.GlorotUniform(seed=seed + 5)
    return keras.Model(inputs, keras.layers.Dense(1, kernel_initializer=initial, dtype="float32")(x), name="critic")
