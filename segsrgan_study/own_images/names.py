"""BIDS names of images and of the files written for them."""

import re
from dataclasses import dataclass
from pathlib import Path

from segsrgan_core.errors import UserError
from segsrgan_study.files import stem

ENTITIES = ("sub", "ses", "acq", "ce", "rec", "run", "echo", "part", "chunk")  # of an anatomical image, in BIDS's order
DERIVED = ("space", "res", "den", "label", "desc")  # of a derivative: the outputs have their own
LABELS = {"cortex": "CGM", "white": "WM", "csf": "CSF", "brainstem": "BS", "cerebellum": "CBM"}  # BIDS's own words
NOT_T2W = ("T1W", "PDW", "FLAIR", "T2STARW", "INPLANET1", "DWI", "BOLD")  # BIDS suffixes of other contrasts
LONGEST_NAME = 255  # bytes, of a file on common file systems


@dataclass(frozen=True)
class InputImage:
    """One image to work on."""

    file: Path
    name: str  # BIDS entities, such as `sub-01_ses-2_acq-te120`; the names of its outputs begin with it
    source: str  # its name in the outputs; for DICOM never the name of the folder, which may be that of a person

    @property
    def home(self) -> Path:
        """Folder of the subject or session, relative to the top of the derivatives."""
        return Path(*(f"{key}-{value}" for key, value in entities_of(self.name).items() if key in ("sub", "ses")))

    def path(self, suffix: str, extension: str, label: str = "", desc: str = "segsrgan") -> Path:
        """Return the path of an output relative to the top of the derivatives.

        Args:
            suffix: BIDS suffix, such as "dseg".
            extension: such as ".nii.gz".
            label: tissue of a map of one class; "" for none.
            desc: BIDS description.
        """
        entity = f"_label-{LABELS.get(label, _plain(label.title()))}" if label else ""
        return self.home / "anat" / f"{self.name}{entity}_desc-{desc}_{suffix}{extension}"

    @property
    def record(self) -> Path:
        """Path of the record of the case, the sidecar of its labels, relative to the top of the derivatives."""
        return self.path("dseg", ".json")

    @property
    def sheet(self) -> Path:
        """Path of its contact sheet relative to the top of the derivatives."""
        return self.home / "figures" / f"{self.name}_desc-segsrgan_T2w.png"

    @property
    def fault(self) -> str:
        """Reason why it cannot be worked on, as far as its name tells; "" if it can."""
        kind = stem(self.file).rpartition("_")[2]
        if kind.upper() in NOT_T2W:
            return f"its name says {kind}, and the network was trained on T2w images alone; give the T2w image"
        if len(self.path("probseg", ".nii.gz", "hippocampi_amygdala").name) > LONGEST_NAME:
            return f"its outputs would have names of more than {LONGEST_NAME} letters, too long; give it a shorter one"
        is_utf8 = self.source.encode(errors="ignore").decode() == self.source
        return "" if is_utf8 else "its name is not UTF-8; rename it"


def entities_of(name: str) -> dict[str, str]:
    """Return the BIDS entities of a name such as `sub-01_ses-2`, key to value."""
    return dict(pair.split("-", 1) for pair in name.split("_"))


def name_of_file(path: str | Path) -> str:
    """Return the BIDS entities of a file's name, or `sub-` and its letters and digits if it has none.

    Parts that BIDS does not know go into `acq-`, so that different files keep different names.
    """
    name = stem(path)
    if not re.match(r"sub-[A-Za-z0-9]+(_|$)", name):
        return f"sub-{_some(name)}"
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
    return joined({"sub": _some(sub), "ses": _plain(ses), "acq": te})


def label(text: str, column: str) -> str:
    """Return an id of a table as it is, without `sub-` and `ses-`; a UserError where a file's name cannot hold it."""
    bare = text.removeprefix("sub-").removeprefix("ses-")
    if not re.fullmatch("[A-Za-z0-9]*", bare):
        raise UserError(f"{column} {text!r} must be of Latin letters and digits alone, for names of files")
    return bare


def _some(text: str) -> str:
    if not _plain(text):
        raise UserError(f"{text}: no Latin letter or digit is in this name; give a CSV table with a column subject.")
    return _plain(text)


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)
