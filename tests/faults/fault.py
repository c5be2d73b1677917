"""One case of the corpus, the command as a person runs it, and what every error's sentence must hold."""

import contextlib
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest

from segsrgan_study import cli


class Fault(NamedTuple):
    """A faulty input."""

    name: str  # what is wrong, as a file's name
    says: str  # an expression that the sentence must match, besides the file's name
    make: Callable[[Any], Any]  # what it gets is said at the table


def fault(name: str, says: str, make: Callable[..., Any], *arguments: object) -> Fault:
    return Fault(name, says, lambda given: make(given, *arguments))


def each(faults: list[Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults, ids=[fault.name for fault in faults])


def changed(text: str, old: str, new: str, encoding: str = "utf-8") -> bytes:
    """Replace the first match of an expression, which must be there."""
    found, count = re.subn(old, new, text, count=1)
    assert count, old
    return found.encode(encoding)


def segsrgan(*arguments: object, code: int = 0) -> str:
    """Run the command in this process, which must end with an exit code; return what it said on stderr."""
    said, argv = io.StringIO(), ["segsrgan", *map(str, arguments)]
    with mock.patch.object(sys, "argv", argv), contextlib.redirect_stderr(said), pytest.raises(SystemExit) as stopped:
        cli.main()
    assert (stopped.value.code or 0) == code, said.getvalue()
    return said.getvalue()


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
