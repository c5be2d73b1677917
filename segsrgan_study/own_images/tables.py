"""Tables of a folder of derivatives: volumes, and cases with their quality."""

from pathlib import Path
from typing import Any

import pandas as pd

from segsrgan_core.atomic import write_json
from segsrgan_study.files import write_csv
from segsrgan_study.own_images.bids import is_whole, read_record
from segsrgan_study.own_images.page import write_page
from segsrgan_study.own_images.quality import outliers

RECORDS = "sub-*/**/*_desc-segsrgan_dseg.json"
QUALITY = ("snr", "contrast")


def write_tables(out: Path, failed: dict[str, tuple[str, str]]) -> None:
    """Write `volumes.tsv`, `cases.tsv` and `report.html` from all whole cases of a folder.

    Args:
        out: top of the derivatives; cases of earlier runs count as well.
        failed: source to case name and reason.
    """
    records = whole_records(out)
    volumes = pd.DataFrame([_volumes(name, record) for name, record in records.items()])
    cases = case_table(records, failed)
    names = [column for column in volumes.columns if column.endswith("_ml")]
    write_csv(out / "volumes.tsv", volumes if records else pd.DataFrame(columns=["participant_id"]), sep="\t")
    write_json(out / "volumes.json", _described(names))
    write_csv(out / "cases.tsv", cases, sep="\t")
    write_page(out, cases, records)


def whole_records(out: Path) -> dict[str, dict[str, Any]]:
    """Return the record of each whole case of a folder, by the case's name."""
    found = {path: read_record(path) for path in sorted(out.glob(RECORDS))}
    return {
        path.name.partition("_desc-")[0]: record
        for path, record in found.items()
        if record is not None and is_whole(record, path.parent.parent)
    }


def _volumes(name: str, record: dict[str, Any]) -> dict[str, Any]:
    entities = dict(pair.split("-", 1) for pair in name.split("_"))
    row = {"participant_id": f"sub-{entities['sub']}"}
    row["session_id"] = f"ses-{entities['ses']}" if "ses" in entities else "n/a"
    row |= {"case": name, "image": record["Sources"][0]}
    row |= {f"{tissue}_ml": ml for tissue, ml in record["Volumes_ml"].items()}
    row |= {f"{tissue}_se_ml": ml for tissue, ml in record["StandardErrors_ml"].items()}
    return row | {"weights": record["Weights"]["Name"], "weights_sha256": record["Weights"]["Sha256"][:12]}


def case_table(records: dict[str, dict[str, Any]], failed: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Return one row a case with state, doubts and numbers; failures come first, then the doubtful."""
    rows = [{"case": name, "image": source, "state": "failed", "reason": why} for source, (name, why) in failed.items()]
    measured = []
    for name, record in records.items():
        volumes = {f"{tissue}_ml": ml for tissue, ml in record["Volumes_ml"].items()}
        scores = {key: record["Quality"][key] for key in QUALITY}
        row = {"case": name, "image": record["Sources"][0], "state": "succeeded", **volumes, **scores}
        measured.append(row | {"notes": "; ".join(record["Notes"])})
    done = pd.DataFrame(measured)
    if len(done):
        numbers = [column for column in done.columns if column.endswith("_ml") or column in QUALITY]
        done["outliers"] = outliers(done, numbers)
        done = done.iloc[(done["outliers"] + done["notes"] == "").argsort(kind="stable")]
    table = pd.concat([pd.DataFrame(rows), done], ignore_index=True)
    first = ["case", "image", "state", "reason", "outliers", "notes"]
    table = table.reindex(columns=[*first, *(column for column in table.columns if column not in first)])
    return table.assign(**{name: table[name].astype(object).fillna("") for name in first})


def _described(volumes: list[str]) -> dict[str, Any]:
    """Return the data dictionary of `volumes.tsv`."""
    words = {
        "participant_id": "Subject.",
        "session_id": "Visit or scan of the subject.",
        "case": "Name that the case's files start with.",
        "image": "File that was segmented.",
        "weights": "Name of the network.",
        "weights_sha256": "First 12 digits of the checksum of its weights.",
    }
    facts: dict[str, Any] = {name: {"Description": text} for name, text in words.items()}
    return facts | {name: {"Description": f"{_volume_in_words(name)}.", "Units": "mL"} for name in volumes}


def _volume_in_words(column: str) -> str:
    tissue = column.removesuffix("_ml").removesuffix("_se").replace("_", " ")
    return f"Standard error of the volume of the {tissue}" if column.endswith("_se_ml") else f"Volume of the {tissue}"
