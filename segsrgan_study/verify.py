"""Comparison of the committed results with a rerun of the study in a fresh clone."""

import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from segsrgan_core.errors import UserError

RESULTS = ("results", "data_manifests", "dvc.lock")  # of these, what git keeps; weights by their checksum in dvc.lock
ENVIRONMENT = "results/training/environment.json"
# Absolute and relative tolerance by name of the column or, in tables with the columns metric and value, of the metric.
# They apply where hardware or versions differ from the committed results' own: a training then takes another path.
TOLERANCES: tuple[tuple[str, float, float], ...] = (
    (r".*dice.*|val_score|ssim|val_ssim|volume_error|ece.*|auc_wrong.*", 0.02, 0),
    (r"psnr|val_psnr", 0.5, 0),  # dB
    (r"asd_mm", 0.3, 0),
    (r"hd95_mm", 0.8, 0),  # moves in steps of up to a voxel
    (r".*_ml|cortex_over.*", 0, 0.03),
    (r"loss_.*|n_(components|handles|cavities)|euler.*|hole_ratio", math.inf, 0),  # of one step; of single voxels
)
OTHERWISE = (0.0, 1e-5)
UNTRAINED = "spline"  # method whose scores no training changes
# The tables that all other results are calculated from.
JUDGED = ("results/evaluation/per_subject.csv", "results/training/history.csv", "results/variability/volumes.csv")
MEANINGS = {"identical": "the same bytes", "within": "a table within the tolerances"}
MEANINGS |= {"follows": "calculated from those tables, or drawn", "different": "NOT reproduced"}


class Verdict(NamedTuple):
    """Comparison of one committed file with that of the rerun."""

    file: str  # path relative to the repository
    verdict: str  # a key of `MEANINGS`
    detail: str = ""  # what differs


def verify(root: Path, folder: Path, data: Path | None = None) -> list[Verdict]:
    """Clone a repository twice into an empty folder, run every stage of one clone again, and compare the results.

    `data` is the data root for cohorts that are not made by the study, where SEGSRGAN_DATA is not set. A UserError
    tells that `root` is no git repository, that `folder` is not empty, or that a stage fails.
    """
    if not (root / ".git").exists() or shutil.which("git") is None:
        raise UserError(f"{root} is not a git repository, or git is not installed; clone the repository with git.")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; name an empty folder.")
    committed, rerun = folder / "committed", folder / "rerun"
    for clone in (committed, rerun):
        _run(root, "git", "clone", "--quiet", str(root), str(clone))
    _run(rerun, "dvc", "repro", "--force", "--no-run-cache", **({"SEGSRGAN_DATA": str(data)} if data else {}))
    return compare(committed, rerun)


def _run(folder: Path, *command: str, **variables: str) -> None:
    """Run a program with a clone's own code, this environment's libraries and variables where they are not set."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = variables | os.environ | {"PATH": path, "PYTHONPATH": str(folder)}
    if code := subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        raise UserError(f"`{' '.join(command)}` failed in {folder} with exit code {code}; its message is above.")


def compare(committed: Path, rerun: Path) -> list[Verdict]:
    """Compare two clones' results: one verdict per file that git keeps, or would keep, of either."""
    facts = [path.read_text() if path.is_file() else "" for path in (committed / ENVIRONMENT, rerun / ENVIRONMENT)]
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *RESULTS]
    names = subprocess.check_output(listing, cwd=rerun, text=True).splitlines()
    return [_compare(name, committed / name, rerun / name, facts[0] == facts[1]) for name in sorted(set(names))]


def _compare(name: str, committed: Path, rerun: Path, same_machine: bool) -> Verdict:
    if not committed.is_file() or not rerun.is_file():
        return Verdict(name, "different", "only in the rerun" if rerun.is_file() else "not in the rerun")
    if committed.read_bytes() == rerun.read_bytes():
        return Verdict(name, "identical")
    detail, within = _compare_tables(committed, rerun) if name in JUDGED else ("other bytes", True)
    if same_machine or name.startswith("data_manifests/") or not within:
        return Verdict(name, "different", detail)
    return Verdict(name, "within" if name in JUDGED else "follows", detail)


def _compare_tables(committed: Path, rerun: Path) -> tuple[str, bool]:
    """Return the cell that is furthest from its tolerance, and whether all are within."""
    old, new = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (committed, rerun))
    if list(old.columns) != list(new.columns) or len(old) != len(new):
        return "other rows or columns", False
    worst, detail = 0.0, "the same values, written otherwise"
    for line, (was, now) in enumerate(zip(old.to_dict("records"), new.to_dict("records"), strict=True), start=2):
        for column in old:
            name = was.get("metric", column) if column == "value" else column
            if (excess := _excess(name, was[column], now[column], was.get("method") == UNTRAINED)) > worst:
                worst, detail = excess, f"line {line}: {name} {was[column]}, now {now[column]}"
    return detail, worst <= 1


def _excess(name: str, was: str, now: str, untrained: bool) -> float:
    """Return how many tolerances two values are apart; infinite where they are no numbers."""
    if was == now:
        return 0.0
    try:
        apart, size = abs(float(was) - float(now)), abs(float(was))
    except ValueError:
        return math.inf
    found = next((limits for pattern, *limits in TOLERANCES if re.fullmatch(pattern, name)), OTHERWISE)
    absolute, relative = OTHERWISE if untrained else found
    limit = max(absolute, relative * size)
    return apart / limit if limit and not math.isnan(apart) else math.inf


def table(verdicts: list[Verdict]) -> str:
    """Return the verdicts in Markdown: a line per kind, and a table of the files that are not identical."""
    counts = {kind: sum(one.verdict == kind for one in verdicts) for kind in MEANINGS}
    lines = [f"{count} files {kind}: {MEANINGS[kind]}" for kind, count in counts.items() if count]
    others = [f"| {one.file} | {one.verdict} | {one.detail} |" for one in verdicts if one.verdict != "identical"]
    head = ["", "| file | verdict | largest difference |", "|---|---|---|"] if others else []
    return "\n".join([*lines, *head, *others])
