"""Record of a case: the sidecar of its labels, which is written last and names every other file of the case."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segsrgan_study.files import sha256
from segsrgan_study.verdict.rule import VERDICTS

END = "_desc-segsrgan_dseg.json"


class Part(BaseModel):
    """Keys of a record that are read again; further ones may stand beside them."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Weights(Part):
    """Network that made a case."""

    Name: str
    Sha256: str


class Program(Part):
    """Program that made a case."""

    Version: str


class Record(Part):
    """What is read of a case; keys that records of older versions lack have a default."""

    Sources: list[str] = Field(min_length=1)
    GeneratedBy: list[Program] = Field(min_length=1)
    Weights: Weights
    Options: dict[str, str]
    Volumes_ml: dict[str, float]
    Quality: dict[str, float | None]
    Notes: list[str]
    FilesSha256: dict[str, str]
    Verdict: str = Field(VERDICTS[1], pattern=f"^({'|'.join(VERDICTS)})$")
    Intervals_ml: dict[str, tuple[float, float]] = {}
    Shape: dict[str, float | None] = {}
    Probability: float | None = None
    AgeWeeks: float | None = None
    ModelAgesWeeks: tuple[float, float] | None = None
    Person: tuple[str, str] | None = None


def record_files(out: Path, subject: str = "sub-*") -> list[Path]:
    """Return the records of all cases in the derivatives `out`; a folder may be a link."""
    return sorted(path for where in ("anat", "ses-*/anat") for path in out.glob(f"{subject}/{where}/*{END}"))


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record of a case; None if the file is missing or is not a record, see `counted`."""
    with suppress(OSError, ValidationError):
        return Record.model_validate_json(path.read_bytes()).model_dump(exclude_unset=True)
    return None


def read_facts(path: Path) -> dict[str, Any]:
    """Return the keys and values of a JSON file; none if it is missing or is no such file."""
    with suppress(OSError, ValueError, TypeError, RecursionError):
        return dict(json.loads(path.read_text(encoding="utf-8")))
    return {}


def is_whole(record: dict[str, Any], home: Path) -> bool:
    """Tell whether every file of a record is in the folder `home` of its subject and unchanged."""
    files = {home / name: digest for name, digest in record["FilesSha256"].items()}
    return all(path.is_file() and sha256(path) == digest for path, digest in files.items())


def counted(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Return the record of a case that counts and ""; else None and why, one sentence, or "" if there is none."""
    record = read_record(path)
    if record is not None and is_whole(record, path.parent.parent):
        return record, ""
    if not path.is_file():
        return None, ""
    what = "is not one of this program, or was changed" if record is None else "names files that are missing or changed"
    return None, f"{path.name}: the record {what}; segment its image again, or remove the file"
