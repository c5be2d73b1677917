"""Networks as functions of arrays, and the choice of their precision."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def as_function(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Return a model as a traced function, float32 array (1, P, P, P, C) -> float32 array (1, P, P, P, channels).

    The output is channels first in memory, which suits blending. XLA is off: on CPU it makes these convolutions 10 to
    30 times slower.
    """

    def channels_first(x: tf.Tensor) -> tf.Tensor:
        return tf.transpose(model(x, training=False), (4, 0, 1, 2, 3))

    traced = tf.function(channels_first, jit_compile=False, reduce_retracing=True)
    return lambda x: np.moveaxis(traced(tf.constant(x)).numpy(), 0, -1)


def choose_policy(precision: str) -> str:
    """Return the Keras dtype policy of a precision, "float32", "mixed_bfloat16" or "auto", on this machine.

    The last is bfloat16 on processors and GPUs that compute in it (AVX-512 BF16, also part of AMX; compute capability
    8), where a training step is at least 1.4 times as fast.
    """
    if precision != "auto":
        return precision
    if gpus := tf.config.list_physical_devices("GPU"):
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return "mixed_bfloat16" if capability >= (8, 0) else "float32"
    info = Path("/proc/cpuinfo")
    return "mixed_bfloat16" if info.is_file() and "avx512_bf16" in info.read_text() else "float32"
