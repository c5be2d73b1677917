"""Generator and critic as they are built, drawn from the layers of the real models."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from segsrgan_study.figures.style import BLUE, GREEN, GREY, ORANGE, RED, SKY, Plot, lettered_panels, styled

TIMES = "\N{MULTIPLICATION SIGN}"
# Class of a layer: what its box says and its colour. Convolutions are described by their numbers; layers that are not
# here are part of the convolution before or after.
BOXES = {
    "InputLayer": ("input", GREY),
    "UpSampling3D": (f"up {TIMES} 2", ORANGE),
    "UpsamplingConvolution": (f"up {TIMES} 2,\nconv {{kernel}}³", ORANGE),
    "UpsamplingJoin": (f"up {TIMES} 2, join,\nconv {{kernel}}³", ORANGE),
    "Concatenate": ("join", ORANGE),
    "Add": ("sum", GREEN),
    "GlobalAveragePooling3D": ("average", GREY),
    "Dense": ("score", RED),
    "ImageAndClasses": ("image +\nclasses", RED),
}
WITHOUT_GRID = ("GlobalAveragePooling3D", "Dense")


def layer_summaries(model: Any) -> list[dict[str, Any]]:
    """Describe the layers of a functional Keras 3 model, in order; Keras itself is not imported.

    `kind` is a layer's class, `size` that of its grid (1, 1/2, ...), `inputs` are the names of the layers before it.
    """
    rows: dict[str, dict[str, Any]] = {}
    for layer in model.layers:
        tensors = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
        inputs = [tensor._keras_history.operation.name for tensor in tensors]
        inputs = [name for name in inputs if name != layer.name]
        kernel, stride = (int(getattr(layer, field, (1,))[0]) for field in ("kernel_size", "strides"))
        kind = type(layer).__name__
        up = int(layer.size[0]) if kind.lower().startswith("upsampling") else 1
        size = (rows[inputs[0]]["size"] if inputs else 1.0) * up / stride
        row = {"name": layer.name, "kind": kind, "channels": int(layer.output.shape[-1]), "kernel": kernel}
        row |= {"stride": stride, "size": size, "inputs": inputs, "parameters": int(layer.count_params())}
        rows[layer.name] = row
    return list(rows.values())


@styled
def draw(networks: Mapping[str, Any]) -> Plot:
    """Draw networks (title to Keras model), a row each; values: network, and the fields of `layer_summaries`."""
    fig, axes = lettered_panels(len(networks), 46, columns=1)
    tables = []
    for ax, (title, model) in zip(axes, networks.items(), strict=True):
        rows = layer_summaries(model)
        _row(ax, rows)
        table = pd.DataFrame(rows).assign(inputs=[" ".join(layer["inputs"]) for layer in rows])
        table.insert(0, "network", title)
        ax.set_title(f"{title}: {table['parameters'].sum():,} parameters")
        tables.append(table)
    return fig, pd.concat(tables, ignore_index=True)


def _row(ax: Axes, rows: Sequence[dict]) -> None:
    """Draw boxes from left to right, with the shortcuts over them."""
    place: dict[str, int] = {}  # of the box that a layer is drawn in
    shortcuts, tops = [], []  # (from, to); heights of the boxes
    for layer in rows:
        text, colour = BOXES.get(layer["kind"], ("", GREY))
        if not text and "Conv" in layer["kind"]:
            halved = layer["stride"] > 1
            text, colour = "conv {kernel}³" + " \N{DOWNWARDS ARROW}2" * halved, BLUE if halved else SKY
        if text:
            count = len(tops)
            shortcuts += [(place[name], count) for name in layer["inputs"] if place[name] < count - 1]
            tops.append(0.45 + 0.55 * layer["size"])
            ax.bar(count, tops[-1], 0.7, color=colour, edgecolor="black", linewidth=0.5, alpha=0.5)
            ax.text(count, 0.03, text.format(**layer), rotation=90, ha="center", va="bottom", fontsize=6)
            halved = layer["size"] < 1 and layer["kind"] not in WITHOUT_GRID
            fraction = f"\n1/{round(1 / layer['size'])}" if halved else ""
            ax.text(count, -0.03, f"{layer['channels']}{fraction}", ha="center", va="top", fontsize=6)
        place[layer["name"]] = len(tops) - 1
    levels: dict[tuple[int, int], int] = {}
    for start, end in sorted(shortcuts, key=lambda line: line[1] - line[0]):
        below = [level for (first, last), level in levels.items() if first >= start and last <= end]
        levels[start, end] = max(below, default=-1) + 1
        over = 1.08 + 0.08 * levels[start, end]
        ax.plot([start, start, end, end], [tops[start], over, over, tops[end]], color="black", linewidth=0.6)
    ax.set(xlim=(-0.6, max(len(tops), 12) - 0.4), ylim=(-0.25, None))
    ax.axis("off")
