"""Run the committed study again in a fresh clone, and compare."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from segsrgan_core.errors import UserError
from segsrgan_study.paths import Study
from segsrgan_study.verify.causes import (
    causes_in_the_environment,
    causes_in_the_repository,
    first_stage_that_differs,
)
from segsrgan_study.verify.clone import make_clone, run_in
from segsrgan_study.verify.compare import Difference, compare_results

ENVIRONMENT = "results/training/environment.json"
MODEL = "results/training/model"  # kept by DVC, not by git
WORDS = {
    "identical": "are identical",
    "within": "differ within the tolerances of another machine",
    "follows": "differ as they follow from those",
    "different": "are DIFFERENT",
}


@dataclass(frozen=True)
class Verdict:
    """What a rerun says.

    Attributes:
        differences: one entry a file.
        causes: of the differences, a sentence each.
        notes: what a person should know about the comparison.
    """

    differences: list[Difference]
    causes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """No file is different, and none was edited."""
        return not any(one.verdict == "different" for one in self.differences)


def verify(study: Study, folder: Path) -> Verdict:
    """Clone the repository, run every stage again there, and compare all results with the committed ones.

    Args:
        study: the repository.
        folder: an empty folder for the clone; several GB for the default study.

    Raises:
        UserError: there is no repository, the folder is not empty, or a stage fails.
    """
    clone, committed = folder / "rerun", folder / "committed"
    notes = _clone(study.root, clone)
    for name in ("results", "data_manifests"):
        shutil.copytree(clone / name, committed / name)
    shutil.copy(clone / "dvc.lock", committed)
    if (study.root / MODEL).is_dir():
        shutil.copytree(study.root / MODEL, committed / MODEL, dirs_exist_ok=True)
    else:
        notes.append(f"{MODEL} is not here: the weights are compared by their checksum in dvc.lock")
    status = json.loads(run_in(clone, "dvc", "status", "--json", "dvc.yaml", quiet=True))
    run_in(clone, "dvc", "repro", "--force", "--no-run-cache", data=study.work if study.work.is_dir() else None)
    facts = [_facts(place) for place in (committed, clone)]
    elsewhere = causes_in_the_environment(*facts)
    differences = compare_results(committed, clone, same_environment=not elsewhere)
    if not (committed / MODEL).is_dir():
        differences = [one for one in differences if not one.file.startswith(f"{MODEL}/")]
    causes = causes_in_the_repository(status)
    if any(one.verdict != "identical" for one in differences):
        causes += elsewhere
        stage = first_stage_that_differs(*((place / "dvc.lock").read_text() for place in (committed, clone)))
        causes = causes or ["unknown: nothing that is recorded differs; the study does not repeat itself"]
        notes += [f"the first stage whose output differs: {stage}"] if stage else []
    return Verdict(differences, causes, notes)


def _clone(root: Path, clone: Path) -> list[str]:
    if not (root / ".git").exists() or shutil.which("git") is None:
        raise UserError(f"{root}: expected a git repository, and git; received none; clone the repository with git.")
    if clone.parent.is_dir() and any(clone.parent.iterdir()):
        raise UserError(f"{clone.parent}: expected an empty folder; received one with files; name another.")
    make_clone(root, clone)
    changed = run_in(root, "git", "status", "--porcelain", quiet=True).splitlines()
    return [f"{len(changed)} files here are not committed and were left out"] if changed else []


def _facts(folder: Path) -> dict:
    path = folder / ENVIRONMENT
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def table(verdict: Verdict) -> str:
    """Return the verdict as a table and sentences, in Markdown."""
    counts = {word: sum(one.verdict == word for one in verdict.differences) for word in WORDS}
    lines = [f"{count} files {WORDS[word]}" for word, count in counts.items() if count]
    others = [one for one in verdict.differences if one.verdict != "identical"]
    if others:
        lines += ["", "| file | verdict | how far (committed to rerun) |", "|---|---|---|"]
        lines += [f"| {one.file} | {one.verdict} | {one.detail} |" for one in others]
    for title, sentences in (("Cause", verdict.causes), ("Note", verdict.notes)):
        lines += ["", *(f"{title}: {sentence}." for sentence in sentences)] if sentences else []
    return "\n".join(lines) + "\n"
