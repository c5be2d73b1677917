"""Build `results/report.html` and `results/tables/*.tex` from what the study left in `results/`."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from segsrgan_core.atomic import write_text
from segsrgan_study.figures import (
    ablations,
    anisotropic,
    assumptions,
    before_after,
    bland_altman,
    calibration,
    learning,
    methods,
    networks,
    simulation,
    te_effect,
    te_overlay,
    variability_table,
)
from segsrgan_study.report.data_card import cohort_title, data_card
from segsrgan_study.report.evaluation import evaluation_findings, evaluation_tables
from segsrgan_study.report.trust import trust_findings, trust_tables
from segsrgan_study.report.variability import reasons, variability_findings, variability_tables

FIGURES = {
    "data": (anisotropic, simulation),
    "method": (networks, learning),
    "evaluation": (before_after, methods, calibration, ablations),
    "variability": (variability_table, te_effect, te_overlay, bland_altman, assumptions),
}
PACKAGES = (
    "antspyx", "brainextractor", "keras", "matplotlib", "nibabel", "nilearn", "numba", "numpy", "pandas",
    "scikit-image", "scipy", "statsmodels", "tensorflow",
)  # fmt: skip


def build_report(results: Path, manifest: pd.DataFrame, settings: Mapping[str, Any]) -> Path:
    """Write the report and the LaTeX tables; the same results give the same bytes.

    Args:
        results: the folder that holds evaluation/, variability/, training/ and figures/, each where its stage ran.
            `figures/missing.json` ({name: reason}) is read where it exists.
        manifest: the cohort's manifest.
        settings: the parameters in force (`params.yaml` as a nest of dicts), with "cohort" and "setting".

    Returns:
        The path of report.html.
    """
    results, cohort = Path(results), str(settings["cohort"])
    evaluation = _read(results / "evaluation" / "metrics.json")
    variability = _read(results / "variability" / "metrics.json")
    compared = _read(results / "ablations" / "metrics.json")
    tables = {
        "evaluation": evaluation_tables(evaluation) + trust_tables(evaluation, compared),
        "variability": variability_tables(variability, cohort),
    }
    for old in (results / "tables").glob("*.tex"):
        old.unlink()
    for table in [*tables["evaluation"], *tables["variability"]]:
        write_text(results / "tables" / f"{table.name}.tex", table.latex())
    figures, missing = _figures(results / "figures", cohort)
    page = _template().render(
        cohort=cohort,
        title=cohort_title(cohort),
        setting=settings.get("setting", ""),
        findings=evaluation_findings(evaluation) + variability_findings(variability) + trust_findings(variability),
        card=data_card(cohort, manifest),
        objective=_objective(settings.get("model", {}), settings.get("training", {})),
        tables=tables,
        figures=figures,
        not_run=_not_run(results, cohort, missing, evaluation.get("methods", {}), variability),
        parameters=list(_flat(settings)),
        versions=list(_versions()),
    )
    return write_text(results / "report.html", page)


def _objective(model: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    """Return what this study's training minimised, in a sentence; nothing where the settings do not say."""
    if "lambda_rec" not in training or "generator" not in model:
        return ""
    weights = {"L_rec": "rec", "L_adv": "adv", "gradient penalty": "gp", "soft Dice": "dice", "cross-entropy": "ce"}
    named = [f"{name} {training[f'lambda_{key}']:g}" for name, key in weights.items() if training.get(f"lambda_{key}")]
    start = training["adversarial_from"]
    when = "never" if start >= 1 else "from the start" if start <= 0 else f"after {start:.0%} of the steps"
    return (
        f"Here: a {model['generator']} generator, weights {', '.join(named)}; the critic takes part {when}; "
        f"{training['epochs'] * training['steps_per_epoch']:,} generator steps of {training['batch']} patches of "
        f"{training['patch']} voxels a side. Soft Dice and cross-entropy are not in the published objective."
    )


def _template():
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("segsrgan_study.report", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = _cell
    return environment.get_template("report.html.j2")


def _cell(text: str) -> str:
    """Numbers as they are printed: a true minus before them, no line break in an interval, in a p or before an sd."""
    text = re.sub(r"(^|[\s\[(])-(?=\d)", "\\1\N{MINUS SIGN}", str(text))
    text = re.sub(r"\bp ([=<]) ", "p\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", text)
    text = re.sub(r"(?<=\d), (?=[^\[\]]*\])", ",\N{NO-BREAK SPACE}", text)
    return re.sub(r"(?<=\d) (?=\()", "\N{NO-BREAK SPACE}", text)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _figures(folder: Path, cohort: str) -> tuple[dict[str, list[dict]], dict[str, str]]:
    """Every figure of every section, with its picture or the reason why there is none; and those reasons by name."""
    said, missing, sections, number = _read(folder / "missing.json"), {}, {}, 0
    for section, modules in FIGURES.items():
        sections[section] = []
        for module in modules:
            picture = None if module.NAME in said else _picture(folder, module.NAME)
            title = module.NAME.replace("_", " ")
            if picture is None:
                missing[module.NAME] = said.get(module.NAME, "the figures' stage did not make it")
                sections[section].append({"name": module.NAME, "title": title, "missing": missing[module.NAME]})
                continue
            number += 1
            of = "" if module is networks else f" Cohort: {cohort_title(cohort)}."
            facts = {"name": module.NAME, "title": title, "number": number, "caption": module.CAPTION + of}
            sections[section].append({**facts, **picture})
    return sections, missing


def _picture(folder: Path, name: str) -> dict[str, Any] | None:
    """The smaller of the SVG and the PNG as a data URI, and the width in mm at which the figure is printed."""
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    if not png.is_file():
        return None
    raster = png.read_bytes()
    width_mm = int.from_bytes(raster[16:20], "big") / 300 * 25.4  # a PNG's width; `save` writes 300 dpi
    kinds = {"image/png": raster} | ({"image/svg+xml": svg.read_bytes()} if svg.is_file() else {})
    kind = min(kinds, key=lambda kind: len(kinds[kind]))
    return {"uri": f"data:{kind};base64,{base64.b64encode(kinds[kind]).decode()}", "width_mm": round(width_mm)}


def _not_run(
    results: Path, cohort: str, missing: Mapping[str, str], methods: Mapping[str, Mapping], variability: Mapping
) -> list[tuple[str, str]]:
    """What the reader might look for and will not find, and why."""
    rows = []
    for name in ("training/history.csv", "evaluation/metrics.json", "variability/metrics.json"):
        if not (results / name).is_file():
            rows.append((name.partition("/")[0], f"its stage did not run: results/{name} is not there"))
    rows += [(facts["title"], facts["reason"]) for facts in methods.values() if "reason" in facts]
    rows += [(f"figure: {name.replace('_', ' ')}", reason) for name, reason in sorted(missing.items())]
    rows += [("statistics", text) for text in reasons(variability)]
    for other, role in (("dhcp", "the quantitative evaluation"), ("epirmex", "the variability analysis")):
        if cohort != other:
            rows.append(
                (f"{cohort_title(other)}", f"the talk's cohort for {role}; this report is of {cohort_title(cohort)}")
            )
    return rows


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            yield package, "not installed"
