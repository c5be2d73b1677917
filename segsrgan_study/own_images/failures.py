"""Failures of all runs and jobs, kept in the folder of the results until their image succeeds."""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from segsrgan_core.atomic import write_json
from segsrgan_study.own_images.names import Failure, InputImage
from segsrgan_study.progress import say

FOLDER = ".failures"
LOCKED = "the folder cannot be read; ask for the right to read it"


class Kept(BaseModel):
    """Facts of a failure, as they are kept."""

    model_config = ConfigDict(strict=True)
    case: str
    image: str
    reason: str
    place: str


def place_digest(path: Path | None) -> str:
    """Return 8 digits of the checksum of an absolute path, which may hold a person's name; "" for None."""
    return hashlib.sha256(os.path.realpath(path).encode(errors="surrogateescape")).hexdigest()[:8] if path else ""


def refused(image: InputImage, reason: str) -> Failure:
    """Tell on standard error why an image is not worked on, one sentence without a full stop; return its failure."""
    say(f"{image.origin}: {reason}.")
    return Failure(image.source, reason, image.origin)


def keep(out: Path, failures: Iterable[Failure]) -> None:
    """Keep failures, one file each, so that jobs do not disturb each other."""
    for one in failures:
        source, reason = (text.encode(errors="replace").decode() for text in (one.source, one.reason))
        facts = {"case": one.name, "image": source, "reason": reason, "place": place_digest(one.origin)}
        key = hashlib.sha256(f"{facts['place']} {one.name or source}".encode()).hexdigest()[:16]
        write_json(out / FOLDER / f"{key}.json", facts)


def forget(out: Path, images: Sequence[InputImage]) -> None:
    """Remove the failures of images that succeeded, and of folders that could not be read and hold one.

    An image from another place that failed under the name of one that succeeded is a failure still, without that name.
    """
    files = {place_digest(one.file) for one in images}
    series = {(place_digest(one.origin), name) for one in images for name in (one.name, "")}  # of DICOM
    opened = {place_digest(above) for above in {path for one in images for path in one.origin.absolute().parents}}
    for path, one in kept(out):
        there = one["place"] in files or (one["place"], one["case"]) in series
        if there or (one["reason"] == LOCKED and one["place"] in opened):
            path.unlink(missing_ok=True)
        elif one["case"] in {image.name for image in images}:
            write_json(path, one | {"case": ""})


def kept(out: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the file and the facts (case, image, reason and place) of each failure that is kept."""
    for path in (out / FOLDER).glob("*.json"):
        try:
            yield path, Kept.model_validate_json(path.read_bytes()).model_dump()
        except OSError:  # another job has removed it
            continue
        except ValidationError:
            told = f"{FOLDER}/{path.name} is not of this program, or was changed; remove it"
            yield path, Kept(case="", image="", reason=told, place="").model_dump()


@contextmanager
def one_at_a_time(out: Path, what: str) -> Iterator[None]:
    """Let one job at a time do what follows to a case, or to the tables; on a file system without locks all go on."""
    (out / FOLDER).mkdir(exist_ok=True)
    with (out / FOLDER / f"{what}.lock").open("w") as handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
