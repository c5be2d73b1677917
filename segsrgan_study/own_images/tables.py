"""What a folder of derivatives holds, as tables and as an offline page with the contact sheet of every case."""

from pathlib import Path
from typing import Any

import pandas as pd

from segsrgan_core.atomic import write_json, write_text
from segsrgan_core.classes import SIDES
from segsrgan_study.files import write_csv
from segsrgan_study.own_images.bids import is_whole, read_record
from segsrgan_study.own_images.failures import kept_failures, one_at_a_time
from segsrgan_study.own_images.names import InputImage, entities_of
from segsrgan_study.own_images.quality import outliers
from segsrgan_study.verdict.measures import MEASURES
from segsrgan_study.verdict.rule import CALIBRATED, VERDICTS

RECORDS = "sub-*/**/*_desc-segsrgan_dseg.json"
IDS = ["participant_id", "session_id"]
TEXT = ["verdict", "case", "image", *IDS, "state", "reason", "outliers", "notes"]  # the first columns of cases.tsv
PROBABILITY = "probability"  # that the volume is wrong by more than 10 %
GOOD, LOOK, _ = VERDICTS
COLUMNS = {
    "participant_id": "Subject.",
    "session_id": "Visit or scan of the subject.",
    "case": "Name that the case's files start with.",
    "image": "File that was segmented.",
    "tissue": "Tissue, or intracranial: the content of the skull.",
    "side": "Both sides together, or the left or right one alone.",
    "volume_ml": "Volume in mL.",
    "weights": "Name of the network.",
    "weights_sha256": "First 12 digits of the checksum of its weights.",
}  # of volumes.tsv


def write_tables(out: Path) -> None:
    """Write `volumes.tsv`, `cases.tsv` and `report.html` from all whole cases and failures of a folder.

    Those of earlier runs and of other jobs are included, one job writes at a time: the last one has all.
    """
    with one_at_a_time(out):
        _write_tables(out)


def _write_tables(out: Path) -> None:
    failed = kept_failures(out)
    found = {path: read_record(path) for path in sorted(out.glob(RECORDS))}
    records = {
        path.name.partition("_desc-")[0]: record
        for path, record in found.items()
        if record is not None and is_whole(record, path.parent.parent)
    }
    volumes = pd.DataFrame([row for one in records.items() for row in _volumes(*one)], columns=list(COLUMNS))
    cases = _cases(records, failed)
    write_csv(out / "volumes.tsv", volumes, sep="\t")
    write_json(out / "volumes.json", {name: {"Description": text} for name, text in COLUMNS.items()})
    write_csv(out / "cases.tsv", cases, sep="\t")
    _write_page(out, cases, records)


def _volumes(name: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a case, one a tissue and side."""
    made_by = {"weights": record["Weights"]["Name"], "weights_sha256": record["Weights"]["Sha256"][:12]}
    rows = []
    for key, ml in record["Volumes_ml"].items():
        side, _, tissue = key.partition("_") if key.startswith(SIDES) else ("both", "", key)
        volume = {"image": record["Sources"][0], "tissue": tissue, "side": side, "volume_ml": ml}
        rows.append(_ids(name) | volume | made_by)
    return rows


def _ids(name: str) -> dict[str, str]:
    entities = entities_of(name)
    session = f"ses-{entities['ses']}" if "ses" in entities else "n/a"
    return {"participant_id": f"sub-{entities['sub']}", "session_id": session, "case": name}


def _cases(records: dict[str, dict], failed: list[tuple[str, str, str]]) -> pd.DataFrame:
    """Return one row a case with verdict, state, doubts and all measures; failures come first, then the doubtful."""
    rows = [{"case": name, "image": source, "state": "failed", "reason": why} for name, source, why in failed]
    table = pd.DataFrame(rows).assign(verdict="failed")
    if records:
        numbers = pd.DataFrame([record["Volumes_ml"] for record in records.values()]).add_suffix("_ml")
        done = pd.DataFrame(
            _ids(name)
            | {"image": record["Sources"][0], "notes": "; ".join(record["Notes"]), "verdict": LOOK}
            | {key.lower(): record[key] for key in ("Verdict", "Probability") if key in record}  # not in older records
            for name, record in records.items()
        )
        quality = pd.DataFrame([record["Quality"] for record in records.values()], dtype=float)
        done = done.assign(state="succeeded", outliers=outliers(numbers.join(quality[["snr", "contrast"]])))
        done[PROBABILITY] = done.get(PROBABILITY, pd.Series(dtype=float)).astype(float)
        done.loc[(done["outliers"] != "") & (done["verdict"] == GOOD), "verdict"] = LOOK
        done = done.join(numbers).join(quality).reindex(columns=[*TEXT, PROBABILITY, *numbers, *quality])
        table = pd.concat([table, done.iloc[(-done["verdict"].map(VERDICTS.index)).argsort(kind="stable")]])
    table = table.reindex(columns=list(dict.fromkeys([*TEXT, PROBABILITY, *table]))).reset_index(drop=True)
    return table.assign(**{name: table[name].astype(object).fillna("") for name in TEXT})


def _write_page(out: Path, cases: pd.DataFrame, records: dict[str, dict[str, Any]]) -> None:
    """Write `report.html`; pictures are linked where they lie, so that hundreds of cases make no large file."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("segsrgan_study.own_images", ".")
    options = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    rows = cases.to_dict("records")
    done = [row for row in rows if row["state"] != "failed"]
    weights: dict[str, dict[str, Any]] = {}  # different ones, with the number of their cases
    for row in done:
        image, record = InputImage(out, row["case"], row["image"]), records[row["case"]]
        files = [f"{image.home}/{name}" for name in record["FilesSha256"] if name.endswith(".nii.gz")]
        row |= {"sheet": image.sheet, "files": files, "calibrated": record.get("Calibration") == CALIBRATED}
        made = {**record["Weights"], "options": record["Options"], "version": record["GeneratedBy"][0]["Version"]}
        key = f"{made['Sha256']} {made['options']} {made['version']}"
        weights.setdefault(key, {**made, "n": 0})["n"] += 1
    page = Environment(loader=loader, autoescape=True, **options).get_template("page.html.j2").render(
        failed=[row for row in rows if row["state"] == "failed"],
        done=done,
        counts=cases["verdict"].value_counts().reindex(VERDICTS, fill_value=0).to_dict(),
        numbers=[name for name in cases if name.endswith("_ml") and name not in MEASURES] + ["snr", "contrast"],
        weights=list(weights.values()),
    )  # fmt: skip
    write_text(out / "report.html", page)
