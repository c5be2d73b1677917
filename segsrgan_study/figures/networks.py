"""Generator and critic as they are built, drawn from the layers of the real models."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segsrgan_core.classes import Classes
from segsrgan_study.figures.style import BLUE, GREEN, GREY, ORANGE, RED, SKY, new_figure, panel_letters, require, styled
from segsrgan_study.params import Settings, read_params
from segsrgan_study.paths import Study

CAPTION = (
    "The networks, drawn from the layers of the models that were built: this study's generator and critic, and, where "
    "that is another, the generator as it was published, which was not trained here. A box is a layer; its height "
    "stands for the size of the grid (1/2: half as many voxels along each axis), the number under it is the channels. "
    "Every convolution of the generator but the last is followed by instance normalisation, and by ReLU but where a "
    "block sums; every one of the critic by a leaky ReLU. Lines over the boxes are shortcuts."
)
FIELDS = ["name", "kind", "channels", "kernel", "stride", "size", "inputs", "parameters"]
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


def layers(study: Study, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Build the study's networks, and the published generator where the study uses another, and list their layers.

    Args:
        study: whose `params.yaml` describes the published generator, in the setting "paper".
        settings: in force.

    Returns:
        Title to `layer_summaries`.
    """
    from segsrgan_core.networks.critic import build_critic

    generator = _generator(settings)
    channels = generator.output_shape[-1] + settings.model.thickness_channel
    built = {"generator": generator, "critic": build_critic(channels, settings.model.critic_width)}
    published = read_params(study.params, settings.cohort, "paper")
    if settings.model.generator != published.model.generator:
        built["published generator"] = _generator(published)
    return {title: layer_summaries(model) for title, model in built.items()}


def _generator(settings: Settings) -> Any:
    from segsrgan_core.networks.generators import build_generator

    model = settings.model
    classes = Classes(tuple(model.classes), model.hemispheres).tissue_channels
    shape = {"k": model.k, "kernel": model.kernel, "padding": model.padding, "n_classes": classes}
    options = {"hemispheres": model.hemispheres, "thickness_channel": model.thickness_channel}
    return build_generator(model.generator, **shape, **options)


def layer_summaries(model: Any) -> list[dict[str, Any]]:
    """Describe the layers of a functional Keras model, in order.

    Args:
        model: anything with `layers` as Keras 3 has them; Keras itself is not imported.

    Returns:
        A dict per layer: name, kind (class), channels, kernel, stride, size (of its grid: 1, 1/2, ...), inputs (names
        of the layers before it), parameters.
    """
    rows: list[dict[str, Any]] = []
    sizes: dict[str, float] = {}
    for layer in model.layers:
        tensors = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
        before = [tensor._keras_history.operation.name for tensor in tensors]
        inputs = [name for name in before if name != layer.name]
        kernel, stride = (int(getattr(layer, field, (1,))[0]) for field in ("kernel_size", "strides"))
        kind = type(layer).__name__
        up = int(layer.size[0]) if kind.lower().startswith("upsampling") else 1
        sizes[layer.name] = sizes.get(inputs[0] if inputs else "", 1.0) * up / stride
        facts = (layer.name, kind, int(layer.output.shape[-1]), kernel, stride, sizes[layer.name])
        rows.append(dict(zip(FIELDS, (*facts, inputs, int(layer.count_params())), strict=True)))
    return rows


@styled
def draw(networks: Mapping[str, Sequence[dict]]) -> tuple[Figure, pd.DataFrame]:
    """Draw networks, a row per network.

    Args:
        networks: title to `layer_summaries`, in the order of the rows.

    Returns:
        The figure, and a row per layer: network, and the fields of `layer_summaries`.
    """
    require(bool(networks) and all(networks.values()), "the networks' layers are missing: build the models first.")
    fig = new_figure(height_mm=46 * len(networks))
    axes = list(fig.subplots(len(networks), squeeze=False).flat)
    tables = [pd.DataFrame(rows).assign(network=title) for title, rows in networks.items()]
    for ax, (title, rows), table in zip(axes, networks.items(), tables, strict=True):
        _row(ax, rows)
        ax.set_title(f"{title}: {table['parameters'].sum():,} parameters")
    panel_letters(axes)
    table = pd.concat(tables, ignore_index=True)
    return fig, table[["network", *FIELDS]].assign(inputs=table["inputs"].map(" ".join))


def _row(ax: Axes, rows: Sequence[dict]) -> None:
    """Draw boxes from left to right, with the shortcuts over them."""
    place: dict[str, int] = {}  # of the box that a layer is drawn in
    shortcuts, tops = [], []  # (from, to); heights of the boxes
    for layer in rows:
        text, colour = _box(layer)
        if text:
            count = len(tops)
            shortcuts += [(place[name], count) for name in layer["inputs"] if place[name] < count - 1]
            tops.append(0.45 + 0.55 * layer["size"])
            ax.bar(count, tops[-1], 0.7, color=colour, edgecolor="black", linewidth=0.5, alpha=0.5)
            ax.text(count, 0.03, text, rotation=90, ha="center", va="bottom", fontsize=6)
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


def _box(layer: Mapping[str, Any]) -> tuple[str, str]:
    """Text and colour of a layer's box; no text where the layer has none."""
    text, colour = BOXES.get(layer["kind"], ("", GREY))
    if not text and "Conv" in layer["kind"]:
        halved = layer["stride"] > 1
        return f"conv {layer['kernel']}³" + " \N{DOWNWARDS ARROW}2" * halved, BLUE if halved else SKY
    return text.format(**layer), colour
