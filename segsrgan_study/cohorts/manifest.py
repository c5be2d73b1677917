"""The manifest: one CSV a cohort, one row an image; validated on every read (schema: data_manifests/README.md)."""

from pathlib import Path

import numpy as np
import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.schema import COLUMNS, NUMBERS, OPTIONAL, SPLITS, Row, manifest_faults, with_optional
from segsrgan_study.cohorts.tables import parse_table, read_bytes, refuse
from segsrgan_study.files import write_csv

ADVICE = " (the columns are described in data_manifests/README.md)"


def read_manifest(path: str | Path) -> pd.DataFrame:
    """Read and validate a manifest.

    Args:
        path: the CSV file, UTF-8, comma-separated.

    Returns:
        One row an image, the columns of `Row` in this order; text columns hold "" and number columns NaN where the
        cell is empty.

    Raises:
        UserError: lists every fault at once, each with its line number as an editor shows it.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: expected a manifest; received nothing there; make it with `segsrgan manifest`.")
    frame, faults = parse_table(read_bytes(path))
    refuse(path, faults + manifest_faults(frame), ADVICE)
    return _typed(frame)


def validated(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a manifest made in memory as `read_manifest` would, sorted by subject, session, echo time and image.

    Args:
        frame: the columns of `Row`; "", None or NaN where nothing is known.

    Returns:
        As `read_manifest`.

    Raises:
        UserError: lists every fault at once, by the line that each would have in the file.
    """
    refuse("manifest", frame_faults(frame), ADVICE)
    return _typed(_sorted_text(frame))


def frame_faults(frame: pd.DataFrame) -> list[str]:
    """Return the faults that `validated` lists."""
    text = _sorted_text(frame)
    return manifest_faults(text) if len(text) else ["expected at least one image; received none"]


def write_manifest(frame: pd.DataFrame, path: str | Path) -> Path:
    """Validate a manifest and write it atomically, in an order that does not depend on its split.

    Args:
        frame: as `validated`.
        path: where to write.

    Returns:
        The path.

    Raises:
        UserError: as `validated`; nothing is written then.
    """
    checked = validated(frame)
    return write_csv(path, checked.drop(columns=[name for name in OPTIONAL if not checked[name].any()]))


def _typed(text: pd.DataFrame) -> pd.DataFrame:
    frame = with_optional(text)[list(COLUMNS)].reset_index(drop=True)
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce").astype(float) for name in NUMBERS})


def _sorted_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return text cells in the order of a manifest, indexed by the line that each row has in the file."""

    def cell(value: object) -> str:
        if value is None or value is pd.NA or value != value:
            return ""
        return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)

    text = pd.DataFrame({name: [cell(value) for value in frame[name]] for name in frame.columns}, dtype=str)
    if {"subject", "session", "te_ms", "image"} <= set(text.columns):
        order = text.assign(te_ms=pd.to_numeric(text["te_ms"], errors="coerce"))
        text = text.loc[order.sort_values(["subject", "session", "te_ms", "image"], kind="stable").index]
    return text.set_axis(pd.RangeIndex(2, len(text) + 2))


def image_rows(manifest: pd.DataFrame, split: str) -> list[Row]:
    """Return the images of one split ("train", "val", "test" or "variability"), in the manifest's order."""
    if split not in SPLITS:
        raise UserError(f"split: expected one of {', '.join(SPLITS)}; received {split!r}.")
    chosen = manifest.loc[manifest["split"] == split, list(COLUMNS)]
    return [Row(*values) for values in chosen.itertuples(index=False, name=None)]


def locate(root: str | Path, name: str) -> Path:
    """Return where a manifest's path lies on this machine.

    Args:
        root: the data root.
        name: path relative to it, its first part the cohort.

    Returns:
        The path; nothing need be there.

    Raises:
        UserError: a link leads out of the cohort's folder (the folder itself may be a link).
    """
    path = Path(root, name)
    home = Path(root, name.partition("/")[0]).resolve()
    if not path.resolve().is_relative_to(home):
        raise UserError(f"{path}: expected a file inside {home}; received a link to {path.resolve()}.")
    return path
