"""One case on one page, to see whether its segmentation can be trusted: three planes, contours on several slices.

Pillow draws it: matplotlib takes a second, of the few of a head, to load and to draw it.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import NamedTuple

import numpy as np
from nibabel.nifti1 import Nifti1Image
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from segsrgan_core.classes import NUMBERS
from segsrgan_core.segmenter import Segmentation
from segsrgan_study.boxes import around, crop
from segsrgan_study.figures.style import CORTEX, ON_GREY, SKY
from segsrgan_study.figures.views import PLANES, Grid, View, grid, view_of

SHARES = (0.2, 0.4, 0.6, 0.8)  # where the slices with contours lie, from one end of what is shown to the other
SPECK = 0.05  # a piece below this share of the largest one does not decide what is shown
BAR_MM = 20
FINER = 2  # all is drawn so many times larger than it is shown, for smooth lines and letters
WIDTH, GAP, ABOVE, BELOW, LINE, LETTER = (FINER * pixels for pixels in (186, 12, 60, 40, 1, 14))


class Outline(NamedTuple):
    """What gets a contour: where a grid has a number."""

    hue: str
    labels: Grid
    number: int


def draw(result: Segmentation, title: str) -> Image.Image:
    """Draw a case: a row a plane; the interpolated input and the super-resolved image, then slices with contours."""
    view, lines, top = _view(result), outlines(result), ABOVE
    heights = [round(WIDTH * up / across) for across, up in map(view.size_mm, PLANES)]
    lefts = [GAP + column * (WIDTH + GAP) for column in range(2 + len(SHARES))]
    size = lefts[-1] + WIDTH + GAP, ABOVE + sum(heights) + 2 * GAP + BELOW
    sheet = Image.new("RGB", size, "white")
    write(sheet, (size[0] / 2, GAP), title, "mt", "black")
    for left, name in zip(lefts, ("interpolated input", "SegSRGAN"), strict=False):
        write(sheet, (left + WIDTH / 2, ABOVE - GAP / 2), name, "mb", "black")
    for plane, height in zip(PLANES, heights, strict=True):
        row = [panel(image, plane, view, height, {}) for image in (result.interpolated, result.image)]
        row += [panel(result.image, plane, view.at(share, [plane]), height, lines) for share in SHARES]
        if top == ABOVE:
            _scale_bar(row[0], WIDTH * BAR_MM / view.size_mm(plane)[0])
        for left, one in zip(lefts, row, strict=True):
            sheet.paste(one, (left, top))
        top += height + GAP
    _legend(sheet, lines)
    return sheet.reduce(FINER)


def outlines(result: Segmentation) -> dict[str, Outline]:
    """Return what gets a contour by its name, in colours of their own."""
    others, labels = cycle(ON_GREY), grid(result.labels)
    hues = {name: CORTEX if name == "cortex" else next(others) for name in result.probabilities}
    found = {name.replace("_", " "): Outline(hue, labels, NUMBERS[name]) for name, hue in hues.items()}
    return found if result.sides is None else found | {"left hemisphere": Outline(SKY, grid(result.sides), 1)}


def panel(image: Nifti1Image, plane: str, view: View, height: int, lines: Mapping[str, Outline]) -> Image.Image:
    """Draw one plane of an image, WIDTH by `height` pixels, in grey on black, voxels unsmoothed, with contours."""
    shown, (_, *axes, left, right) = grid(image), PLANES[plane]
    corner_mm, pixel_mm = view.box_mm[axes, 1], np.divide(view.size_mm(plane), (WIDTH, height))  # from right, from top
    pixels = np.pad(shown.plane(plane, view.position_mm), 1)  # beyond the image's edges it is dark
    for side, axis in enumerate(axes):
        places_mm = corner_mm[side] - pixel_mm[side] * (np.arange((WIDTH, height)[side]) + 0.5)
        index = np.floor((places_mm - shown.edges_mm(axis)[0]) / shown.spacing_mm[axis]).astype(int)
        pixels = pixels.take(1 + index, side, mode="clip")
    drawn = Image.fromarray(np.clip(255 * pixels.T / view.window[1], 0, 255).astype(np.uint8)).convert("RGB")
    for hue, labels, number in lines.values():
        for line_mm in labels.contours_mm(plane, labels.plane(plane, view.position_mm) == number):
            ImageDraw.Draw(drawn).line(((corner_mm - line_mm) / pixel_mm).ravel().tolist(), hue, LINE)
    write(drawn, (GAP / 4, height / 2), left, "lm", "white")
    write(drawn, (WIDTH - GAP / 4, height / 2), right, "rm", "white")
    return drawn


def write(picture: Image.Image, place: tuple[float, float], text: str, anchor: str, hue: str, edge: int = 0) -> None:
    """Write on a picture at x and y, with a black edge of some pixels; anchors are Pillow's."""
    font = ImageFont.load_default(LETTER)
    ImageDraw.Draw(picture).text(place, text, hue, font, anchor, stroke_width=edge, stroke_fill="black")


def _scale_bar(picture: Image.Image, length: float) -> None:
    x, y, pen = picture.width - GAP, picture.height - GAP, ImageDraw.Draw(picture)
    pen.line([(x - length - LINE, y), (x + LINE, y)], "black", 5 * LINE)
    pen.line([(x - length, y), (x, y)], "white", 3 * LINE)
    write(picture, (x - length / 2, y - 3 * LINE), f"{BAR_MM} mm", "mb", "white", edge=LINE)


def _legend(sheet: Image.Image, lines: Mapping[str, Outline]) -> None:
    """Write what is outlined in its colour on black, in the middle below the panels."""
    font, y = ImageFont.load_default(LETTER), sheet.height - BELOW / 2
    x = (sheet.width + GAP - sum(font.getlength(name) + GAP for name in lines)) / 2
    ImageDraw.Draw(sheet).rectangle([x - GAP, y - LETTER, sheet.width - x + GAP, y + LETTER], "black")
    for name, (hue, *_) in lines.items():
        write(sheet, (x, y), name, "lm", hue)
        x += font.getlength(name) + GAP


def _view(result: Segmentation) -> View:
    """The view around what was segmented; specks far from the rest do not widen it."""
    if not np.any(result.labels.dataobj):
        return view_of(result.image)
    found = crop(result.labels, around(np.asarray(result.labels.dataobj) > 0))  # a part, to save memory
    pieces, _ = ndimage.label(np.asarray(found.dataobj) > 0, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())
    large = sizes >= SPECK * sizes[1:].max()
    large[0] = False
    return view_of(result.image, Nifti1Image(large[pieces].astype(np.uint8), found.affine))
