"""BIDS names: of a case, and of the files that are written for it."""

import re
from dataclasses import dataclass
from pathlib import Path

from segsrgan_study.files import stem

ENTITIES = ("sub", "ses", "acq", "ce", "rec", "run", "echo", "part", "chunk")  # of an anatomical image, in BIDS's order
DERIVED = ("space", "res", "den", "label", "desc")  # of a derivative: the outputs have their own
LABELS = {"cortex": "CGM", "white": "WM", "csf": "CSF", "brainstem": "BS", "cerebellum": "CBM"}  # BIDS's own words


@dataclass(frozen=True)
class Case:
    """One image to work on.

    Attributes:
        file: where it is.
        name: BIDS entities, such as `sub-01_ses-2_acq-te120`; decides where its outputs go.
        source: what outputs call it: a file's name or a manifest's path; for DICOM never the folder's name, which may
            be a person's.
    """

    file: Path
    name: str
    source: str

    @property
    def entities(self) -> dict[str, str]:
        """Key to value."""
        return dict(pair.split("-", 1) for pair in self.name.split("_"))

    @property
    def folder(self) -> Path:
        """Where its images go, relative to the top of the derivatives."""
        ses = self.entities.get("ses")
        home = Path(f"sub-{self.entities['sub']}")
        return (home / f"ses-{ses}" if ses else home) / "anat"

    def path(self, suffix: str, extension: str, label: str = "", desc: str = "segsrgan") -> Path:
        """Return an output's path relative to the top of the derivatives."""
        entity = f"_label-{LABELS.get(label, _plain(label.title()))}" if label else ""
        return self.folder / f"{self.name}{entity}_desc-{desc}_{suffix}{extension}"

    @property
    def sheet(self) -> Path:
        """Where its contact sheet goes, relative to the top of the derivatives."""
        return self.folder.parent / "figures" / f"{self.name}_desc-segsrgan_T2w.png"


def name_of_file(path: str | Path) -> str:
    """Return the BIDS entities of a file: its own where it has them, else `sub-` and its name's letters and digits.

    What BIDS does not know of an image's name goes into `acq-`, so that different files keep different names.
    """
    name = stem(path)
    if not re.match(r"sub-[A-Za-z0-9]+(_|$)", name):
        return f"sub-{_plain(name) or 'image'}"
    parts = name.split("_")
    pairs = dict(part.split("-", 1) for part in parts if "-" in part)
    known = {key: _plain(pairs[key]) for key in ENTITIES if key in pairs}
    words = [part for part in parts[:-1] if part.partition("-")[0] not in (*ENTITIES, *DERIVED)]
    known["acq"] = known.get("acq", "") + "".join(map(_plain, words))
    return joined(known)


def joined(entities: dict[str, str]) -> str:
    """Return entities as a name in BIDS's order; empty ones are left out."""
    return "_".join(f"{key}-{entities[key]}" for key in ENTITIES if entities.get(key))


def name_of_row(subject: str, session: str = "", te_ms: float = float("nan")) -> str:
    """Return the name of a manifest's row."""
    te = f"te{_plain(f'{te_ms:g}')}" if te_ms == te_ms else ""
    sub, ses = subject.removeprefix("sub-"), session.removeprefix("ses-")
    return joined({"sub": _plain(sub) or "image", "ses": _plain(ses), "acq": te})


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)
