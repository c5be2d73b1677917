"""Compare two sets of results, file by file and number by number."""

import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

COMPARED = ("data_manifests/*.csv", "dvc.lock", "results/**/*")
OF_THE_MACHINE = ("results/run.js", "results/costs.csv")  # times and hardware, not kept in git
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
PICTURE_DATA = re.compile(r"(?<=base64,)[A-Za-z0-9+/=]+|(?<=\"image/png\": \")[^\"]+")

# On another processor or with other libraries a training takes another path. These columns and metrics are then
# compared with a tolerance, absolute and relative; what is not named here must agree to 0.001 %.
TOLERANCES: tuple[tuple[str, float, float], ...] = (
    (r".*dice.*|val_score|ssim|val_ssim|volume_error", 0.02, 0),
    (r"psnr|val_psnr", 0.5, 0),
    (r"asd_mm", 0.3, 0),
    (r"hd95_mm", 0.8, 0),  # it moves in steps of up to a voxel
    (r".*_ml|cortex_over.*", 0, 0.03),
    (r"loss_.*|n_components", math.inf, 0),  # of one step; of single voxels
)
EXACT = (0.0, 1e-5)
UNTRAINED = "spline"  # the method whose scores no training changes
# Every number of these comes from one of the judged tables, by code that the stages name.
JUDGED = (
    "results/evaluation/per_subject.csv",
    "results/training/history.csv",
    "results/variability/volumes.csv",
)


@dataclass(frozen=True)
class Difference:
    """How a file of the rerun differs from the committed one.

    Attributes:
        file: relative to the repository.
        verdict: "identical", "within" (the tolerances), "follows" (from the judged tables; elsewhere only) or
            "different".
        detail: how far, in words.
    """

    file: str
    verdict: str
    detail: str = ""


def compare_results(committed: Path, rerun: Path, same_environment: bool = True) -> list[Difference]:
    """Compare every result of two copies of the repository.

    Args:
        committed: folder with results/, data_manifests/ and dvc.lock.
        rerun: the same after the study was run again.
        same_environment: versions and hardware are the same, so that every byte must be.

    Returns:
        One entry a file of either copy, in the order of the names.
    """
    names = sorted(set(_files(committed)) | set(_files(rerun)))
    return [_compare(name, committed / name, rerun / name, same_environment) for name in names]


def _files(folder: Path) -> Iterator[str]:
    for pattern in COMPARED:
        for path in folder.glob(pattern):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and name not in OF_THE_MACHINE:
                yield name


def _compare(name: str, committed: Path, rerun: Path, same_environment: bool) -> Difference:
    if not committed.is_file() or not rerun.is_file():
        return Difference(name, "different", "only in the rerun" if rerun.is_file() else "not in the rerun")
    if committed.read_bytes() == rerun.read_bytes():
        return Difference(name, "identical")
    detail = how_far(committed, rerun)
    if same_environment or name.startswith("data_manifests/"):
        return Difference(name, "different", detail)
    if name not in JUDGED:
        return Difference(name, "follows", detail)
    outside = outside_tolerance(committed.read_text(encoding="utf-8"), rerun.read_text(encoding="utf-8"))
    return Difference(name, "different", outside) if outside else Difference(name, "within", detail)


def how_far(committed: Path, rerun: Path) -> str:
    """Say in words how far two files that differ are from each other."""
    if committed.suffix == ".npz":
        return _how_far_arrays(committed, rerun)
    try:
        texts = [PICTURE_DATA.sub("", path.read_text(encoding="utf-8")) for path in (committed, rerun)]
    except UnicodeDecodeError:
        return "other bytes (a picture: its numbers stand in the CSV of the same name)"
    if texts[0] == texts[1]:
        return "other pictures, the same text"
    words = [NUMBER.sub("#", text) for text in texts]
    if words[0] != words[1]:
        pairs = zip(words[0].splitlines(), words[1].splitlines(), strict=False)
        line = next((n for n, (a, b) in enumerate(pairs, 1) if a != b), None)
        return f"other words, first in line {line}" if line else "more or fewer lines"
    a, b = (np.array(NUMBER.findall(text), float) for text in texts)
    relative = np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-12)
    worst = int(np.argmax(relative))
    return f"{np.count_nonzero(a != b)} of {a.size} numbers, most {a[worst]:g} to {b[worst]:g} ({relative[worst]:.2g})"


def _how_far_arrays(committed: Path, rerun: Path) -> str:
    with np.load(committed, allow_pickle=False) as a, np.load(rerun, allow_pickle=False) as b:
        if {name: a[name].shape for name in a.files} != {name: b[name].shape for name in b.files}:
            return "other arrays"
        other = [name for name in a.files if not np.array_equal(a[name], b[name])]
        most = max((float(np.abs(a[name].astype(float) - b[name]).max()) for name in other), default=0.0)
    return f"{len(other)} of {len(a.files)} arrays, by up to {most:.2g}"


def outside_tolerance(committed: str, rerun: str) -> str:
    """Return what of a judged table is outside the tolerances, "" if nothing is."""
    tables = [list(csv.DictReader(io.StringIO(text))) for text in (committed, rerun)]
    if [list(row) for row in tables[0]] != [list(row) for row in tables[1]]:
        return "other rows or columns"
    for line, (old, new) in enumerate(zip(*tables, strict=True), start=2):
        for column in old:
            if not _agree(old, column, old[column], new[column]):
                what = old.get("metric") if column == "value" else column
                return f"line {line}: {what} {old[column]} to {new[column]}, outside its tolerance"
    return ""


def _agree(row: dict[str, str], column: str, old: str, new: str) -> bool:
    if old == new:
        return True
    if not (NUMBER.fullmatch(old) and NUMBER.fullmatch(new)):
        return False
    name = row.get("metric", column) if column == "value" else column
    absolute, relative = EXACT
    if row.get("method") != UNTRAINED:
        found = next((limits for pattern, *limits in TOLERANCES if re.fullmatch(pattern, name)), EXACT)
        absolute, relative = found
    return math.isclose(float(old), float(new), rel_tol=relative, abs_tol=absolute)
