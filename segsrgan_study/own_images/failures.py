"""Failures of all runs and jobs, kept in the folder of the results until their image succeeds."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from segsrgan_core.atomic import write_json
from segsrgan_study.own_images.names import Failure, InputImage
from segsrgan_study.progress import say

FOLDER = ".failures"
LOCKED = "the folder cannot be read; ask for the right to read it"


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
        key = one.name or hashlib.sha256(f"{facts['place']} {one.source}".encode(errors="replace")).hexdigest()[:16]
        write_json(out / FOLDER / f"{key}.json", facts)


def forget(out: Path, images: Sequence[InputImage]) -> None:
    """Remove the failures of images that succeeded, and of folders that could not be read and hold one."""
    done = {word for one in images for word in (one.name, place_digest(one.file), place_digest(one.origin))}
    opened = {place_digest(above) for above in {path for one in images for path in one.origin.absolute().parents}}
    for path, one in kept(out):
        if done & {one["case"], one["place"]} or (one["reason"] == LOCKED and one["place"] in opened):
            path.unlink(missing_ok=True)


def kept(out: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the file and the facts (case, image, reason and place) of each failure that is kept."""
    for path in (out / FOLDER).glob("*.json"):
        with suppress(OSError, ValueError):  # another job has removed it
            yield path, json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def one_at_a_time(out: Path, what: str) -> Iterator[None]:
    """Let one job at a time do what follows to a case, or to the tables; on a file system without locks all go on."""
    (out / FOLDER).mkdir(exist_ok=True)
    with (out / FOLDER / f"{what}.lock").open("w") as handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
