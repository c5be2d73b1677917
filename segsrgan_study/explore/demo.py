"""The page of `demo_your_image`: one path in, everything out, by the same command as in a terminal."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ipywidgets as widgets
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import resample_like
from segsrgan_study.explore.app import App, short, table
from segsrgan_study.explore.looks import ACQUIRED_THICK, LOW, SEGSRGAN, SPLINE, Look, cohorts, rows_by_subject
from segsrgan_study.explore.panels import side_by_side, three_dimensions
from segsrgan_study.figures.panels import mask_of
from segsrgan_study.files import load_image, load_labels, stem
from segsrgan_study.paths import Study, find_study

COMMAND = (sys.executable, "-c", "from segsrgan_study.cli import main; main()")


class DemoPage(App):
    """Name an image and run it.

    Args:
        study: whose network is used; the one of the current folder if not given.
    """

    def __init__(self, study: Study | None = None):
        super().__init__()
        self.study = study or find_study()
        self._look: Look | None = None
        wide = widgets.Layout(width="700px")
        self.path = widgets.Text(sample(self.study), description="image", layout=wide)
        self.path.placeholder = "a NIfTI file, relative to the study's folder or whole"
        self.run = widgets.Button(description="run", icon="play", button_style="primary")
        self.place = widgets.IntSlider(50, 0, 100, 1, description="place (%)", continuous_update=False)
        self.outlines = widgets.Checkbox(True, description="cortex", indent=False)
        self.solid = widgets.Button(description="3-D view", icon="cube")
        self.numbers, self.files, self.frame = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.run.on_click(self.guarded(self._run))
        self.solid.on_click(self.guarded(self._turn))
        for control in (self.place, self.outlines):
            control.observe(self.guarded(self._draw), "value")
        self.say("Name an image and press 'run'.")

    def body(self) -> list[widgets.Widget]:
        """Path, slider, picture, numbers, files, 3-D view."""
        switches = widgets.HBox([self.place, self.outlines, self.solid])
        return [widgets.HBox([self.path, self.run]), switches, self.picture, self.numbers, self.files, self.frame]

    def _run(self) -> None:
        source = Path(self.path.value).expanduser()
        source = source if source.is_absolute() else self.study.root / source
        if not self.path.value.strip() or not source.exists():
            raise UserError(f"image: expected a file; received {self.path.value!r}; nothing is there: correct it.")
        out = self.study.scratch / "demo" / stem(source)
        arguments = ["segment", str(source), "--out", str(out), *_model(self.study)]
        for line in run(arguments, self.study.root):
            self.say(line)
        self._look = derived(out, source if source.is_file() else None)
        self.numbers.value = table(_volumes(out))
        self.files.value = _listing(out, ["segsrgan", *arguments], self.study.root)
        self._draw()

    def _draw(self) -> None:
        if self._look is None:
            raise UserError("Nothing has been run yet: name an image and press 'run'.")
        self.say()
        self.show(side_by_side(self._look, self.place.value / 100, self.outlines.value, uncertainty=True))
        self.frame.value = ""

    def _turn(self) -> None:
        if self._look is None:
            raise UserError("Nothing has been run yet: name an image and press 'run'.")
        self.frame.value = three_dimensions(self._look)


def sample(study: Study) -> str:
    """Return the path of a thick-slice image of the study, relative to it, or "" where there is none."""
    for cohort in cohorts(study):
        root = study.data_root(cohort)
        for rows in rows_by_subject(study, cohort).values():
            path = root / rows[0].image
            if rows[0].split == ACQUIRED_THICK and path.is_file():
                return short(path, study.root)
    return ""


def run(arguments: list[str], folder: Path) -> Iterator[str]:
    """Run `segsrgan` and yield what it says.

    Raises:
        UserError: it failed; the message is its last one.
    """
    said = "segsrgan failed without a word"
    done = subprocess.Popen([*COMMAND, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True)
    for line in done.stderr:
        if line.startswith("segsrgan: ") or " left" in line:
            said = line.strip().removeprefix("segsrgan: ")
            yield said
    if done.wait():
        raise UserError(said)


def derived(out: Path, source: Path | None) -> Look:
    """Read what the command wrote.

    Args:
        out: top of the derivatives of one image.
        source: the image, to be shown beside them; None where it is no file.
    """
    image = load_image(_only(out, "*_desc-segsrgan_T2w.nii.gz"))
    labels = load_labels(_only(out, "*_desc-segsrgan_dseg.nii.gz"))
    images: dict[str, Nifti1Image] = {}
    if source is not None:
        low = load_image(source)
        images = {LOW: low, SPLINE: resample_like(low, image)}
    images[SEGSRGAN] = image
    doubt = load_image(_only(out, "*_desc-segsrganuncertainty_probseg.nii.gz"))
    return Look(images, {SEGSRGAN: mask_of(labels, NUMBERS["cortex"])}, doubt)


def _only(out: Path, pattern: str) -> Path:
    found = sorted(out.rglob(pattern))
    if not found:
        raise UserError(f"{out}: expected {pattern}; received none; remove the folder and run again.")
    return found[0]


def _model(study: Study) -> list[str]:
    """The study's own network where it was trained; else the command's default."""
    folder = study.results / "training" / "model"
    return ["--model", str(folder)] if (folder / "model.json").is_file() else []


def _volumes(out: Path) -> dict[str, str]:
    volumes = pd.read_csv(out / "volumes.tsv", sep="\t").iloc[0]
    names = [name for name in volumes.index if name.endswith("_ml")]
    return {name.removesuffix("_ml").replace("_", " "): f"{volumes[name]:.1f} ml" for name in names}


def _listing(out: Path, command: list[str], root: Path) -> str:
    files = "".join(f"<li><code>{short(path, root)}</code></li>" for path in sorted(out.rglob("*")) if path.is_file())
    return f"<p>The same in a terminal: <code>{shlex.join(command)}</code></p><p>Files:</p><ul>{files}</ul>"
