"""Progress of long work: a bar in a terminal or in JupyterLab, lines of text elsewhere; nothing of it in results.

A notebook that runs as a stage has no terminal. Its runner names a file in SEGSRGAN_PROGRESS, and shows the lines that
are appended to it. TensorFlow's start and the kernels of notebooks say much that nobody needs: it is kept apart.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, BinaryIO, Self

from tqdm.auto import tqdm

LOG_VARIABLE = "SEGSRGAN_PROGRESS"
SECONDS_BETWEEN_LINES = 15.0
_shown: list["Progress"] = []  # the innermost last


class Progress:
    """A count towards a total, shown with the time left; as a context manager it removes the bar also after errors."""

    def __init__(self, label: str, total: int, unit: str = "image"):
        self.label, self.total, self.done = label, total, 0
        self._begun_at: int | None = None
        self._start = self._last = time.monotonic()
        self._file = os.environ.get(LOG_VARIABLE)
        interactive = sys.stderr.isatty() or _in_a_notebook()
        self._bar = tqdm(total=total, desc=label, unit=unit) if interactive and not self._file else None

    def __enter__(self) -> Self:
        _shown.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _shown.remove(self)
        if self._bar is not None:
            self._bar.close()

    def reach(self, done: int, note: str = "") -> None:
        """Show how many items are done, those of an earlier run included, and the time left since the first call."""
        if self._begun_at is None:
            self._begun_at = done - 1
        step, self.done = done - self.done, done
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(step)
            return
        left = (time.monotonic() - self._start) / (done - self._begun_at) * (self.total - done)
        self._write(f", {left:.0f} s left{'  ' + note if note else ''}", now=bool(note) or done == self.total)

    def tell(self, text: str) -> None:
        """Show what is being done between two items; without a bar, every 15 seconds at most."""
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        else:
            self._write(f"  {text}")

    def _write(self, text: str, now: bool = False) -> None:
        if now or time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            with open(self._file, "a", encoding="utf-8") if self._file else nullcontext(sys.stderr) as log:
                print(f"{self.label} {self.done}/{self.total}{text}", file=log, flush=True)


def _in_a_notebook() -> bool:
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and kernel.IPKernelApp.initialized()


def tell(text: str) -> None:
    """Show what is being done beside the innermost progress of this process, if there is one."""
    if _shown:
        _shown[-1].tell(text)


def say(sentence: str) -> None:
    """Print a sentence on standard error without breaking a bar."""
    tqdm.write(f"segsrgan: {sentence}", file=sys.stderr)


def track(items: Iterable[Any], label: str) -> Iterator[Any]:
    """Yield items and show the progress, labelled with what is counted; the bar is removed at the end or an error."""
    items = list(items)
    with Progress(label, len(items)) as progress:
        for done, item in enumerate(items, start=1):
            yield item
            progress.reach(done)


@contextmanager
def stderr_into(file: BinaryIO) -> Iterator[int]:
    """Put what is written to standard error, by C++ code and new processes too, into an open file.

    A file descriptor of where it went before is yielded.
    """
    sys.stderr.flush()
    before = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield before
    finally:
        os.dup2(before, 2)
        os.close(before)


def start_tensorflow() -> None:
    """Import TensorFlow and let it find its devices; its messages are shown only after an error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # for later messages of its C++ code
    with tempfile.TemporaryFile() as said:
        try:
            with stderr_into(said):
                import tensorflow as tf

                tf.zeros(1)
        except BaseException:
            said.seek(0)
            os.write(2, said.read())
            raise
