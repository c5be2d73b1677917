"""Time of computations, kept apart from the results because it differs between runs."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from segsrgan_core.atomic import write_text
from segsrgan_study.environment import hardware
from segsrgan_study.files import write_csv

COLUMNS = ["stage", "method", "subject", "seconds"]


def note_costs(path: Path, stage: str, costs: Iterable[tuple[str, str, float]]) -> None:
    """Write a stage's costs (title of the method, subject, seconds) as `COLUMNS`, in place of its earlier ones."""
    rows = _noted(path)[lambda noted: noted["stage"] != stage].to_dict("records")
    rows += [dict(zip(COLUMNS, (stage, *cost), strict=True)) for cost in costs]
    write_csv(path, pd.DataFrame(rows, columns=COLUMNS))


def _noted(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"subject": str}) if path.is_file() else pd.DataFrame(columns=COLUMNS)


def write_run(results: Path, stages_s: Mapping[str, float], costs: Path) -> Path:
    """Write what differs between runs: `run.js`, which `results/report.html` shows, and `costs.csv`, from `costs`."""
    table = _noted(costs).drop(columns="stage")
    write_csv(results / "costs.csv", table)
    times = {**stages_s, "all stages": sum(stages_s.values())}
    facts = hardware() | {f"time of {stage}": _duration(seconds) for stage, seconds in times.items()}
    page = pd.DataFrame({"this run": facts}).to_html(border=0)
    if len(table):
        seconds = table.groupby("method")["seconds"]
        summary = seconds.agg(["mean", "min", "max"]).map(_duration)
        summary.insert(0, "runs", seconds.count())
        page += summary.rename_axis(None).to_html(border=0)
    return write_text(results / "run.js", f"document.getElementById('run').innerHTML = {json.dumps(page)};\n")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
