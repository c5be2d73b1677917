"""Packaged weights: one folder per network with `generator.npz`, `model.json` and `MODEL_CARD.md`."""

import difflib
from pathlib import Path

from segsrgan_core.errors import UserError

FOLDER = Path(__file__).parent
CARD = "model.json"
BY_PLANE = {"axial": "axial", "coronal": "any_plane", "sagittal": "any_plane"}  # the better one
AGES_WEEKS = {"axial": (29.0, 44.0), "any_plane": (26.0, 44.0)}  # for which they are meant, as their cards say


def packaged() -> list[str]:
    """Return the names of the packaged weights in alphabetical order."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{CARD}"))


def ages_weeks(folder: Path) -> tuple[float, float] | None:
    """Return the first and last age at scan that packaged weights are meant for; None for other networks."""
    return AGES_WEEKS.get(folder.name) if folder.resolve().parent == FOLDER.resolve() else None


def find_model(word: str | Path) -> Path:
    """Return the folder of a trained network; a UserError where there is none.

    `word` is the name of packaged weights, or a folder that `segsrgan train` or the study wrote (`./name` for one with
    the name of packaged weights).
    """
    names = packaged()
    if str(word) in names:
        return FOLDER / str(word)
    if (Path(word) / CARD).is_file():
        return Path(word)
    known = f"one of the packaged sets {', '.join(names)}, or "
    close = difflib.get_close_matches(str(word), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "; name the folder that `segsrgan train` wrote."
    raise UserError(f"model: expected {known}a folder with {CARD}; received {str(word)!r}{hint}")
