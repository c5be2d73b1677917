"""What differs between runs and machines: times and hardware, kept out of the report in `results/run.js`."""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from segsrgan_core.imaging.files import write_text


def write_run(results: Path, stages_s: Mapping[str, float], facts: Mapping[str, str] | None = None) -> Path:
    """Write `run.js`, which the report shows where it lies beside it. It is not kept in git.

    Args:
        results: the folder of `report.html`.
        stages_s: stage to its wall-clock time in seconds, in the order of the study.
        facts: more rows, for example {"GPU": "none"}.
    """
    rows = {**hardware(), **(facts or {})}
    rows |= {f"time of {stage}": _duration(seconds) for stage, seconds in stages_s.items()}
    if len(stages_s) > 1:
        rows["time of all stages"] = _duration(sum(stages_s.values()))
    return write_text(Path(results) / "run.js", f"window.segsrganRun = {json.dumps(rows, indent=1)};\n")


def hardware() -> dict[str, str]:
    """The machine in words: processor, cores, memory, system, Python."""
    facts = {"processor": _processor(), "cores": str(len(_cores()))}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        facts["memory"] = f"{memory:.1f} GiB"
    return facts | {"system": f"{platform.system()} {platform.release()}", "Python": platform.python_version()}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cores() -> range | set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
