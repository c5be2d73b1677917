"""Time and memory of computations, kept apart from the results because they differ between runs."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from segsrgan_core.atomic import write_json, write_text
from segsrgan_study.environment import hardware

SECONDS_BETWEEN_SAMPLES = 0.1


@dataclass
class Cost:
    """Wall-clock time in seconds, and the peak memory in MiB of this process and its children together."""

    seconds: float = 0.0
    peak_mib: float = 0.0


@contextmanager
def metered() -> Iterator[Cost]:
    """Measure the body of a `with`; the cost is complete at its end. Resident memory is sampled ten times a second."""
    cost, stop = Cost(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(cost, stop), daemon=True)
    start = time.monotonic()
    watcher.start()
    try:
        yield cost
    finally:
        cost.seconds = time.monotonic() - start
        stop.set()
        watcher.join()


def _watch(cost: Cost, stop: threading.Event) -> None:
    while True:
        cost.peak_mib = max(cost.peak_mib, _resident_mib())
        if stop.wait(SECONDS_BETWEEN_SAMPLES):
            return


def _resident_mib() -> float:
    import psutil

    process, total = psutil.Process(), 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.Error:  # it ended meanwhile
            continue
    return total / 2**20


def note_costs(path: Path, stage: str, costs: Mapping[str, Mapping[str, Cost]]) -> None:
    """Write the costs of a stage's methods, replacing earlier ones of the stage.

    Args:
        path: JSON file, {stage: {method: {subject: {"seconds", "peak_mib"}}}}.
        stage: name of the stage.
        costs: by title of the method, then by subject.
    """
    noted = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    entries = {method: {name: asdict(cost) for name, cost in runs.items()} for method, runs in costs.items()}
    write_json(path, {**noted, stage: entries})


def write_run(results: Path, stages_s: Mapping[str, float], costs: Mapping[str, Mapping]) -> Path:
    """Write what differs between runs: `run.js`, shown by a report beside it, and `costs.csv`.

    Args:
        results: the folder of `report.html`.
        stages_s: wall-clock time in seconds by stage.
        costs: as from `note_costs`.

    Returns:
        The path of `run.js`.
    """
    import pandas as pd

    from segsrgan_study.files import write_csv

    methods = [(method, subjects) for stage in costs.values() for method, subjects in stage.items()]
    runs = [{"method": method, "subject": name} | cost for method, by_name in methods for name, cost in by_name.items()]
    table = pd.DataFrame(runs, columns=["method", "subject", "seconds", "peak_mib"])
    write_csv(results / "costs.csv", table)
    times = {**stages_s, "all stages": sum(stages_s.values())}
    facts = hardware() | {f"time of {stage}": duration(seconds) for stage, seconds in times.items()}
    seconds, peaks = (table.groupby("method", sort=False)[name] for name in ("seconds", "peak_mib"))
    summary = seconds.agg(["mean", "min", "max"]).map(duration)
    summary.insert(0, "runs", seconds.count())
    summary["most memory"] = (peaks.max() / 1024).map("{:.1f} GiB".format)
    page = pd.DataFrame({"this run": facts}).to_html(border=0)
    page += summary.rename_axis(None).to_html(border=0) if len(summary) else ""
    return write_text(results / "run.js", f"document.getElementById('run').innerHTML = {json.dumps(page)};\n")


def duration(seconds: float) -> str:
    """Return a time in words, such as "5 min 01 s"; `seconds` is at least 0."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
