"""The share of the measured convolution peak that a generator reaches, whole and layer by layer.

The peak is the best rate of plain 3^3 convolutions of 64 and 128 channels, in the precision that is fastest on this
machine: bfloat16 with AMX, else float32. A layer's work is the products that its definition needs: 27 a voxel and pair
of channels for a 3^3 kernel, 8 where the grid is doubled, for there are no more different ones. What layouts, edges and
normalisation add counts as lost.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from benchmarks.heads import SHIPPED
from benchmarks.size import Size
from benchmarks.timing import interleaved, spread
from segsrgan_core.networks.convolutions import Convolution, UpsamplingConvolution, UpsamplingJoin
from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.networks.generators import build_generator

GENERATORS = {"shipped": SHIPPED, "published": {"name": "residual"}}
DTYPES = {"float32": tf.float32, "mixed_bfloat16": tf.bfloat16}
Tensors = tf.Tensor | list[tf.Tensor]  # a list where a layer joins a coarse grid and a fine one


def share_of_peak(size: Size) -> dict:
    """Measure both generators on one patch; see `_generator`."""
    policy = choose_policy("auto")
    return {
        title: _generator(size, build_generator(k=size.k, policy=policy, **one), DTYPES[policy])
        for title, one in GENERATORS.items()
    }


def _generator(size: Size, model: keras.Model, dtype: tf.DType) -> dict:
    """Measure one generator.

    Returns:
        `forward` and `training` (forward and backward: three times the products): shares of the peak, round by round;
        `precision`; `peak_gflops`; `layers`: name, shape of its input, GFLOP, milliseconds and share.
    """
    x = tf.random.stateless_normal((1, *[size.patch] * 3, 1), (0, 0))
    layers = [layer for layer in model.layers if isinstance(layer, Convolution)]
    inputs = keras.Model(model.input, [layer.input for layer in layers])(x)
    flops = [_flop(layer, one) for layer, one in zip(layers, inputs, strict=True)]
    peaks = {f"peak {n}": _plain(n, size, dtype) for n in (64, 128)}
    work = {name: run for name, (run, _) in peaks.items()}
    times = interleaved({**work, "forward": _forward(model, x), "training": _training(model, x)}, 2 * size.rounds)
    rounds = range(2 * size.rounds)
    peak = [max(flop / times[name].clock[i] for name, (_, flop) in peaks.items()) for i in rounds]
    shares = {
        name: spread([factor * sum(flops) / times[name].clock[i] / peak[i] for i in rounds])
        for name, factor in (("forward", 1), ("training", 3))
    }
    rows = [_layer(*one, float(np.median(peak)), dtype) for one in zip(layers, inputs, flops, strict=True)]
    rate = {"precision": dtype.name, "peak_gflops": float(np.median(peak)) / 1e9}
    return {**shares, **rate, "gflop": sum(flops) / 1e9, "layers": rows}


def _flop(layer: Convolution, x: Tensors) -> float:
    """Count the products of a layer; one that joins two grids counts each part by itself."""
    if isinstance(layer, UpsamplingJoin):
        parts = [(8, x[0].shape[-1]), (27, x[1].shape[-1])]
    elif isinstance(layer, UpsamplingConvolution):
        parts = [(8, x.shape[-1])]
    else:
        parts = [(layer.kernel_size[0] ** 3, x.shape[-1])]
    out = layer.compute_output_shape(tf.nest.map_structure(lambda one: one.shape, x))
    return 2.0 * sum(taps * channels for taps, channels in parts) * out[-1] * np.prod(out[1:4])


def _layer(layer: Convolution, x: Tensors, flop: float, peak: float, dtype: tf.DType) -> dict:
    joined = tf.nest.flatten(x)
    x = tf.nest.map_structure(lambda one: tf.cast(one, dtype), x)
    seconds = spread(interleaved({"layer": _traced(lambda: layer(x))}, 5)["layer"].clock)["median"]
    return {
        "name": layer.name,
        "input": [*joined[-1].shape[1:4], sum(one.shape[-1] for one in joined)],
        "filters": layer.filters,
        "gflop": flop / 1e9,
        "ms": 1000 * seconds,
        "share": flop / seconds / peak,
    }


def _plain(channels: int, size: Size, dtype: tf.DType) -> tuple[Callable, float]:
    edge = size.patch * 32 // channels
    x = tf.ones((1, edge, edge, edge, channels), dtype)
    kernel = tf.ones((3, 3, 3, channels, channels), dtype)
    return _traced(lambda: tf.nn.conv3d(x, kernel, [1] * 5, "SAME")), 2.0 * 27 * channels**2 * edge**3


def _forward(model: keras.Model, x: tf.Tensor) -> Callable:
    return _traced(lambda: model(x, training=False))


def _training(model: keras.Model, x: tf.Tensor) -> Callable:
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True)))
        return tf.add_n([tf.reduce_sum(one) for one in tape.gradient(loss, model.trainable_variables)])

    return _traced(step)


def _traced(function: Callable) -> Callable:
    traced = tf.function(function, jit_compile=False)
    return lambda: traced().numpy()
