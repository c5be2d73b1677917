"""Training, calibration and evaluation outside the study's stages, each in a folder of its own."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import nibabel as nib
import pandas as pd

import segsrgan_core
from segsrgan_core.atomic import atomic, write_json, write_text
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.segmenter import ModelCard, load_segmenter, read_card, save_model, weight_files
from segsrgan_study.cohorts.manifest import image_rows
from segsrgan_study.files import sha256, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study, digest
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import CASES, prepared_cases
from segsrgan_study.steps.data.images import case_name
from segsrgan_study.steps.data.prepare import load_cohort, make_phantoms, prepare
from segsrgan_study.steps.labels.labelled import NO_RUNS
from segsrgan_study.steps.network.calibrate import calibrated, calibration_cases, try_thresholds
from segsrgan_study.steps.network.fit import fit
from segsrgan_study.steps.scores.evaluate import evaluate_case, write_evaluation

FACTS, MODEL = "training.json", "model.json"
SCRATCH = ".work"


def train_aside(study: Study, settings: Settings, cohorts: Sequence[str], out: Path) -> bool:
    """Train a network on one or more cohorts, or continue an interrupted training.

    Args:
        study: the repository, for manifests and data.
        settings: of simulation, networks and training.
        cohorts: names of cohorts with a manifest, whose splits train and val are used.
        out: folder for generator.npz, model.json, history.csv, training.json and a draft of MODEL_CARD.md.

    Returns:
        False if the folder holds this network already, else True.

    Raises:
        UserError: the folder holds another network, or a cohort has a fault.
    """
    settings = settings.model_copy(update={"cohort": "+".join(cohorts)})
    manifests = {name: _manifest_digest(study, name) for name in cohorts}
    facts = {"settings": settings.model_dump(mode="json"), "manifests_sha256": manifests}
    if (out / FACTS).is_file():
        known = json.loads((out / FACTS).read_text(encoding="utf-8"))
        if {key: known.get(key) for key in facts} != json.loads(json.dumps(facts)):
            raise UserError(f"{out}: the folder holds a network of another cohort or other settings; name another one.")
        return False
    bench = _prepared(study, out, settings, cohorts, ("train", "val"))
    _require_one_voxel_size(bench)
    trained = fit(bench, settings)
    save_model(out, trained.models[0], trained.card, trained.models[1:])
    write_csv(out / "history.csv", trained.history)
    write_text(out / "MODEL_CARD.md", _draft_card(settings, bench, trained.history))
    write_json(out / FACTS, {**facts, "version": segsrgan_core.__version__})
    shutil.rmtree(out / SCRATCH)
    return True


def calibrate_aside(study: Study, settings: Settings, cohorts: Sequence[str], model: Path, out: Path) -> ModelCard:
    """Choose a network's threshold and estimate its standard errors on other cohorts, with the network's windows.

    Args:
        study: the repository, for manifests and data.
        settings: of simulation and inference; without a voxel size, the network's is used.
        cohorts: names of cohorts with a manifest; split val, and train if val has too few cases.
        model: folder of a trained network.
        out: folder for a copy of the model with the new card, and calibration.json (cohorts and settings).

    Returns:
        The new card.
    """
    settings = _at_the_spacing_of(read_card(model), settings).model_copy(update={"cohort": "+".join(cohorts)})
    bench = _prepared(study, out, settings, cohorts)
    segmenter = load_segmenter(model, choose_policy(settings.model.precision))
    cases = calibration_cases(bench, settings.inference.calibration_cases)
    card = calibrated(segmenter.card, try_thresholds(segmenter, cases, settings.inference.threshold))
    if out.resolve() != model.resolve():
        for path in model.iterdir():
            atomic(out / path.name, lambda part, path=path: shutil.copyfile(path, part))
    write_json(out / MODEL, asdict(card))
    facts = settings.model_dump(mode="json", include={"simulation", "inference"})
    write_json(out / "calibration.json", {"cohorts": list(cohorts), **facts, "version": segsrgan_core.__version__})
    shutil.rmtree(out / SCRATCH)
    return card


def evaluate_aside(study: Study, settings: Settings, model: Path, out: Path) -> dict:
    """Score a network on the test cases of a cohort, with the network's windows.

    Args:
        study: the repository, for manifest and data.
        settings: of cohort and simulation; without a voxel size, the network's is used.
        model: folder of a trained network.
        out: folder for per_subject.csv, metrics.json, evaluation.json (weights and settings) and `images/`.

    Returns:
        The summary, as in metrics.json.
    """
    card = read_card(model)
    no_baselines = settings.baselines.model_copy(update={"methods": []})
    settings = _at_the_spacing_of(card, settings).model_copy(update={"baselines": no_baselines})
    bench = _prepared(study, out, settings, [settings.cohort], ("test",))
    segmenter = load_segmenter(model, choose_policy(settings.model.precision))
    scored = [evaluate_case(bench, case, segmenter) for case in track(prepared_cases(bench, "test"), "evaluated")]
    _, summary = write_evaluation(bench, settings, card, scored, *NO_RUNS)
    shutil.rmtree(out / "images", ignore_errors=True)
    (bench.work / "evaluated").replace(out / "images")
    for path in (bench.results / "evaluation").iterdir():
        path.replace(out / path.name)
    digests = [sha256(model / name) for name in weight_files(card.networks)]
    weights = {"name": model.resolve().name, "sha256": digests, "trained_on": card.cohort}
    write_json(out / "evaluation.json", {"weights": weights, "settings": settings.model_dump(mode="json")})
    shutil.rmtree(out / SCRATCH)
    return summary


def _at_the_spacing_of(card: ModelCard, settings: Settings) -> Settings:
    spacing = settings.simulation.spacing_mm or card.spacing_mm
    return settings.model_copy(update={"simulation": settings.simulation.model_copy(update={"spacing_mm": spacing})})


def _manifest_digest(study: Study, cohort: str) -> str:
    return "" if cohort == "embedded" else sha256(study.manifest(cohort))  # the phantoms are made from the settings


def _prepared(
    study: Study, out: Path, settings: Settings, cohorts: Sequence[str], splits: Sequence[str] | None = None
) -> Study:
    """Prepare the cases of all cohorts, unless done before, in a folder of `out/.work` named after their settings.

    Each cohort must have all splits; None stands for the splits of a calibration.
    """
    parts = [settings.simulation.model_dump_json(), settings.embedded.model_dump_json(), str(settings.seed)]
    parts += [f"{name} {_manifest_digest(study, name)}" for name in cohorts]
    parts += splits or [f"{settings.inference.calibration_cases} to calibrate"]
    bench = replace(study, aside=out.resolve() / SCRATCH / digest(parts)[:16])
    done = bench.scratch / "prepared"
    if done.is_file():
        return bench
    tables, names = [], []
    for cohort in cohorts:
        one = settings.model_copy(update={"cohort": cohort})
        if cohort == "embedded":
            make_phantoms(bench, one)
        manifest = load_cohort(bench, one)
        chosen = splits or _splits_to_calibrate(manifest, settings.inference.calibration_cases)
        names += [case_name(row) for split in chosen for row in image_rows(manifest, split)]
        if len(set(names)) < len(names):
            raise UserError(f"{bench.manifest(cohort)}: another cohort has subjects of the same name; rename them.")
        tables.append(prepare(bench, one, manifest, chosen, keep=True))
    write_csv(bench.work / "prepared" / CASES, pd.concat(tables))
    write_text(done, "")
    return bench


def _splits_to_calibrate(manifest: pd.DataFrame, wished: int) -> list[str]:
    """Return the splits with cases among val and, if val has too few, train."""
    counts = {split: len(image_rows(manifest, split)) for split in ("val", "train")}
    if not any(counts.values()):
        raise UserError("calibration: the cohort has no images of the splits val and train; set them in its manifest.")
    return [split for split in (("val",) if counts["val"] >= wished else ("val", "train")) if counts[split]]


def _require_one_voxel_size(bench: Study) -> None:
    cases = [case for split in ("train", "val") for case in prepared_cases(bench, split)]
    sizes = [float(spacing_mm(nib.load(case.hr))[0]) for case in cases]
    if max(sizes) > 1.02 * min(sizes):
        found = f"the images have voxels of {min(sizes):.3g} to {max(sizes):.3g} mm"
        raise UserError(f"training: {found}; set simulation.spacing_mm in params.yaml to one size.")


def _draft_card(settings: Settings, bench: Study, history: pd.DataFrame) -> str:
    train, val = (len(prepared_cases(bench, split)) for split in ("train", "val"))
    best = history.loc[history["val_score"].idxmax()].filter(like="val_")
    scores = "\n".join(f"| {name.removeprefix('val_')} | {value:.3f} |" for name, value in best.items())
    low, high = settings.training.thickness_mm or (settings.simulation.slice_mm,) * 2
    return f"""# Model card

Trained on the cohort {settings.cohort} ({train} images to train, {val} to validate) with the setting
`{settings.setting}` of segsrgan_core {segsrgan_core.__version__}; all settings are in `{FACTS}`.

- Input: T2-weighted images, {settings.simulation.plane} slices of {low:g} to {high:g} mm, simulated.
- Output: image and {", ".join(settings.model.classes)} at the training images' voxel size.
- For research only; not a medical device. Not trained on other scanners, ages, pathologies or contrasts. Inspect every
  result (`report.html`) before using its volume.

Scores of the best epoch on whole validation images:

| score | value |
|---|---|
{scores}
"""
