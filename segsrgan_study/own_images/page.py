"""Offline HTML page with the contact sheet of every case, failures and outliers first."""

from pathlib import Path
from typing import Any

import pandas as pd

from segsrgan_core.atomic import write_text

TEXT = ("case", "image", "state", "reason", "outliers", "notes")


def write_page(out: Path, cases: pd.DataFrame, records: dict[str, dict[str, Any]]) -> Path:
    """Write `report.html`; pictures are linked where they lie, so that hundreds of cases make no large file.

    Args:
        out: top of the derivatives.
        cases: of `tables.case_table`.
        records: of the whole cases, by name.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("segsrgan_study.own_images", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    numbers = [column for column in cases.columns if column not in TEXT]
    rows = [_row(row, numbers) for row in cases.to_dict("records")]
    page = environment.get_template("page.html.j2").render(
        failed=[row for row in rows if row["state"] == "failed"],
        done=[{**row, **_files(out, row["case"], records[row["case"]])} for row in rows if row["case"] in records],
        numbers=[(name, _title(name)) for name in numbers],
        weights=_weights(records),
    )
    return write_text(out / "report.html", page)


def _row(row: dict[str, Any], numbers: list[str]) -> dict[str, Any]:
    shown = {name: "" if pd.isna(row[name]) else f"{row[name]:.3g}" for name in numbers}
    return {**row, "numbers": shown, "doubtful": bool(row["outliers"] or row["notes"])}


def _files(out: Path, name: str, record: dict[str, Any]) -> dict[str, Any]:
    home = next(out.glob(f"sub-*/**/{name}_desc-segsrgan_dseg.json")).parent.parent.relative_to(out)
    files = [(home / file).as_posix() for file in record["FilesSha256"]]
    images = [file for file in files if file.endswith(".nii.gz")]
    return {"sheet": next(file for file in files if file.endswith(".png")), "images": images}


def _weights(records: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the different sets of weights and options, each with the number of its cases."""
    found: dict[str, dict[str, Any]] = {}
    for record in records.values():
        weights, options = record["Weights"], record["Options"]
        version = record["GeneratedBy"][0]["Version"]
        key = f"{weights['Sha256']} {options} {version}"
        facts = {**weights, "options": options, "version": version, "n": 0}
        found.setdefault(key, facts)["n"] += 1
    return list(found.values())


def _title(name: str) -> str:
    if name.endswith("_ml"):
        return f"{name.removesuffix('_ml').replace('_', ' ')}, mL"
    return {"snr": "SNR"}.get(name, name)
