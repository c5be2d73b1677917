"""Networks as functions of arrays, and the choice of their precision."""

import timeit
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

POLICIES = ("float32", "mixed_bfloat16")


def as_function(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Return a model as a traced function, float32 array (1, P, P, P, C) -> float32 array (1, P, P, P, channels).

    The output is channels first in memory, which suits blending. XLA is off: on CPU it makes these convolutions 10 to
    30 times slower.

    Args:
        model: a generator.
    """

    def channels_first(x: tf.Tensor) -> tf.Tensor:
        return tf.transpose(model(x, training=False), (4, 0, 1, 2, 3))

    traced = tf.function(channels_first, jit_compile=False, reduce_retracing=True)
    return lambda x: np.moveaxis(traced(tf.constant(x)).numpy(), 0, -1)


def choose_policy(precision: str) -> str:
    """Return the Keras dtype policy of a precision setting on this machine.

    Args:
        precision: "float32", "mixed_bfloat16", or "auto": bfloat16 if a convolution is at least 1.5 times as fast in it
            (AMX, recent GPUs), else float32.
    """
    if precision != "auto":
        return precision
    seconds = {dtype: _convolution_seconds(dtype) for dtype in (tf.float32, tf.bfloat16)}
    return "mixed_bfloat16" if seconds[tf.float32] > 1.5 * seconds[tf.bfloat16] else "float32"


def _convolution_seconds(dtype: tf.DType) -> float:
    x = tf.ones((1, 32, 32, 32, 32), dtype)
    kernel = tf.ones((3, 3, 3, 32, 32), dtype)
    convolve = tf.function(lambda: tf.nn.conv3d(x, kernel, [1] * 5, "SAME"), jit_compile=False)
    return min(timeit.repeat(lambda: convolve().numpy(), number=1, repeat=6))
