"""`python -m segsrgan_core.benchmarks`, which is `make bench`: measure, write results/benchmarks, say the summary."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from segsrgan_core.benchmarks.size import FULL, SMALL, Size
from segsrgan_core.imaging.files import write_json
from segsrgan_core.paths import find_study
from segsrgan_core.progress import say, track
from segsrgan_core.quiet import start_tensorflow


def run(folder: Path, size: Size, keep: bool = False) -> dict[str, float]:
    """Run every benchmark, write one JSON file each, the figure and `summary.json`; return the summary's medians.

    Args:
        folder: receives the files.
        size: of networks and images.
        keep: do not run those again whose file is there.
    """
    from segsrgan_core.benchmarks import figure
    from segsrgan_core.benchmarks.machine import load, machine
    from segsrgan_core.benchmarks.plan import plan
    from segsrgan_core.figures.style import save

    found = {}
    for name, measure in track(list(_benchmarks().items()), "measured"):
        path = folder / f"{name}.json"
        if keep and path.is_file():
            found[name] = json.loads(path.read_text(encoding="utf-8"))["result"]
            continue
        before = load()
        found[name] = measure(size)
        facts = {"machine": machine(), "load_before": before, "load_after": load()}
        write_json(path, {**facts, "result": found[name]})
    medians = summary(found)
    write_json(folder / "summary.json", medians)
    write_json(folder / "plan.json", plan(found))
    fig, table = figure.draw(found)
    save(fig, figure.NAME, folder, table)
    return medians


def summary(found: dict[str, dict]) -> dict[str, float]:
    """Return the medians of the three ratios that the work on speed is about; of training at the largest batch."""
    training = list(found["training"].values())[-1]
    return {
        "training_iteration_speedup": training["ratio"]["median"],
        "inference_speedup": found["inference"]["shipped"]["ratio"]["median"],
        "generator_share_of_peak": found["peak"]["shipped"]["forward"]["median"],
    }


def _benchmarks() -> dict[str, Callable[[Size], dict]]:
    from segsrgan_core.benchmarks import heads, host, memory, neonate, peak, repro, training

    return {
        "start": host.starts,
        "repro": repro.repro,
        "memory": memory.memory,
        "without_networks": host.without_networks,
        "imapa_neonate": neonate.imapa_neonate,
        "peak": peak.share_of_peak,
        "inference": heads.whole_head,
        "training": training.training_iteration,
    }


def main() -> None:
    """Measure in the study's results folder; `--small` shows in minutes that all works, `--keep` goes on."""
    start_tensorflow()
    small = "--small" in sys.argv[1:]
    study = find_study()
    folder = study.scratch / "benchmarks" if small else study.results / "benchmarks"
    for name, value in run(folder, SMALL if small else FULL, keep="--keep" in sys.argv[1:]).items():
        say(f"{name}: {value:.3g}")
    say(f"written: {folder}")


if __name__ == "__main__":
    main()
