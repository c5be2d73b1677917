"""What a folder of derivatives holds, as tables and as an offline page with the contact sheet of every case."""

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segsrgan_core.atomic import write_json, write_text
from segsrgan_core.classes import NUMBERS, SIDES
from segsrgan_study.files import write_csv
from segsrgan_study.own_images.failures import kept, one_at_a_time
from segsrgan_study.own_images.names import InputImage, entities_of
from segsrgan_study.own_images.quality import outliers
from segsrgan_study.own_images.records import END, counted, record_files
from segsrgan_study.progress import say
from segsrgan_study.shapes import cortex as shapes
from segsrgan_study.statistics.growth import AGES_WEEKS, Reference, find_reference
from segsrgan_study.verdict.measures import MEASURES
from segsrgan_study.verdict.rule import CALIBRATED, VERDICTS

IDS = ["participant_id", "session_id"]
TEXT = ["verdict", "case", "image", *IDS, "state", "reason", "outliers", "notes"]  # the first columns of cases.tsv
PROBABILITY = "probability"  # that the volume is wrong by more than 10 %
GOOD, LOOK, _ = VERDICTS
AGE, GROWTH = "age_weeks", "growth.png"
FAR_Z = 4.0  # standard deviations of the intracranial volume
COLUMNS = {
    "participant_id": "Subject.",
    "session_id": "Visit or scan of the subject.",
    "case": "Name that the case's files start with.",
    "image": "File that was segmented.",
    "verdict": "On the case: good, look or do not use.",
    "age_weeks": "Postmenstrual age at the scan, where it is known.",
    "tissue": "Tissue, or intracranial: the content of the skull.",
    "side": "Both sides together, or the left or right one alone.",
    "volume_ml": "Volume in mL.",
    "low_ml": "Lower end of the 90 % interval of the true volume in mL; empty where the weights were not calibrated.",
    "high_ml": "Its upper end.",
    **{name: f"Of the left or right cortex: {text}." for name, text in shapes.MEASURES.items()},
    "expected_ml": "Mean or median of the reference at this age.",
    "expected_low_ml": "Volume that 2.5 % of the reference's subjects of this age are below.",
    "expected_high_ml": "Volume that 2.5 % of the reference's subjects of this age are above.",
    "z": "Standard deviations from what is expected; empty outside the reference's ages and tissues.",
    "reference": "What is expected, and where it comes from.",
    "weights": "Name of the network.",
    "weights_sha256": "First 12 digits of the checksum of its weights.",
}  # of volumes.tsv


def write_tables(out: Path, reference: Reference) -> None:
    """Write `volumes.tsv`, `cases.tsv` and `report.html` from all whole cases and failures of the derivatives `out`.

    Those of earlier runs and of other jobs are included, one job writes at a time: the last one has all.
    """
    with one_at_a_time(out, "tables"):
        failed = sorted((one["case"], one["image"], one["reason"]) for _, one in kept(out))
        there = {path.name.removesuffix(END): path for path in record_files(out)}
        for name, *_ in failed:  # what there was before is kept, and counts again when its image can be read
            there.pop(name, None)
        found = {name: counted(path) for name, path in there.items()}
        faults = [(name, "", fault) for name, (_, fault) in found.items() if fault]
        for *_, fault in faults:
            say(f"{out}: {fault}.")
        failed += faults
        records = {name: record for name, (record, _) in found.items() if record is not None}
        rows = [row for name, record in records.items() for row in _volumes(name, record, reference)]
        volumes = pd.DataFrame(rows, columns=list(COLUMNS))
        cases = _cases(records, volumes, failed, reference.stage)
        verdicts = cases[cases["state"] == "succeeded"].set_index("case")["verdict"]
        volumes["verdict"] = volumes["case"].map(verdicts)
        write_csv(out / "volumes.tsv", volumes, sep="\t")
        write_json(out / "volumes.json", {name: {"Description": text} for name, text in COLUMNS.items()})
        write_csv(out / "cases.tsv", cases, sep="\t")
        _write_page(out, cases, records, volumes, reference)


def _volumes(name: str, record: dict[str, Any], reference: Reference) -> list[dict[str, Any]]:
    """Return the rows of a case, one a tissue and side."""
    made_by = {"weights": record["Weights"]["Name"], "weights_sha256": record["Weights"]["Sha256"][:12]}
    age, rows = record.get("AgeWeeks"), []
    same = not reference.weights or made_by["weights_sha256"] in reference.weights
    for tissue, side in product((*NUMBERS, "intracranial"), ("both", *SIDES)):
        key = tissue if side == "both" else f"{side}_{tissue}"
        if key not in record["Volumes_ml"]:
            continue
        ml = record["Volumes_ml"][key]
        row = {"image": record["Sources"][0], "age_weeks": age, "tissue": tissue, "side": side, "volume_ml": ml}
        row |= dict(zip(("low_ml", "high_ml"), record.get("Intervals_ml", {}).get(key, ()), strict=False))
        if same and age and key in reference.curves:
            low, middle, high = reference.curves[key].expected(age)
            row |= {"expected_ml": middle, "expected_low_ml": low, "expected_high_ml": high}
            row |= {"z": float(reference.curves[key].z(age, ml)), "reference": reference.source}
        if tissue == "cortex":
            row |= {measure: record.get("Shape", {}).get(f"{side}_{measure}") for measure in shapes.MEASURES}
        rows.append(_ids(name) | row | made_by)
    return rows


def _ids(name: str) -> dict[str, str]:
    entities = entities_of(name)
    session = f"ses-{entities['ses']}" if "ses" in entities else "n/a" if name else ""
    return {"participant_id": name.partition("_")[0], "session_id": session, "case": name}


def _cases(records: dict[str, dict], volumes: pd.DataFrame, failed: list, stage: str) -> pd.DataFrame:
    """Return one row a case with verdict, state, doubts and all measures; failures come first, then the doubtful."""
    state = {"state": "failed", "verdict": "failed"}
    rows: list[dict[str, Any]] = [{"image": of, "reason": why, **state, **_ids(name)} for name, of, why in failed]
    volumes_ml = pd.DataFrame([record["Volumes_ml"] for record in records.values()], list(records)).add_suffix("_ml")
    quality = pd.DataFrame([record["Quality"] for record in records.values()], list(records), dtype=float)
    far = outliers(volumes_ml.join(quality.reindex(columns=["snr", "contrast"])))
    z = volumes[volumes["side"] == "both"].dropna(subset=["z"]).pivot(index="case", columns="tissue", values="z")
    numbers = volumes_ml.join(z.add_suffix("_z")).join(quality)
    content = Counter(record.get("SourceSha256", name) for name, record in records.items())
    done = []
    for record, outlying, (name, row) in zip(records.values(), far, numbers.to_dict("index").items(), strict=True):
        doubts, verdict = _of_age(record, row, stage), record.get("Verdict", LOOK)  # older records have none
        if content[record.get("SourceSha256")] > 1:
            doubts.append("another case here was made from the same image")
        row |= {"image": record["Sources"][0], "state": "succeeded", AGE: record.get("AgeWeeks"), **_ids(name)}
        row |= {"outliers": outlying, "notes": "; ".join([*record["Notes"], *doubts])}
        row |= {"verdict": LOOK if verdict == GOOD and (outlying or doubts) else verdict}
        done.append(row | {PROBABILITY: record.get("Probability")})
    rows += sorted(done, key=lambda row: -VERDICTS.index(row["verdict"]))
    table = pd.DataFrame(rows, columns=[*TEXT, AGE, PROBABILITY, *numbers])
    table[TEXT] = table[TEXT].astype(object).fillna("")
    return table.astype({name: float for name in table if name not in TEXT})


def _of_age(record: dict[str, Any], numbers: dict[str, float], stage: str) -> list[str]:
    """Return what is unusual at an age, by published curves alone, or in a head that is small for the weights."""
    age, ml = record.get("AgeWeeks") or np.nan, numbers.get("intracranial_ml", np.nan)
    told, youngest, oldest = [], *(record.get("ModelAgesWeeks") or (0, np.inf))
    meant = f"the weights are meant for {youngest:g} to {oldest:g} weeks"
    if age < youngest or age > oldest:
        told.append(f"the age is {age:.3g} weeks, and {meant}")
    if np.isnan(age) and ml < find_reference("fetus").curves["intracranial"].expected(youngest)[0]:
        told.append(f"an intracranial volume of {ml:.0f} mL is that of a younger fetus, and {meant}; give the age")
    ages = {stage: AGES_WEEKS[stage], **AGES_WEEKS}  # the stage goes before the other
    fitting = next((one for one, (low, high) in ages.items() if low <= age <= high), stage)
    if abs(z := find_reference(fitting).curves["intracranial"].z(age, ml)) > FAR_Z:
        told.append(f"an intracranial volume of {ml:.0f} mL is not that of {age:.3g} weeks (z {z:+.1f})")
    return told


def _write_page(out: Path, cases: pd.DataFrame, records: dict, volumes: pd.DataFrame, reference: Reference) -> None:
    """Write `report.html`; pictures are linked where they lie, so that hundreds of cases make no large file."""
    from jinja2 import StrictUndefined, Template

    (out / GROWTH).unlink(missing_ok=True)
    over_age = volumes[(volumes["side"] == "both") & volumes["expected_ml"].notna()]
    if len(over_age):
        from segsrgan_study.figures import growth
        from segsrgan_study.figures.style import write_figure

        write_figure(growth.draw(over_age.assign(name=over_age["tissue"]), reference.curves)[0], out / GROWTH, dpi=160)
    found = [name for name in cases if name.endswith(("_ml", "_z")) and name not in MEASURES]
    # Of the volumes and z those of cortex and skull are shown; without a cortex all.
    shown = [name for name in found if name.startswith(("cortex", "intracranial")) or "cortex_ml" not in found]
    options = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True, "autoescape": True}
    rows = cases.to_dict("records")
    done = [row for row in rows if row["state"] != "failed"]
    weights: dict[str, dict[str, Any]] = {}  # different ones, with the number of their cases
    for row in done:
        image, record = InputImage(out, row["case"], row["image"]), records[row["case"]]
        files = [f"{image.home}/{name}" for name in record["FilesSha256"] if name.endswith(".nii.gz")]
        row |= {"sheet": image.sheet, "files": files, "calibrated": record.get("Calibration") == CALIBRATED}
        own = volumes[volumes["case"] == row["case"]]
        sides = own.pivot(index="tissue", columns="side", values="volume_ml").reindex(columns=list(SIDES))
        row["volumes"] = own[own["side"] == "both"].join(sides, on="tissue").to_dict("records")
        made = {**record["Weights"], "options": record["Options"], "version": record["GeneratedBy"][0]["Version"]}
        key = f"{made['Sha256']} {made['options']} {made['version']}"
        weights.setdefault(key, {**made, "n": 0})["n"] += 1
    page = Template(Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8"), **options).render(
        failed=[row for row in rows if row["state"] == "failed"],
        done=done,
        counts=cases["verdict"].value_counts().reindex(VERDICTS, fill_value=0).to_dict(),
        numbers=[*shown, "snr", "contrast"],
        reference=reference.source,
        growth=GROWTH if len(over_age) else "",
        aged=int(cases[AGE].notna().sum()),
        weights=list(weights.values()),
    )  # fmt: skip
    write_text(out / "report.html", page)
