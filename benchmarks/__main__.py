"""`python -m benchmarks`, which is `make bench`: measure, write results/benchmarks, say the summary."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.size import FULL, SMALL, Size
from segsrgan_core.atomic import write_json
from segsrgan_study.paths import find_study
from segsrgan_study.progress import say, track
from segsrgan_study.quiet import start_tensorflow


def run(folder: Path, size: Size, keep: bool = False) -> dict[str, float]:
    """Run every benchmark, write one JSON file each, the figure and `summary.json`; return the summary's medians.

    Args:
        folder: receives the files.
        size: of networks and images.
        keep: do not run those again whose file is there.
    """
    from benchmarks import figure
    from benchmarks.plan import plan
    from segsrgan_study.figures.style import save

    found = measure(folder, size, _benchmarks(), keep)
    medians = summary(found)
    write_json(folder / "summary.json", medians)
    write_json(folder / "plan.json", plan(found))
    fig, table = figure.draw(found)
    save(fig, figure.NAME, folder, table)
    return medians


def measure(
    folder: Path, size: Size, benchmarks: Mapping[str, Callable[[Size], dict]], keep: bool = False
) -> dict[str, dict]:
    """Run benchmarks, write one JSON file each with the machine and its load, and return what they found.

    Args:
        folder: receives the files.
        size: of networks and images.
        benchmarks: by name.
        keep: do not run those again whose file is there.
    """
    from benchmarks.machine import load, machine

    found = {}
    for name, benchmark in track(list(benchmarks.items()), "measured"):
        path = folder / f"{name}.json"
        if keep and path.is_file():
            found[name] = json.loads(path.read_text(encoding="utf-8"))["result"]
            continue
        before = load()
        found[name] = benchmark(size)
        facts = {"machine": machine(), "load_before": before, "load_after": load()}
        write_json(path, {**facts, "result": found[name]})
    return found


def summary(found: dict[str, dict]) -> dict[str, float]:
    """Return the medians of the three ratios that the work on speed is about; of training at the largest batch."""
    training = list(found["training"].values())[-1]
    return {
        "training_iteration_speedup": training["ratio"]["median"],
        "inference_speedup": found["inference"]["shipped"]["ratio"]["median"],
        "generator_share_of_peak": found["peak"]["shipped"]["forward"]["median"],
    }


def _benchmarks() -> dict[str, Callable[[Size], dict]]:
    from benchmarks import heads, host, memory, neonate, peak, repro, training

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


def _alone() -> dict[str, Callable[[Size], dict]]:
    """Benchmarks that take hours on a processor, and run where they are named."""
    from benchmarks import curves

    return {"curves": curves.curves}


def main() -> None:
    """Measure what is named, or everything with a summary."""
    start_tensorflow()
    every = {**_benchmarks(), **_alone()}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"what to measure alone: {', '.join(every)}")
    parser.add_argument("--small", action="store_true", help="show in minutes that all works, in .work")
    parser.add_argument("--keep", action="store_true", help="do not measure again what is there")
    parser.add_argument("--out", type=Path, help="folder of the files; results/benchmarks if not given")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(every):
        parser.error(f"expected names of {', '.join(every)}; received {', '.join(sorted(unknown))}")
    study, size = find_study(), SMALL if arguments.small else FULL
    folder = arguments.out or (study.scratch if arguments.small else study.results) / "benchmarks"
    if arguments.names:
        measure(folder, size, {name: every[name] for name in arguments.names}, arguments.keep)
    else:
        for name, value in run(folder, size, arguments.keep).items():
            say(f"{name}: {value:.3g}")
    say(f"written: {folder}")


if __name__ == "__main__":
    main()
