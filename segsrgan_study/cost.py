"""Time and memory of computations, kept apart from the results because they differ between runs."""

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from segsrgan_core.atomic import write_text
from segsrgan_study.environment import hardware
from segsrgan_study.files import write_csv

SECONDS_BETWEEN_SAMPLES = 0.1
COLUMNS = ["stage", "method", "subject", "seconds", "peak_mib"]


@dataclass
class Cost:
    """Wall-clock time in seconds, and the peak memory in MiB of this process and its children together."""

    seconds: float = 0.0
    peak_mib: float = 0.0


@contextmanager
def metered() -> Iterator[Cost]:
    """Measure the body of a `with`; the cost is complete at its end. Resident memory is sampled ten times a second."""
    cost, ended = Cost(), threading.Event()

    def watch() -> None:
        last = False
        while not last:
            cost.peak_mib = max(cost.peak_mib, _resident_mib())
            last = ended.wait(SECONDS_BETWEEN_SAMPLES)

    watcher = threading.Thread(target=watch, daemon=True)
    start = time.monotonic()
    watcher.start()
    try:
        yield cost
    finally:
        cost.seconds = time.monotonic() - start
        ended.set()
        watcher.join()


def _resident_mib() -> float:
    import psutil

    process, total = psutil.Process(), 0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):  # it ended meanwhile
            total += one.memory_info().rss
    return total / 2**20


def note_costs(path: Path, stage: str, costs: Iterable[tuple[str, str, Cost]]) -> None:
    """Write a stage's costs (title of the method, subject, cost) as `COLUMNS`, in place of its earlier ones."""
    rows = _noted(path)[lambda noted: noted["stage"] != stage].to_dict("records")
    rows += [{"stage": stage, "method": method, "subject": name, **asdict(cost)} for method, name, cost in costs]
    write_csv(path, pd.DataFrame(rows, columns=COLUMNS))


def _noted(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"subject": str}) if path.is_file() else pd.DataFrame(columns=COLUMNS)


def write_run(results: Path, stages_s: Mapping[str, float], costs: Path) -> Path:
    """Write what differs between runs: `run.js`, which `results/report.html` shows, and `costs.csv`, noted in `costs`.

    `stages_s` is wall-clock time in seconds by stage.
    """
    table = _noted(costs).drop(columns="stage")
    write_csv(results / "costs.csv", table)
    times = {**stages_s, "all stages": sum(stages_s.values())}
    facts = hardware() | {f"time of {stage}": _duration(seconds) for stage, seconds in times.items()}
    page = pd.DataFrame({"this run": facts}).to_html(border=0)
    if len(table):
        seconds, peaks = (table.groupby("method")[name] for name in ("seconds", "peak_mib"))
        summary = seconds.agg(["mean", "min", "max"]).map(_duration)
        summary.insert(0, "runs", seconds.count())
        summary["most memory"] = (peaks.max() / 1024).map("{:.1f} GiB".format)
        page += summary.rename_axis(None).to_html(border=0)
    return write_text(results / "run.js", f"document.getElementById('run').innerHTML = {json.dumps(page)};\n")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
