"""`dvc repro` of the study in miniature: from nothing, with nothing changed, after a change of evaluation alone."""

import tempfile
import time
from pathlib import Path

from benchmarks.size import Size
from segsrgan_study.paths import find_study
from segsrgan_study.verify.clone import make_clone, run_in

EVALUATION = "segsrgan_study/figures/methods.py"  # code that the stages evaluate and figures alone depend on


def repro(size: Size) -> dict[str, float]:
    """Return the seconds of each, once, in a fresh clone of this repository's last commit; of any size the same."""
    return seconds_of_repro(find_study().root, EVALUATION)


def seconds_of_repro(root: Path, changed: str) -> dict[str, float]:
    """Time a repository's study in miniature.

    Args:
        root: the repository.
        changed: a Python file in it that gets one more comment for the last of the three.
    """
    with tempfile.TemporaryDirectory(prefix="segsrgan-") as folder:
        clone = Path(folder) / "study"
        make_clone(root, clone, setting="miniature")
        seconds = {"from nothing": _seconds(clone), "nothing changed": _seconds(clone)}
        with (clone / changed).open("a") as code:
            code.write("# one more comment\n")
        return {**seconds, "evaluation changed": _seconds(clone)}


def _seconds(clone: Path) -> float:
    start = time.perf_counter()
    run_in(clone, "dvc", "repro", "--quiet", quiet=True)
    return time.perf_counter() - start
