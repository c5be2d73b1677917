"""The manifest: one CSV a cohort, one row an image; validated on every read (schema: data_manifests/README.md)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.schema import COLUMNS, NUMBERS, OPTIONAL, SPLITS, Row, manifest_faults
from segsrgan_study.cohorts.tables import parse_table, read_bytes, refuse
from segsrgan_study.files import write_csv


def read_manifest(path: str | Path) -> pd.DataFrame:
    """Read and validate a manifest, a CSV file in UTF-8: one row an image, the columns of `Row` in this order.

    Text columns hold "" and number columns NaN where the cell is empty. A UserError lists every fault at once, each
    with its line number as an editor shows it.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: the manifest is missing; make it with `segsrgan manifest`.")
    return _checked(path, read_bytes(path))


def _checked(what: str | Path, content: bytes, faults: Sequence[str] = ()) -> pd.DataFrame:
    text, found = parse_table(content)
    text = text.assign(**{name: "" for name in OPTIONAL if name not in text})
    refuse(what, [*found, *manifest_faults(text), *faults], " (the columns are described in data_manifests/README.md)")
    frame = text[list(COLUMNS)].reset_index(drop=True)
    return frame.assign(**{name: pd.to_numeric(frame[name]).astype(float) for name in NUMBERS})


def validated(frame: pd.DataFrame, what: str | Path = "manifest", faults: Sequence[str] = ()) -> pd.DataFrame:
    """Return a manifest made in memory as `read_manifest` would, sorted by subject, session, echo time and image.

    Its columns are those of `Row`; "", None or NaN where nothing is known. A UserError lists every fault at once, by
    the line that each would have in the file, and `faults` that were found elsewhere.
    """
    keys = frame[["subject", "session", "image"]].fillna("").reset_index(drop=True)
    keys.insert(2, "te_ms", pd.to_numeric(frame["te_ms"], errors="coerce").to_list())
    order = keys.sort_values(list(keys), kind="stable").index
    return _checked(what, frame.iloc[order].to_csv(index=False, float_format="%.6g").encode(), faults)


def write_manifest(frame: pd.DataFrame, path: str | Path, faults: Sequence[str] = ()) -> Path:
    """Write what `validated` returns, atomically; the order does not depend on the split."""
    checked = validated(frame, path, faults)
    return write_csv(path, checked.drop(columns=[name for name in OPTIONAL if not checked[name].any()]))


def image_rows(manifest: pd.DataFrame, split: str = "") -> list[Row]:
    """Return the images of one split ("train", "val", "test" or "variability"; "" for all), in the manifest's order."""
    if split and split not in SPLITS:
        raise UserError(f"split: {split!r} is not one of {', '.join(SPLITS)}.")
    chosen = manifest[manifest["split"] == split] if split else manifest
    return [Row(*values) for values in chosen[list(COLUMNS)].itertuples(index=False, name=None)]


def locate(root: str | Path, name: str) -> Path:
    """Return where a manifest's path, relative to the data root, lies on this machine; nothing need be there.

    A link out of the cohort's folder is a UserError; the folder itself may be a link.
    """
    path = Path(root, name)
    home = Path(root, name.partition("/")[0]).resolve()
    if not path.resolve().is_relative_to(home):
        raise UserError(f"{path}: the link to {path.resolve()} leads out of {home}; copy the file there.")
    return path
