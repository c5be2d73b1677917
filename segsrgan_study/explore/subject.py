"""The page of `explore_subject`: one image of any cohort, as acquired, interpolated, super-resolved and true."""

from typing import Any

import ipywidgets as widgets

from segsrgan_core.errors import UserError
from segsrgan_core.segmenter import Segmenter
from segsrgan_study.cohorts.schema import Row
from segsrgan_study.explore.app import App, table
from segsrgan_study.explore.looks import SEGSRGAN, Look, cohorts, look_at, rows_by_subject
from segsrgan_study.explore.panels import side_by_side, three_dimensions
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study, find_study

NOT_SEGMENTED = (
    "No stage has segmented this image yet. 'segment now' does it with the study's network (about ten seconds to a "
    "minute); `make repro` does it for the test cases and patients of the study's cohort."
)


class SubjectPage(App):
    """Choose a cohort, a subject and an acquisition; move one slider through three planes.

    Args:
        study: where; the one of the current folder if not given.
    """

    def __init__(self, study: Study | None = None):
        super().__init__()
        self.study = study or find_study()
        self._looks: dict[Row, Look] = {}
        self._rows: dict[str, list[Row]] = {}
        self._segmenter: Segmenter | None = None
        self.cohort = widgets.Dropdown(description="cohort")
        self.subject = widgets.Dropdown(description="subject")
        self.acquisition = widgets.Dropdown(description="image")
        self.place = widgets.IntSlider(50, 0, 100, 1, description="place (%)", continuous_update=False)
        self.place.layout.width = "500px"
        self.outlines = widgets.Checkbox(True, description="cortex", indent=False)
        self.uncertainty = widgets.Checkbox(True, description="uncertainty", indent=False)
        self.segment = widgets.Button(description="segment now", icon="play")
        self.solid = widgets.Button(description="3-D view", icon="cube")
        self.numbers, self.frame = widgets.HTML(), widgets.HTML()
        for control, callback in (
            (self.cohort, self._choose_cohort),
            (self.subject, self._choose_subject),
            (self.acquisition, self._draw),
            (self.place, self._draw),
            (self.outlines, self._draw),
            (self.uncertainty, self._draw),
        ):
            control.observe(self.guarded(callback), "value")
        self.segment.on_click(self.guarded(self._segment))
        self.solid.on_click(self.guarded(self._turn))
        self.guarded(self._start)()

    def body(self) -> list[widgets.Widget]:
        """Choice, slider and switches, picture, numbers, 3-D view."""
        choice = widgets.HBox([self.cohort, self.subject, self.acquisition])
        switches = widgets.HBox([self.place, self.outlines, self.uncertainty, self.segment, self.solid])
        return [choice, switches, self.picture, self.numbers, self.frame]

    @property
    def _row(self) -> Row:
        return self._rows[self.subject.value][self.acquisition.value]

    def _settings(self) -> Any:
        return read_params(self.study.params, cohort=self.cohort.value)

    def _start(self) -> None:
        found = cohorts(self.study)
        if not found:
            raise UserError(f"{self.study.manifests}: expected a manifest; received none; run `make repro` first.")
        usual = read_params(self.study.params).cohort
        self.cohort.options = found
        self.cohort.value = usual if usual in found else found[0]
        self._choose_cohort()

    def _choose_cohort(self) -> None:
        self._rows = rows_by_subject(self.study, self.cohort.value)
        test = next((name for name, rows in self._rows.items() if rows[0].split == "test"), next(iter(self._rows)))
        self.subject.options = [(f"{name} ({rows[0].split})", name) for name, rows in self._rows.items()]
        self.subject.value = test
        self._choose_subject()

    def _choose_subject(self) -> None:
        rows = self._rows[self.subject.value]
        titles = [f"TE {row.te_ms:g} ms" if row.te_ms == row.te_ms else row.image.rpartition("/")[2] for row in rows]
        self.acquisition.options = [(title, place) for place, title in enumerate(titles)]
        self.acquisition.value = 0
        self._draw()

    def _look(self) -> Look:
        if self._row not in self._looks:
            self._looks = {self._row: look_at(self.study, self._settings(), self._row)}  # one at a time: they are large
        return self._looks[self._row]

    def _draw(self) -> None:
        look = self._look()
        self.show(side_by_side(look, self.place.value / 100, self.outlines.value, self.uncertainty.value))
        self.numbers.value = table(look.numbers)
        self.frame.value = ""
        if SEGSRGAN not in look.images:
            self.say(NOT_SEGMENTED)

    def _segment(self) -> None:
        from segsrgan_study.steps.scores.evaluate import trained_segmenter

        self.say("Segmenting ...")
        settings = self._settings()
        self._segmenter = self._segmenter or trained_segmenter(self.study, settings)
        self._looks = {self._row: look_at(self.study, settings, self._row, self._segmenter)}
        self.say()
        self._draw()

    def _turn(self) -> None:
        self.say("Building the 3-D view ...")
        self.frame.value = three_dimensions(self._look())
        self.say()
