"""Trained networks on the faster library: OpenVINO on a processor, without TensorFlow; TensorFlow on a GPU."""

from collections.abc import Sequence
from functools import reduce
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import Node
from openvino import opset13 as ops

from segsrgan_core import segmenter as keras_models
from segsrgan_core.checkpoints import OTHER_NETWORK, read_state
from segsrgan_core.cores import cores
from segsrgan_core.errors import UserError
from segsrgan_core.networks.bodies import BACKGROUND, BODIES, EPSILON, Blocks
from segsrgan_core.segmenter import ModelCard, Segmenter, read_card, weight_files
from segsrgan_core.uncertainty import Network

HINTS = {"float32": "f32", "mixed_bfloat16": "bf16", "int8": "f32"}  # of what is not convolved
FARTHEST = 10.0  # standard deviations that features of 8 bits reach


def choose_engine(engine: str = "auto") -> str:
    """Return "openvino" or "tensorflow"; "auto" is TensorFlow where that finds a GPU. A UserError if it is missing."""
    if engine != "auto":
        if find_spec(engine) is None:
            raise UserError(f"--engine {engine}: it is not installed; install segsrgan-core[train], or choose another.")
        return engine
    if any(Path("/dev").glob("nvidia[0-9]*")) and find_spec("tensorflow"):
        import tensorflow as tf

        return "tensorflow" if tf.config.list_physical_devices("GPU") else "openvino"
    return "openvino"


def choose_precision(engine: str, precision: str = "auto", usual: str = "float32") -> str:
    """Return the precision of the convolutions, one of HINTS; "auto" is bfloat16 where that is computed, else `usual`.

    A UserError tells that the engine does not have it.
    """
    if engine == "tensorflow" and precision == "int8":
        raise UserError("--precision int8: TensorFlow does not have it; choose another one, or --engine openvino.")
    if precision != "auto":
        return precision
    if engine == "tensorflow":
        from segsrgan_core.networks.functions import choose_policy

        return choose_policy(precision)
    fast = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "mixed_bfloat16" if fast else usual


def load_segmenter(folder: str | Path, engine: str = "auto", precision: str = "auto") -> Segmenter:
    """Load a trained model of `segmenter.save_model`; nothing in the files is executed.

    Engine and precision are those of `choose_engine` and `choose_precision`. A UserError tells that a file is missing,
    damaged, or of another architecture, or that the engine is not installed.
    """
    engine = choose_engine(engine)
    precision = choose_precision(engine, precision)
    if engine == "tensorflow":
        return keras_models.load_segmenter(folder, precision)
    card = read_card(Path(folder))
    first, *others = (_load(Path(folder) / name, card, precision) for name in weight_files(card.networks))
    return Segmenter(card, first, tuple(others))


def _load(path: Path, card: ModelCard, precision: str) -> Network:
    arrays, _ = read_state(path)
    weights = [arrays.get(f"generator/{i}") for i in range(len(arrays))]
    try:
        return compile_generator(weights, card.generator, card.patch, precision)
    except ValueError as error:
        raise UserError(f"{path}: {OTHER_NETWORK}") from error


def as_network(model: Any, card: ModelCard, precision: str = "auto") -> Network:
    """Return a Keras generator as a function on the engine that `load_segmenter` would choose for it.

    On TensorFlow the precision is the model's own.
    """
    if choose_engine() == "tensorflow":
        from segsrgan_core.networks.functions import as_function

        return as_function(model)
    weights = [np.asarray(weight) for weight in model.trainable_variables]
    return compile_generator(weights, card.generator, card.patch, choose_precision("openvino", precision))


class OpenVINOBlocks(Blocks):
    """Building blocks as OpenVINO operations that hold trained weights.

    The weights are arrays in the order of the Keras model's variables; the padding is "reflect" or "zero". With `whole`
    convolutions of normalised features are computed in whole numbers of 8 bits (Jacob et al. 2018). Mean and standard
    deviation of such a channel are known, so that no image is needed to find its range: it is kept from 0 to 1, and
    the weights of the next convolution are scaled instead.
    """

    def __init__(self, weights: Sequence[np.ndarray], padding: str, whole: bool = False):
        self._weights, self._reflect, self._whole = iter(weights), padding == "reflect", whole
        self._scales: dict[str, np.ndarray] = {}  # (C,) of features from 0 to 1, by the name of their node

    def conv(self, x: Node, channels: int, kernel: int = 3, stride: int = 1) -> Node:
        """Convolution without bias."""
        weights = self._scaled(x, self._take(kernel, kernel, kernel, _channels(x), channels))
        reach = kernel // 2
        if stride == 2:
            return _convolution(x, weights, stride, ((kernel - 2) // 2, (kernel - 1) // 2))
        if self._reflect and reach:
            margins = [0, 0, reach, reach, reach]
            return _convolution(ops.pad(x, margins, margins, "reflect"), weights)
        return _convolution(x, weights, margins=(reach, reach))

    def upsampled_conv(self, x: Node, channels: int) -> Node:
        """Nearest-neighbour upsampling by 2 and a convolution."""
        if self._reflect:
            return self.conv(_repeated(self._plain(x)), channels)
        return _transposed(x, self._scaled(x, self._take(3, 3, 3, _channels(x), channels)))

    def joined_conv(self, x: Node, skip: Node, channels: int) -> Node:
        """Upsampling of `x`, concatenation and a convolution: of concatenated channels, that is a sum of two."""
        if self._reflect:
            return self.conv(ops.concat([_repeated(self._plain(x)), self._plain(skip)], axis=1), channels)
        coarse = _channels(x)
        weights = self._take(3, 3, 3, coarse + _channels(skip), channels)
        joined = _convolution(skip, self._scaled(skip, weights[..., coarse:, :]), margins=(1, 1))
        return ops.add(_transposed(x, self._scaled(x, weights[..., :coarse, :])), joined)

    def normalise(self, x: Node, relu: bool = False) -> Node:
        """Instance normalisation."""
        gamma, beta = (self._take(_channels(x)).reshape(1, -1, 1, 1, 1) for _ in range(2))
        steps = relu and self._whole
        scale = np.maximum(beta + FARTHEST * np.abs(gamma), EPSILON) if steps else 1
        gamma, beta = gamma / scale, beta / scale
        x = ops.mvn(x, _constant([2, 3, 4], np.int64), True, EPSILON, "INSIDE_SQRT")
        x = ops.add(ops.multiply(x, _constant(gamma)), _constant(beta))
        x = ops.relu(x) if relu else x
        if steps:
            x = _in_steps(x, np.zeros([1] * 5), np.ones([1] * 5), 256)
            self._scales[x.get_friendly_name()] = np.ravel(scale)
        return x

    def add(self, x: Node, y: Node) -> Node:
        """Sum of two features."""
        return ops.add(self._plain(x), self._plain(y))

    def _scaled(self, x: Node, weights: np.ndarray) -> np.ndarray:
        """Return weights (k, k, k, C, F) for features that may be kept from 0 to 1."""
        scale = self._scales.get(x.get_friendly_name())
        return weights if scale is None else weights * scale[:, None]

    def _plain(self, x: Node) -> Node:
        """Return features as they are, which may be kept from 0 to 1."""
        scale = self._scales.get(x.get_friendly_name())
        return x if scale is None else ops.multiply(x, _constant(scale.reshape(1, -1, 1, 1, 1)))

    def _take(self, *shape: int) -> np.ndarray:
        array = next(self._weights, None)
        if array is None or array.shape != shape or array.dtype != np.float32:
            raise ValueError(f"the network wants float32 weights of shape {shape}")
        return array

    def check_all_used(self) -> None:
        """Raise ValueError if there are more weights than the network has."""
        if next(self._weights, None) is not None:
            raise ValueError("there are more weights than the network has")


def compile_generator(
    weights: Sequence[np.ndarray], arguments: dict[str, Any], patch: int, policy: str = "float32"
) -> Network:
    """Return a trained generator as a function, float32 (1, P, P, P, C) -> float32 (1, P, P, P, 1 + n).

    The weights are the trainable variables of the Keras model (ValueError where they are of another architecture), the
    arguments those of `generators.build_generator` that it was built with, all but policy and seed; P, the edge of a
    window in voxels, is `patch`, and the policy one of HINTS.
    """
    groups = (arguments["n_classes"], 3) if arguments["hemispheres"] else (arguments["n_classes"],)
    blocks = OpenVINOBlocks(weights, arguments["padding"], policy == "int8")
    inputs = ops.parameter([1, 1 + arguments["thickness_channel"], patch, patch, patch], np.float32)
    k, kernel = arguments["k"], arguments["kernel"]
    features = (body(blocks, inputs, k, kernel) for body in BODIES[arguments["name"]])  # a head follows each body
    parts = [blocks.conv(one, 1 + sum(groups), kernel) for one in features]
    scores = ops.divide(reduce(ops.add, parts), _constant(len(parts))) if len(parts) > 1 else parts[0]
    blocks.check_all_used()
    settings = {
        "INFERENCE_PRECISION_HINT": HINTS[policy],
        "INFERENCE_NUM_THREADS": cores(),
        "ENABLE_CPU_PINNING": False,  # else the processes of a pool would all sit on the first core
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = openvino.Model([_image_and_classes(scores, inputs, groups)], [inputs], arguments["name"])
    request = openvino.compile_model(model, "CPU", settings).create_infer_request()

    def network(window: np.ndarray) -> np.ndarray:
        channels_first = np.ascontiguousarray(np.moveaxis(window, -1, 1))
        return np.moveaxis(request.infer({0: channels_first}, share_inputs=True)[0], 1, -1)

    return network


def _image_and_classes(scores: Node, inputs: Node, groups: tuple[int, ...]) -> Node:
    """Both heads, see `layers.ImageAndClasses`; after the last convolution OpenVINO computes in float32."""
    residual, *logits = ops.variadic_split(scores, 1, np.array([1, *groups])).outputs()
    interpolated = ops.variadic_split(inputs, 1, np.array([1, -1])).output(0)
    space = _constant([2, 3, 4], np.int64)
    deviation = ops.subtract(interpolated, ops.reduce_mean(interpolated, space, keep_dims=True))
    sd = ops.sqrt(ops.reduce_mean(ops.multiply(deviation, deviation), space, keep_dims=True))
    volumes = [ops.add(interpolated, ops.multiply(sd, residual))]
    for n, group in zip(groups, logits, strict=True):
        background = _constant(np.reshape([BACKGROUND, *[0.0] * (n - 1)], (1, n, 1, 1, 1)))
        one = ops.sigmoid(ops.subtract(group, background)) if n == 1 else ops.softmax(ops.add(group, background), 1)
        volumes.append(one)
    return ops.concat(volumes, 1)


def _channels(x: Node) -> int:
    return x.get_output_shape(0)[1]


def _constant(array, dtype=np.float32) -> Node:
    return ops.constant(np.ascontiguousarray(array, dtype))


def _convolution(x: Node, weights: np.ndarray, stride: int = 1, margins: tuple[int, int] = (0, 0)) -> Node:
    kernel = _kernel(x, weights.transpose(4, 3, 0, 1, 2), 0)
    return ops.convolution(x, kernel, [stride] * 3, [margins[0]] * 3, [margins[1]] * 3, [1] * 3)


def _kernel(x: Node, weights: np.ndarray, axis: int) -> Node:
    """Return weights, those of an output channel along `axis`, as a constant: in steps where the features `x` are."""
    if x.get_type_name() != "FakeQuantize":
        return _constant(weights)
    largest = np.abs(weights).max(axis=tuple({*range(5)} - {axis}), keepdims=True)
    return _in_steps(_constant(weights), -largest, largest, 255)


def _in_steps(x: Node, low: np.ndarray, high: np.ndarray, levels: int) -> Node:
    ends = [_constant(low), _constant(high)]
    return ops.fake_quantize(x, *ends, *ends, levels)


def _repeated(x: Node) -> Node:
    twice, axes = _constant([2, 2, 2]), _constant([2, 3, 4], np.int64)
    rounding = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return ops.interpolate(x, twice, "nearest", "scales", axes=axes, **rounding)


def _transposed(x: Node, weights: np.ndarray) -> Node:
    """Upsampling by 2 and a convolution with (3, 3, 3, C, F) in one, see `convolutions.UpsamplingConvolution`."""
    weights = weights[::-1, ::-1, ::-1]
    for axis in range(3):
        weights = sum(np.pad(weights, [(at, 1 - at) if a == axis else (0, 0) for a in range(5)]) for at in (0, 1))
    kernel = _kernel(x, weights.transpose(3, 4, 0, 1, 2), 1)
    return ops.convolution_backprop_data(x, kernel, [2] * 3, pads_begin=[1] * 3, pads_end=[1] * 3, dilations=[1] * 3)
