"""Time and memory of a piece of work. They differ from run to run, so they enter no result that is compared."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from segsrgan_core.atomic import write_json

SECONDS_BETWEEN_SAMPLES = 0.1


@dataclass
class Cost:
    """Wall-clock time in seconds; the most memory held at once by this process and all that it started, in MiB."""

    seconds: float = 0.0
    peak_mib: float = 0.0


@contextmanager
def metered() -> Iterator[Cost]:
    """Measure what runs inside; the cost is whole at the end. Memory is resident memory, sampled ten times a second."""
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
    """Keep what a stage's methods took, in place of what the stage noted before.

    Args:
        path: JSON file, {stage: {method: {subject: {"seconds", "peak_mib"}}}}.
        stage: its name.
        costs: by method's title, then by subject.
    """
    noted = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    entries = {method: {name: asdict(cost) for name, cost in runs.items()} for method, runs in costs.items()}
    write_json(path, {**noted, stage: entries})
