"""Training, calibration and evaluation outside the study's stages, each in a folder of its own."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import pandas as pd

import segsrgan_core
from segsrgan_core.atomic import atomic, write_json, write_text
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_core.segmenter import WEIGHTS, ModelCard, read_card, save_model, weight_files
from segsrgan_study.cohorts.manifest import image_rows
from segsrgan_study.engines import load_segmenter
from segsrgan_study.files import sha256, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study, digest
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import CASES, prepared_cases
from segsrgan_study.steps.data.images import case_name
from segsrgan_study.steps.data.prepare import load_cohort, make_phantoms, prepare
from segsrgan_study.steps.labels.labelled import NO_RUNS
from segsrgan_study.steps.network.calibrate import calibrate, calibration_cases
from segsrgan_study.steps.network.fit import Trained, fit
from segsrgan_study.steps.scores.evaluate import evaluate_case, write_evaluation

FACTS = "training.json"
SCRATCH = ".work"


def train_aside(study: Study, settings: Settings, cohorts: Sequence[str], out: Path, start: Path | None = None) -> bool:
    """Train a network on the splits train and val of one or more cohorts, or continue an interrupted training.

    `out` gets generator.npz, model.json, history.csv, training.json and a draft of MODEL_CARD.md; False is returned if
    it holds this network already. `start` is the folder of a trained model whose weights the network begins with,
    see `start_from`. A UserError where the folder holds another network, or a cohort has a fault.
    """
    settings = settings.model_copy(update={"cohort": "+".join(cohorts)})
    facts = {"settings": settings.model_dump(mode="json"), "manifests_sha256": _manifests(study, cohorts)}
    if start:
        facts["start"] = {"name": start.resolve().name, "sha256": sha256(start / WEIGHTS)}
    if (out / FACTS).is_file():
        known = json.loads((out / FACTS).read_text(encoding="utf-8"))
        if {key: known.get(key) for key in facts} != facts:
            raise UserError(f"{out}: the folder holds a network of another cohort or other settings; name another one.")
        return False
    bench = _prepared(study, out, settings, cohorts, ("train", "val"))
    cases = [case for split in ("train", "val") for case in prepared_cases(bench, split)]
    sizes = [float(spacing_mm(nib.load(case.hr))[0]) for case in cases]
    if max(sizes) > 1.02 * min(sizes):
        found = f"the images have voxels of {min(sizes):.3g} to {max(sizes):.3g} mm"
        raise UserError(f"training: {found}; set simulation.spacing_mm in params.yaml to one size.")
    trained = fit(bench, settings, start)
    save_model(out, trained.models[0], trained.card, trained.models[1:])
    write_csv(out / "history.csv", trained.history)
    write_text(out / "MODEL_CARD.md", _draft_card(settings, bench, trained))
    write_json(out / FACTS, {**facts, "version": segsrgan_core.__version__})
    shutil.rmtree(out / SCRATCH)
    return True


def calibrate_aside(study: Study, settings: Settings, cohorts: Sequence[str], model: Path, out: Path) -> ModelCard:
    """Calibrate a network's probabilities on other cohorts, with the network's windows.

    Cases are of the split val, and of train if there are too few. Without a voxel size in the settings, that of the
    network (a folder) is used. The folder `out` gets a copy of the model with the new card, which is returned, and
    calibration.json (cohorts, number of cases and settings).
    """
    settings = _at_the_spacing_of(model, settings).model_copy(update={"cohort": "+".join(cohorts)})
    bench = _prepared(study, out, settings, cohorts)
    segmenter = load_segmenter(model, precision=settings.model.precision)
    cases = calibration_cases(bench, settings.inference.calibration_cases)
    card = calibrate(segmenter, cases, settings)
    if out.resolve() != model.resolve():
        for path in model.iterdir():
            atomic(out / path.name, lambda part, path=path: shutil.copyfile(path, part))
    write_json(out / "model.json", asdict(card))
    windows = {"edge": card.patch, "step": card.step, "flips": card.flips}
    facts = settings.model_dump(mode="json", include={"simulation"}) | {"windows": windows}
    facts |= {"cohorts": list(cohorts), "cases": len(cases), "version": segsrgan_core.__version__}
    write_json(out / "calibration.json", facts)
    shutil.rmtree(out / SCRATCH)
    return card


def evaluate_aside(study: Study, settings: Settings, model: Path, out: Path) -> dict:
    """Score a network (a folder) on the test cases of the settings' cohort, with the network's windows.

    Without a voxel size in the settings, the network's is used. The folder `out` gets per_subject.csv, metrics.json
    (which is returned), evaluation.json (weights and settings) and `images/`.
    """
    no_baselines = settings.baselines.model_copy(update={"methods": []})
    settings = _at_the_spacing_of(model, settings).model_copy(update={"baselines": no_baselines})
    bench = _prepared(study, out, settings, [settings.cohort], ("test",))
    segmenter = load_segmenter(model, precision=settings.model.precision)
    scored = [evaluate_case(bench, case, segmenter) for case in track(prepared_cases(bench, "test"), "evaluated")]
    _, summary = write_evaluation(bench, settings, segmenter.card, scored, *NO_RUNS)
    shutil.rmtree(out / "images", ignore_errors=True)
    (bench.work / "evaluated").replace(out / "images")
    for path in (bench.results / "evaluation").iterdir():
        path.replace(out / path.name)
    digests = [sha256(model / name) for name in weight_files(segmenter.card.networks)]
    weights = {"name": model.resolve().name, "sha256": digests, "trained_on": segmenter.card.cohort}
    write_json(out / "evaluation.json", {"weights": weights, "settings": settings.model_dump(mode="json")})
    shutil.rmtree(out / SCRATCH)
    return summary


def _at_the_spacing_of(model: Path, settings: Settings) -> Settings:
    spacing = settings.simulation.spacing_mm or read_card(model).spacing_mm
    return settings.model_copy(update={"simulation": settings.simulation.model_copy(update={"spacing_mm": spacing})})


def _manifests(study: Study, cohorts: Sequence[str]) -> dict[str, str]:
    """Return the digest of each cohort's manifest; the phantoms are made from the settings."""
    return {name: "" if name == "embedded" else sha256(study.manifest(name)) for name in cohorts}


def _prepared(
    study: Study, out: Path, settings: Settings, cohorts: Sequence[str], splits: Sequence[str] | None = None
) -> Study:
    """Prepare cohorts' splits in `out/.work`, unless done before; None: of val and train what a calibration needs."""
    wished = settings.inference.calibration_cases
    parts = [settings.simulation.model_dump_json(), settings.embedded.model_dump_json(), str(settings.seed)]
    parts += [json.dumps(_manifests(study, cohorts)), str(splits or wished)]
    bench = Study(study.root, out.resolve() / SCRATCH / digest(parts)[:16])
    if (done := bench.scratch / "prepared").is_file():
        return bench
    tables, names = [], set()
    for cohort in cohorts:
        one = settings.model_copy(update={"cohort": cohort})
        if cohort == "embedded":
            make_phantoms(bench, one)
        manifest = load_cohort(bench, cohort)
        counts = {split: len(image_rows(manifest, split)) for split in splits or ("val", "train")}
        chosen = splits or [split for split, n in counts.items() if n and (split == "val" or counts["val"] < wished)]
        if not chosen:
            fault = f"{cohort} has no images of the splits val and train"
            raise UserError(f"calibration: {fault}; set them in its manifest.")
        of_cohort = {case_name(row) for split in chosen for row in image_rows(manifest, split)}
        if both := sorted(names & of_cohort):
            found = f"another cohort has {', '.join(both[:3])}, too"
            raise UserError(f"{bench.manifest(cohort)}: {found}; give subjects names of their own.")
        names |= of_cohort
        tables.append(prepare(bench, one, manifest, chosen, keep=True))
    write_csv(bench.work / "prepared" / CASES, pd.concat(tables))
    write_text(done, "")
    return bench


def _draft_card(settings: Settings, bench: Study, trained: Trained) -> str:
    best = trained.history.loc[trained.history["val_score"].idxmax()].filter(like="val_")
    scores = "\n".join(f"| {name.removeprefix('val_')} | {value:.3f} |" for name, value in best.items())
    facts = {split: len(prepared_cases(bench, split)) for split in ("train", "val")}
    facts |= {"planes": ", ".join(trained.card.planes)}
    facts |= {"version": segsrgan_core.__version__, "classes": ", ".join(settings.model.classes), "scores": scores}
    text = Path(__file__).with_name("model_card.md").read_text(encoding="utf-8")
    return text.format(settings=settings, thickness_mm=trained.card.thickness_mm, **facts)
