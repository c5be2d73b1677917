"""What a running training leaves behind: the states from which it goes on, and its curve for whoever watches."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from segsrgan_core.atomic import write_json
from segsrgan_study.files import write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study, code_digest, digest

ROWS = 200  # about so many lines a curve


def state_files(study: Study, settings: Settings, *objectives: Callable | None) -> list[Path]:
    """Return the file of each network's state; the name stands for settings, code, prepared cases and objectives.

    Args:
        study: where the prepared cases are, and `.work/training`.
        settings: in force.
        objectives: functions in place of those of `segsrgan_core.losses`; their source counts, not what they call.
    """
    cases = sorted(path for path in (study.work / "prepared").rglob("*") if path.is_file())
    sources = [inspect.getsource(objective) for objective in objectives if objective is not None]
    code = code_digest("segsrgan_core", "segsrgan_study/steps/network")
    path = study.scratch / "training" / f"{digest([settings.model_dump_json(), code, *sources, *cases])[:16]}.npz"
    return [path.with_stem(f"{path.stem}-{n}") if n else path for n in range(settings.training.networks)]


def forget_all_but(states: list[Path]) -> None:
    """Remove the states of the training that was finished before this one, whose own stay until another one is."""
    finished = states[0].with_name("finished.json")
    before = json.loads(finished.read_text(encoding="utf-8")) if finished.is_file() else []
    write_json(finished, [path.name for path in states])
    for name in set(before) - {path.name for path in states}:
        states[0].with_name(name).unlink(missing_ok=True)


class LiveCurve:
    """A CSV that grows while a training runs: step, total, losses, and validation scores at an epoch's end.

    Args:
        path: of the table. Where it is there, its steps before the first one that is added are kept: a training that
            goes on continues its curve, and one that begins anew starts another.
        total: steps of the whole training.
    """

    def __init__(self, path: Path, total: int):
        self._path, self._total, self._rows = path, total, None

    def add(self, step: int, values: dict[str, Any]) -> None:
        """Add a step where it is due; its values are plain numbers or scalar tensors."""
        if self._rows is None:
            earlier = pd.read_csv(self._path) if self._path.is_file() else pd.DataFrame(columns=["step"])
            self._rows = earlier[earlier["step"] < step].to_dict("records")
        if step % max(1, self._total // ROWS) == 0 or "epoch" in values:
            numbers = {name: float(value) for name, value in values.items()}
            self._rows.append({**numbers, "step": step, "total": self._total})
            write_csv(self._path, pd.DataFrame(self._rows))
