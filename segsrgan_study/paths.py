"""Paths of the study."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from segsrgan_core.errors import UserError
from segsrgan_study.environment import versions

CODE = Path(__file__).parents[1]


class Study:
    """The folders and files of a study, whose repository is `root`.

    Where a network is trained or evaluated outside the study's stages, all is made in the folder `aside` in place of
    the repository, the phantoms anew.
    """

    def __init__(self, root: Path, aside: Path | None = None):
        self.root, self._made = root, aside or root
        self.params = root / "params.yaml"
        self.ablations = root / "ablations" / "ablations.yaml"
        self.manifests = root / "data_manifests"  # one CSV per cohort
        self.notebooks = root / "notebooks"  # as people edit them
        self.results = self._made / "results"  # what `dvc repro` writes and git keeps
        self.work = self._made / "data"  # large files that the stages hand to each other
        self.scratch = self._made / ".work"  # states for resuming and caches; never an output
        self.costs = self.scratch / "costs.csv"  # time of the methods, see `cost.note_costs`

    @property
    def phantoms(self) -> Path:
        """Complete phantoms that the present code made."""
        code = code_digest("segsrgan_core/imaging", "segsrgan_core/simulation.py", "segsrgan_study/phantoms")
        return self.scratch / "phantoms" / code[:16]

    def manifest(self, cohort: str) -> Path:
        """Return the manifest of a cohort."""
        return (self._made if cohort == "embedded" else self.root) / "data_manifests" / f"{cohort}.csv"

    def data_root(self, cohort: str) -> Path:
        """Return the folder that a manifest's paths start in: SEGSRGAN_DATA's or `data/`, for phantoms always this."""
        if cohort == "embedded":
            return self.work
        if (named := os.environ.get("SEGSRGAN_DATA")) and not Path(named).is_dir():
            raise UserError(f"SEGSRGAN_DATA: {named!r} is no folder; correct or unset it.")
        return Path(named).resolve() if named else self.root / "data"


def digest(parts: Iterable[str | Path]) -> str:
    """Return the SHA-256 digest of texts and of the content of files."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part.read_bytes() if isinstance(part, Path) else part.encode()).digest())
    return total.hexdigest()


def code_digest(*rooms: str) -> str:
    """Return the digest of source files, alone or in folders, and of the versions of the libraries that compute."""
    paths = [CODE / room for room in rooms]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return digest([*files, *(f"{name} {version}" for name, version in versions().items())])


def find_study(start: str | Path | None = None) -> Study:
    """Return the study that a folder, else the current one, belongs to; a UserError without params and dvc.yaml."""
    start = Path(start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return Study(folder)
    raise UserError(f"{start}: the folder is in no study (with params.yaml and dvc.yaml); go to the repository.")
