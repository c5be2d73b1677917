"""The networks as they are built: generator, residual block and critic, drawn from the real models' layers."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from segsrgan_study.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    TWO_COLUMNS_MM,
    require,
    styled,
)

NAME = "networks"
CAPTION = (
    "The networks, drawn from the layers of the models that were built: this study's generator and critic, and, where "
    "that is another, the generator as it was published, which was not trained here; each is followed by one of its "
    "residual blocks where it has them. A box is a layer; its height stands for the size of the grid (1/2: half as "
    "many voxels along each axis), the number under it is the channels. Every convolution of the generator but the "
    "last is followed by instance normalisation, and by ReLU but where a block sums; every one of the critic by a "
    "leaky ReLU. Lines over the boxes are shortcuts."
)
FIELDS = ["name", "kind", "channels", "kernel", "stride", "size", "inputs", "parameters"]
COLOURS = {"conv": SKY, "down": BLUE, "up": ORANGE, "residual": GREEN, "join": PURPLE, "head": RED, "input": GREY}
TIMES, HALVED = "\N{MULTIPLICATION SIGN}", "\N{DOWNWARDS ARROW}2"
# Class of a layer: what its box says and its colour. Convolutions are described by their numbers.
BOXES = {
    "InputLayer": ("input", "input"),
    "UpSampling3D": (f"up {TIMES} 2", "up"),
    "Concatenate": ("concat", "join"),
    "Add": ("sum", "residual"),
    "GlobalAveragePooling3D": ("average", "join"),
    "Dense": ("score", "head"),
    "ImageAndClasses": ("image +\nclasses", "head"),
    "InstanceNormalization": ("instance\nnorm", "join"),
    "InstanceNormalization, ReLU": ("instance\nnorm, ReLU", "join"),
    "ReLU": ("ReLU", "join"),
    "LeakyReLU": ("leaky\nReLU", "join"),
    "ReflectPadding3D": ("mirror\nedges", "input"),
}
# Part of the convolution before or after.
SMALL = {"ReLU", "LeakyReLU", "InstanceNormalization", "InstanceNormalization, ReLU", "ReflectPadding3D"}


def layer_summaries(model: Any) -> list[dict]:
    """Describe the layers of a functional Keras model, in order.

    Args:
        model: anything with `layers` as Keras 3 has them; Keras itself is not imported.

    Returns:
        One dict a layer: name, kind (class), channels, kernel, stride, size (of its grid: 1, 1/2, ...), inputs (names
        of the layers before it), parameters.
    """
    rows: list[dict] = []
    sizes: dict[str, float] = {}
    for layer in model.layers:
        tensors = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
        before = [tensor._keras_history.operation.name for tensor in tensors]
        inputs = [name for name in before if name != layer.name]
        kernel, stride = (int(getattr(layer, field, (1,))[0]) for field in ("kernel_size", "strides"))
        kind = type(layer).__name__ + (", ReLU" if getattr(layer, "relu", False) else "")
        up = int(layer.size[0]) if kind.lower().startswith("upsampling") else 1
        sizes[layer.name] = sizes.get(inputs[0] if inputs else "", 1.0) * up / stride
        facts = (layer.name, kind, int(layer.output.shape[-1]), kernel, stride, sizes[layer.name])
        rows.append(dict(zip(FIELDS, (*facts, inputs, int(layer.count_params())), strict=True)))
    return rows


@styled
def draw(networks: Mapping[str, Sequence[dict]]) -> tuple[Figure, pd.DataFrame]:
    """Draw networks from their layer summaries, each followed by its residual block where it has one.

    Args:
        networks: title to `layer_summaries`, in the order of the panels.

    Returns:
        The figure, and one row a layer: network, and the fields of `layer_summaries`.
    """
    require(bool(networks) and all(networks.values()), "the networks' layers are missing: build the models first.")
    rows = []
    for title, layers in networks.items():
        rows.append((f"{title}: {_count(layers)} parameters", _boxes(layers)))
        block = residual_block(layers)
        rows += [(f"residual block of the {title}", _block_boxes(block))] if block else []
    heights = [16.0 + max(box["height"] for box in boxes) + 1.8 * len(_shortcuts(boxes)) for _, boxes in rows]
    fig = Figure(figsize=(TWO_COLUMNS_MM / 25.4, sum(heights) / 25.4))
    ax = fig.add_axes((0, 0, 1, 1), xlim=(0, TWO_COLUMNS_MM), ylim=(0, sum(heights)))  # one unit is one mm
    ax.axis("off")
    top = sum(heights)
    for letter, (title, boxes), height in zip("abcdef", rows, heights, strict=False):
        ax.text(1.5, top - 3, letter, fontweight="bold", fontsize=9, va="center")
        ax.text(6, top - 3, title, fontsize=7.5, va="center")
        _row(ax, boxes, top - height)
        top -= height
    tables = [pd.DataFrame(layers).assign(network=title) for title, layers in networks.items()]
    table = pd.concat(tables, ignore_index=True)
    return fig, table[["network", *FIELDS]].assign(inputs=table["inputs"].map(" ".join))


def residual_block(layers: Sequence[dict]) -> list[dict]:
    """The layers of the first residual block, from after its input to its sum; empty where there is none."""
    return next((_inside(layers, layer) for layer in layers if layer["kind"] == "Add"), [])


def _inside(layers: Sequence[dict], end: dict) -> list[dict]:
    names = [layer["name"] for layer in layers]
    return list(layers[min(map(names.index, end["inputs"])) + 1 : names.index(end["name"]) + 1])


def _count(layers: Sequence[dict]) -> str:
    return f"{sum(layer['parameters'] for layer in layers):,}"


def _boxes(layers: Sequence[dict]) -> list[dict]:
    """What is drawn of a network: convolutions and whatever joins or changes grids; residual blocks as one box."""
    sums = [layer for layer in layers if layer["kind"] == "Add"]
    hidden = {layer["name"] for end in sums for layer in _inside(layers, end)}
    boxes: list[dict] = []
    place: dict[str, int] = {}  # the box that a layer is drawn in
    for layer in layers:
        if layer["name"] not in hidden and layer["kind"] not in SMALL:
            boxes.append(_box(layer, [place[name] for name in layer["inputs"][1:]]))
        elif sums and layer["name"] == sums[0]["name"]:
            boxes.append({**_box(layer, []), "text": f"residual\nblock {TIMES} {len(sums)}"})
        place[layer["name"]] = max(len(boxes) - 1, 0)
    return boxes


def _block_boxes(block: Sequence[dict]) -> list[dict]:
    start = {**block[0], "kind": "InputLayer"}
    boxes = [_box(start, []), *(_box(layer, [0] if layer["kind"] == "Add" else []) for layer in block)]
    return [{**box, "height": 14.0, "size": 1.0} for box in boxes]


def _box(layer: dict, shortcuts: list[int]) -> dict:
    if layer["kind"] == "UpsamplingConvolution":
        text, kind = f"up {TIMES} 2, conv {layer['kernel']}³", "up"
    elif layer["kind"] == "UpsamplingJoin":
        text, kind = f"up {TIMES} 2, concat,\nconv {layer['kernel']}³", "join"
    elif "Conv" in layer["kind"]:
        strided = layer["stride"] > 1
        text, kind = f"conv {layer['kernel']}³{' ' + HALVED if strided else ''}", "down" if strided else "conv"
    else:
        text, kind = BOXES[layer["kind"]]
    spatial = layer["kind"] not in ("GlobalAveragePooling3D", "Dense")
    size = layer["size"] if spatial else 1.0
    height = 14.0 + (16.0 * size if spatial else 0.0)
    looks = {"text": text, "kind": kind, "channels": layer["channels"], "size": size, "height": height}
    return {**looks, "shortcuts": shortcuts}


def _shortcuts(boxes: list[dict]) -> list[tuple[int, int]]:
    """(from, to) of the lines over the boxes, short ones first."""
    lines = [(start, end) for end, box in enumerate(boxes) for start in box["shortcuts"]]
    return sorted(lines, key=lambda line: line[1] - line[0])


def _row(ax: Axes, boxes: list[dict], bottom_mm: float) -> None:
    """Draw boxes from left to right, joined by arrows, with the shortcuts over them."""
    pitch = min(18.0, (TWO_COLUMNS_MM - 10) / len(boxes))
    width, tallest = min(8.0, 0.64 * pitch), max(box["height"] for box in boxes)
    middle = bottom_mm + 8.5 + tallest / 2
    centres = [6 + width / 2 + pitch * place for place in range(len(boxes))]
    for x, box in zip(centres, boxes, strict=True):
        corner = (x - width / 2, middle - box["height"] / 2)
        looks = {"facecolor": COLOURS[box["kind"]], "edgecolor": "black", "linewidth": 0.5, "alpha": 0.5}
        shape = "round,pad=0,rounding_size=0.8"
        ax.add_patch(FancyBboxPatch(corner, width, box["height"], boxstyle=shape, **looks))
        ax.text(x, middle, box["text"], rotation=90, ha="center", va="center", fontsize=6, linespacing=1.0)
        fraction = f"\n1/{round(1 / box['size'])}" if box["size"] < 1 else ""
        ax.text(x, corner[1] - 0.8, f"{box['channels']}{fraction}", ha="center", va="top", fontsize=6)
    for before, after in pairwise(centres):
        _arrow(ax, [(before + width / 2, middle), (after - width / 2, middle)])
    for level, (start, end) in enumerate(_shortcuts(boxes)):
        over = middle + tallest / 2 + 1.5 + 1.8 * level
        tops = [middle + boxes[place]["height"] / 2 for place in (start, end)]
        _arrow(ax, [(centres[start], tops[0]), (centres[start], over), (centres[end], over), (centres[end], tops[1])])


def _arrow(ax: Axes, points: list[tuple[float, float]]) -> None:
    look = {"arrowstyle": "-|>", "mutation_scale": 4, "linewidth": 0.6, "color": "black", "shrinkA": 0, "shrinkB": 0}
    ax.plot(*zip(*points, strict=True), color="black", linewidth=0.6, solid_joinstyle="miter")
    ax.annotate("", points[-1], points[-2], arrowprops=look)
