"""BIDS names of images and of the files written for them."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.acquisition import TIMES
from segsrgan_study.files import stem

ENTITIES = ("sub", "ses", "acq", "ce", "rec", "run", "echo", "part", "chunk")  # of an anatomical image, in BIDS's order
LABELS = {"cortex": "CGM", "white": "WM", "csf": "CSF", "brainstem": "BS", "cerebellum": "CBM"}  # BIDS's own words
# Words that say that an image is no T2w one: anywhere in a name, at its end, and where no word says T2.
ANYWHERE = "T1W|MP2?RAGE|FLAIR|STIR|TIRM|SWIP?|DWI|DTI|DIFF|TRACEW?|EP2D|B[0-9]+T|BOLD|PERF|T2(S|STARW?|MAPS?)|FL2D"
ANYWHERE += "|HEMO|PDW|M(IN)?IP|SUBTRACTION|LOCALI[SZ]ERS?|SCOUT|INPLANET[12]|UNIT1|IMAGINARY"
AT_END = "UNI|E?ADC|FA|CT|ASL|ANGIO|MRA|TOF|EPI|SBREF|CBV|M0SCAN|MAGNITUDE[12]?|PH|PHASE.*|FIELDMAP|PDT2|B0|.*MAPS?"
ALONE = "T1[A-Z]*|PD|R2S"
SAME_SPACE = "orig|T2w|individual|native|scanner|self"
MADE = re.compile(rf"_(part-(?:phase|real|imag)|space-(?!(?:{SAME_SPACE})(?:_|$))[^_]+|Eq(?=(?:_\d+)?$))")
T2 = "(?i)t2w?"  # says nothing in a name
WITHDRAWN = 0.0  # an age: a table says that it is not known, whatever stood there before
OWN = "desc-segsrgan"  # in the names of this program's results
LONGEST_NAME = 255  # bytes, of a file on common file systems


class Failure(NamedTuple):
    """An input that gave no image."""

    source: str  # its name in the outputs
    reason: str  # one sentence
    origin: Path | None = None  # file or folder
    name: str = ""  # of the image's outputs, where it had one


@dataclass(frozen=True)
class InputImage:
    """One image to work on; paths of its outputs are relative to the top of the derivatives."""

    file: Path
    name: str  # BIDS entities, such as `sub-01_ses-2_acq-te120`; the names of its outputs begin with it
    source: str  # its name in the outputs; for DICOM never the name of the folder, which may be that of a person
    person: str = ""  # id of the subject as it was spelled
    by_table: bool = False  # a table gives the name
    beside: Path | None = None  # data set, or folder of the other echoes, of a subject that the path alone gives
    te_ms: float | None = None  # echo time, where a manifest gives it
    age_weeks: float | None = None  # postmenstrual age at the scan (before birth: gestational age), or WITHDRAWN
    folder: Path | None = None  # of DICOM, from which the file was converted

    @property
    def origin(self) -> Path:
        """File or folder that was given."""
        return self.folder or self.file

    @property
    def home(self) -> Path:
        """Folder of the subject or session."""
        return Path(*(f"{key}-{value}" for key, value in entities_of(self.name).items() if key in ("sub", "ses")))

    def path(self, suffix: str, extension: str, label: str = "", desc: str = "segsrgan") -> Path:
        """Return the path of an output, by BIDS suffix and entities."""
        entity = f"_label-{LABELS.get(label, _plain(label.title()))}" if label else ""
        return self.home / "anat" / f"{self.name}{entity}_desc-{desc}_{suffix}{extension}"

    @property
    def record(self) -> Path:
        """Path of the record of the case, the sidecar of its labels."""
        return self.path("dseg", ".json")

    @property
    def sheet(self) -> Path:
        """Path of its contact sheet."""
        return self.home / "figures" / f"{self.name}_desc-segsrgan_T2w.png"

    @property
    def fault(self) -> str:
        """Reason why it cannot be worked on, as far as its name tells; "" if it can."""
        if OWN in self.file.name:
            return "it is a result of this program; give the image that was acquired"
        part = entities_of(self.name).get("part", "mag")
        if kind := other_kind(stem(self.file)) or (f"part-{part}" if part.casefold() != "mag" else ""):
            return f"its name says {kind}, and the network was trained on T2w images alone; give the T2w image"
        above = dict(re.findall("(?:^|/)(sub|ses)-([^/]+)(?=/)", self.source))
        named = dict(re.findall("(?:^|_)(sub|ses)-([^_]+)", stem(self.file))) if not self.by_table else {}
        if any(above.get(key, label) != label for key, label in named.items()):
            return "its folder and its name say different subjects or sessions; correct one of them"
        if len(self.path("probseg", ".nii.gz", "hippocampi_amygdala").name) > LONGEST_NAME:
            return f"its outputs would have names of more than {LONGEST_NAME} letters, too long; give it a shorter one"
        is_utf8 = self.source.encode(errors="ignore").decode() == self.source
        return "" if is_utf8 else "its name is not UTF-8; rename it"


def entities_of(name: str) -> dict[str, str]:
    """Return the BIDS entities of a name such as `sub-01_ses-2`, key to value."""
    return dict(pair.split("-", 1) for pair in name.split("_") if pair)


def other_kind(name: str) -> str:
    """Return the word of a name or description that says that it is no T2w image as it was acquired; "" for none."""
    if made := MADE.search(name):
        return made[1]
    said = re.sub("sub-[^_]+", "", name).replace("*", "star")  # an id may be any word
    words = [word for word in re.split("[^A-Za-z0-9]+", said) if word] or [""]
    kinds = ANYWHERE if any(re.match(T2, word) for word in words) else f"{ANYWHERE}|{ALONE}"
    found = [word for word in words if re.fullmatch(kinds, word, re.IGNORECASE)]
    found += words[-1:] if re.fullmatch(AT_END, words[-1], re.IGNORECASE) else []
    return found[0] if found else ""


def entities_of_file(path: str | Path) -> dict[str, str]:
    """Return the BIDS entities of a file, or make them from its name and folders; not yet plain, see `joined`.

    Parts that BIDS does not know go into `acq`, so that different files keep different names. Without BIDS names, which
    scans are of one person cannot be known: each is a subject of its own, but for echoes (`P1_te15`, `P1_te120`). The
    path is relative to the folder that was given.
    """
    name, folders = stem(path), [part for part in Path(path).parts[:-1] if part not in ("images", "anat")]
    pairs = dict(part.split("-", 1) for part in folders if re.match("(sub|ses)-", part))
    folders = [part for part in folders if not re.match("(sub|ses)-", part)]
    if re.match(r"sub-[A-Za-z0-9]+(_|$)", name):
        words = name.split("_")
        pairs |= dict(word.split("-", 1) for word in words if word.partition("-")[0] in ENTITIES and "-" in word)
        words = [word for word in words if word.partition("-")[0] not in ENTITIES]
    elif "sub" in pairs:
        words = _words(*folders, name)
    else:
        known = _words(*folders)
        whole = "_".join([*folders, *(word for word in _words(name) if word not in known)]) if folders else name
        cut = re.sub(TIMES, "", whole)
        pairs["sub"] = cut if any(_words(cut)) else whole  # `t2_te120` names nobody
        words = [whole.removeprefix(pairs["sub"])]
    rest = "".join(word for word in words if not re.fullmatch(T2, word))
    return {**pairs, "acq": pairs.get("acq", "") + rest}


def _words(*texts: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", "_".join(texts)) if not re.fullmatch(T2, word)]


def joined(entities: dict[str, str]) -> str:
    """Return entities as a name in BIDS's order, of Latin letters and digits alone; a UserError without a subject."""
    plain = {key: _plain(entities.get(key, "")) for key in ENTITIES}
    if not plain["sub"]:
        given = entities.get("sub")
        raise UserError(f"{given}: no Latin letter or digit is in this name; give a CSV table with a column subject.")
    return "_".join(f"{key}-{text}" for key, text in plain.items() if text)


def label(text: str, column: str) -> str:
    """Return an id of a table as it is, without `sub-` and `ses-`; a UserError where a file's name cannot hold it."""
    bare = text.removeprefix("sub-").removeprefix("ses-")
    if text and not re.fullmatch("[A-Za-z0-9]+", bare):
        raise UserError(f"{column} {text!r} must be of Latin letters and digits alone, for names of files")
    return bare


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", unicodedata.normalize("NFKD", text))
