"""The losses of a running training, step by step, in a table for whoever watches; never a result."""

from pathlib import Path
from typing import Any

import pandas as pd

from segsrgan_study.files import write_csv

ROWS = 200  # about so many lines a training


class LiveCurve:
    """A CSV that grows while a training runs: step, total, losses, and validation scores at an epoch's end.

    Args:
        path: of the table. Where it is there, its steps before the first one that is added are kept: a training that
            goes on continues its curve, and one that begins anew starts another.
        total: steps of the whole training.
    """

    def __init__(self, path: Path, total: int):
        self._path, self._total = path, total
        self._every = max(1, total // ROWS)
        self._rows: list[dict[str, Any]] | None = None

    def add(self, step: int, values: dict[str, Any]) -> None:
        """Add a step where it is due; its values are plain numbers or scalar tensors."""
        if self._rows is None:
            self._rows = self._before(step)
        if step % self._every and "epoch" not in values:
            return
        numbers = {name: float(value) for name, value in values.items()}
        self._rows.append({**numbers, "step": step, "total": self._total})
        write_csv(self._path, pd.DataFrame(self._rows))

    def _before(self, step: int) -> list[dict[str, Any]]:
        if not self._path.is_file():
            return []
        earlier = pd.read_csv(self._path)
        return earlier[earlier["step"] < step].to_dict("records")
