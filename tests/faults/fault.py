"""One case of the corpus, the command as a person runs it, and what every error's sentence must hold."""

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from segsrgan_study import cli


class Fault(NamedTuple):
    """A faulty input.

    Attributes:
        name: what is wrong, as a file's name.
        make: makes the input; what it gets is said at the table.
        says: words that the sentence must hold besides the file's name.
    """

    name: str
    make: Callable[..., Any]
    says: str


def segsrgan(*arguments: object) -> tuple[int, str]:
    """Run the command in this process; return its exit code and what it said on stderr."""
    said, before = io.StringIO(), sys.argv
    sys.argv = ["segsrgan", *map(str, arguments)]
    try:
        with contextlib.redirect_stderr(said):
            cli.main()
    except SystemExit as stopped:
        return stopped.code or 0, said.getvalue()
    finally:
        sys.argv = before
    raise AssertionError("the command returned without an exit code")


def sentence_about(name: str, said: str) -> str:
    """Return the one sentence about a file."""
    found = [line for line in said.splitlines() if name in line]
    assert len(found) == 1, f"{len(found)} sentences about {name} in:\n{said}"
    assert "Traceback" not in said
    assert len(found[0]) < 700
    return found[0]


def files_below(folder: Path) -> list[str]:
    """Return the files of a folder, also those that an interrupted write would leave."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
