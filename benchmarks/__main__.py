"""`python -m benchmarks`, which is `make bench`."""

import argparse
import os
from importlib import import_module
from pathlib import Path

from benchmarks.common import SIZES
from segsrgan_core.atomic import write_json
from segsrgan_study.environment import environment
from segsrgan_study.paths import find_study
from segsrgan_study.progress import say, start_tensorflow, track

NAMES = ("memory", "heads", "training")  # modules, each with a function of its name


def main() -> None:
    """Measure speed and memory against the published design; one JSON file per benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; all if not given")
    parser.add_argument("--small", action="store_true", help="tiny networks and images: only shows that all works")
    parser.add_argument("--out", type=Path, help="folder of the files; results/benchmarks (--small: .work/benchmarks)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    start_tensorflow()
    from segsrgan_core.networks.functions import choose_policy

    folder = arguments.out or (find_study().scratch if arguments.small else find_study().results) / "benchmarks"
    machine = environment(choose_policy("auto"))
    for name in track(arguments.names or NAMES, "measured"):
        load = os.getloadavg()[0]  # processes that wanted to run during the minute before
        result = getattr(import_module(f"benchmarks.{name}"), name)(SIZES["small" if arguments.small else "full"])
        write_json(folder / f"{name}.json", {"machine": machine, "load_before": load, "result": result})
    say(f"written: {folder}")


if __name__ == "__main__":
    main()
