"""Atomic writing of files: they are whole or absent, whenever the process that writes them is killed."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

PART = ".part-"


def atomic(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Write a file so that it is whole or absent.

    `write` gets a path of the same name in a folder `.part-*` beside it; at the end the file is moved. What a killed
    process leaves is removed by the next one that writes in the same folder. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        part = _part_folder(path.parent, stack) / path.name
        write(part)
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(part, path)
    return path


def _part_folder(parent: Path, stack: ExitStack) -> Path:
    """Make a folder, locked until the stack ends, so that nobody mistakes it for the remains of a dead process."""
    with suppress(OSError), _locked(parent, fcntl.LOCK_EX):
        for dead in parent.glob(f"{PART}*"):
            with suppress(OSError), _locked(dead):
                shutil.rmtree(dead)
        part = stack.enter_context(tempfile.TemporaryDirectory(prefix=PART, dir=parent))
        stack.enter_context(_locked(part))
        return Path(part)
    # No locks on this file system, hence nobody who would remove the folder.
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PART, dir=parent)))


@contextmanager
def _locked(folder: str | Path, how: int = fcntl.LOCK_EX | fcntl.LOCK_NB) -> Iterator[None]:
    """Hold a lock that the system releases when the process dies."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def write_text(path: str | Path, text: str) -> Path:
    """Write a UTF-8 text file, atomically."""
    return atomic(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_json(path: str | Path, content: Any) -> Path:
    """Write JSON with sorted keys and numbers rounded to 6 significant digits, atomically."""
    return write_text(path, json.dumps(_rounded(content), indent=2, sort_keys=True, allow_nan=False) + "\n")


def _rounded(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _rounded(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_rounded(value) for value in content]
    if isinstance(content, (float, np.floating)):
        return float(f"{content:.6g}") if np.isfinite(content) else None
    return content.item() if isinstance(content, np.generic) else content
