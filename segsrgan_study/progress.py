"""Progress for a person: a bar at a terminal or in JupyterLab, a line at a time elsewhere, nothing in results.

A notebook that runs as a stage has no terminal. Its runner names a file in SEGSRGAN_PROGRESS, reads the lines that
appear there and shows them.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm.auto import tqdm

LOG_VARIABLE = "SEGSRGAN_PROGRESS"
SECONDS_BETWEEN_LINES = 15.0
_shown: list["Progress"] = []  # the innermost last


class Progress:
    """A count towards a total, shown with the time left.

    Args:
        label: what is counted.
        total: how many there are.
        unit: of one.
    """

    def __init__(self, label: str, total: int, unit: str = "image"):
        self.label, self.total, self.done = label, total, 0
        self._begun_at: int | None = None
        self._start = self._last = time.monotonic()
        self._file = os.environ.get(LOG_VARIABLE)
        interactive = sys.stderr.isatty() or _in_a_notebook()
        self._bar = tqdm(total=total, desc=label, unit=unit) if interactive and not self._file else None
        _shown.append(self)

    def reach(self, done: int, note: str = "") -> None:
        """Say that `done` are done; `note` is said beside it. What was done before the first call took no time here."""
        if self._begun_at is None:
            self._begun_at = done - 1
        step, self.done = done - self.done, done
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(step)
        elif note or done == self.total or time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._say(note)

    def tell(self, text: str) -> None:
        """Say what is being done meanwhile; where there is no bar, now and then."""
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        elif time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._write(f"{self.label} {self.done}/{self.total}  {text}")

    def _say(self, note: str) -> None:
        left = (time.monotonic() - self._start) / (self.done - self._begun_at) * (self.total - self.done)
        self._write(f"{self.label} {self.done}/{self.total}, {left:.0f} s left{'  ' + note if note else ''}")

    def _write(self, line: str) -> None:
        self._last = time.monotonic()
        if self._file:
            with open(self._file, "a", encoding="utf-8") as log:
                log.write(line + "\n")
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self in _shown:
            _shown.remove(self)
        if self._bar is not None:
            self._bar.close()


def _in_a_notebook() -> bool:
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and kernel.IPKernelApp.initialized()


def tell(text: str) -> None:
    """Say what is being done meanwhile beside the progress that is shown, if this process shows any."""
    if _shown:
        _shown[-1].tell(text)


def say(sentence: str) -> None:
    """Tell the person something on standard error, without breaking a bar that stands there."""
    tqdm.write(f"segsrgan: {sentence}", file=sys.stderr)


def track(items: Iterable[Any], label: str, total: int | None = None) -> Iterator[Any]:
    """Walk through items and show how far it has come."""
    items = list(items) if total is None else items
    progress = Progress(label, len(items) if total is None else total)
    for done, item in enumerate(items, start=1):
        yield item
        progress.reach(done)
    progress.close()
