"""What differs between runs and machines: times and hardware, kept out of the report in `results/run.js`."""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from segsrgan_core.atomic import write_text
from segsrgan_core.cores import cores
from segsrgan_study.files import write_csv


def write_run(
    results: Path,
    stages_s: Mapping[str, float],
    facts: Mapping[str, str] | None = None,
    costs: Mapping[str, Mapping] | None = None,
) -> Path:
    """Write `run.js`, which the report shows where it lies beside it, and `costs.csv`. They are not kept in git.

    Args:
        results: the folder of `report.html`.
        stages_s: stage to its wall-clock time in seconds, in the order of the study.
        facts: more rows, for example {"GPU": "none"}.
        costs: what `cost.note_costs` noted: time and memory by stage, method and subject.
    """
    rows = {**hardware(), **(facts or {})}
    rows |= {f"time of {stage}": _duration(seconds) for stage, seconds in stages_s.items()}
    if len(stages_s) > 1:
        rows["time of all stages"] = _duration(sum(stages_s.values()))
    by_method = {method: runs for stage in (costs or {}).values() for method, runs in stage.items() if runs}
    table = [
        {"method": method, "subject": subject, **cost}
        for method, runs in by_method.items()
        for subject, cost in runs.items()
    ]
    write_csv(Path(results) / "costs.csv", pd.DataFrame(table, columns=["method", "subject", "seconds", "peak_mib"]))
    shown = [[method, *_summary(list(runs.values()))] for method, runs in by_method.items()]
    content = {"segsrganRun": rows, "segsrganCosts": shown}
    lines = [f"window.{name} = {json.dumps(value, indent=1)};\n" for name, value in content.items()]
    return write_text(Path(results) / "run.js", "".join(lines))


def _summary(costs: list[Mapping[str, float]]) -> list[str]:
    """How many runs, mean time with its range, and the most memory, in words."""
    seconds = [cost["seconds"] for cost in costs]
    span = f" ({_duration(min(seconds))} to {_duration(max(seconds))})" if len(seconds) > 1 else ""
    memory = max(cost["peak_mib"] for cost in costs) / 1024
    return [str(len(costs)), f"{_duration(sum(seconds) / len(seconds))}{span}", f"{memory:.1f} GiB"]


def hardware() -> dict[str, str]:
    """The machine in words: processor, cores, memory, system, Python."""
    facts = {"processor": _processor(), "cores": str(cores())}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        facts["memory"] = f"{memory:.1f} GiB"
    return facts | {"system": f"{platform.system()} {platform.release()}", "Python": platform.python_version()}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
