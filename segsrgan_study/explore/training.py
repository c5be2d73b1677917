"""The page of `explore_training`: learning curves, also while a training runs."""

import time
from pathlib import Path

import ipywidgets as widgets
import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.explore.app import App
from segsrgan_study.figures import learning
from segsrgan_study.paths import Study, find_study

SECONDS_BETWEEN_LOOKS = 5
NOTHING = (
    "No training has begun yet: run `make repro` (or `dvc repro train`) in a terminal (File > New > Terminal), and "
    "come back while it runs."
)


class TrainingPage(App):
    """Follow a training: the page reads its table again every few seconds.

    Args:
        study: where; the one of the current folder if not given.
    """

    def __init__(self, study: Study | None = None):
        super().__init__()
        self.study = study or find_study()
        self.curve = widgets.Dropdown(description="training")
        self.smooth = widgets.IntSlider(5, 1, 50, description="smoothing", continuous_update=False)
        self.follow = widgets.Play(interval=1000 * SECONDS_BETWEEN_LOOKS, max=10**6, show_repeat=False)
        self.state = widgets.HTML()
        self.curve.observe(self.guarded(self._draw), "value")
        self.smooth.observe(self.guarded(self._draw), "value")
        self.follow.observe(self.guarded(self._look_again), "value")
        self.guarded(self._look_again)()

    def body(self) -> list[widgets.Widget]:
        """Choice, smoothing, play and pause, state, curves."""
        follow = widgets.HBox([widgets.Label("follow:"), self.follow])
        return [widgets.HBox([self.curve, self.smooth, follow]), self.state, self.picture]

    def _look_again(self) -> None:
        found = curves(self.study)
        if not found:
            raise UserError(NOTHING)
        if dict(self.curve.options) != found:
            chosen = self.curve.value
            self.curve.options = list(found.items())
            self.curve.value = chosen if chosen in found.values() else next(iter(found.values()))
        self._draw()

    def _draw(self) -> None:
        path = self.curve.value
        table = pd.read_csv(path)
        along = "step" if "step" in table else "epoch"
        self.state.value = _state(table, path)
        self.show(learning.draw(table, along, self.smooth.value)[0])


def curves(study: Study) -> dict[str, Path]:
    """Return what can be drawn, by a title: running and earlier trainings, newest first, and the study's history."""
    running = sorted((study.scratch / "training").glob("*.csv"), key=lambda path: -path.stat().st_mtime)
    titles = {f"{path.stem[:6]}, step by step": path for path in running}
    history = study.results / "training" / "history.csv"
    return titles | ({"the study's, by epochs": history} if history.is_file() else {})


def _state(table: pd.DataFrame, path: Path) -> str:
    if "total" not in table:
        return f"finished: {len(table)} epochs"
    step, total = int(table["step"].iloc[-1]), int(table["total"].iloc[-1])
    silent = time.time() - path.stat().st_mtime
    ago = f"last written {silent:.0f} s ago" if silent < 100 else f"last written {silent / 60:.0f} min ago"
    return f"step {step} of {total} ({step / total:.0%}), {'finished' if step == total else ago}"
