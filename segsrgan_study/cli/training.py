"""`segsrgan manifest`, `train`, `calibrate` and `evaluate`: from a folder of images to a network, and to its scores."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsrgan_core.errors import UserError
from segsrgan_study.paths import Study, find_study
from segsrgan_study.progress import say, start_tensorflow
from segsrgan_study.weights import find_model

if TYPE_CHECKING:
    from segsrgan_study.params import Settings

Cohort = Annotated[str, typer.Argument(help="Name of the cohort, or path of its manifest.", show_default=False)]
Cohorts = Annotated[list[str], typer.Argument(help="Names of cohorts, or paths of manifests.", show_default=False)]
Model = Annotated[str, typer.Option(help="Folder of a trained model, or name of packaged weights.")]
START = typer.Option(help="Model whose weights to begin with: a folder or a name.")
Setting = Annotated[str | None, typer.Option(help="Set of changes, by its name under `settings` in params.yaml.")]
Params = Annotated[Path | None, typer.Option(help="Parameters in place of the repository's params.yaml.")]


def manifest(
    preset: Annotated[str, typer.Argument(help="dhcp, alberts, epirmex, fetal_atlas, dhcp_atlas, or folder.")],
    folder: Annotated[Path, typer.Argument(help="Where the images are.")],
    name: Annotated[str, typer.Option(help="Name of the cohort (needed for the preset folder).")] = "",
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    split: Annotated[str, typer.Option(help="One split for all images, or a CSV subject,split.")] = "",
    val: Annotated[str | None, typer.Option(help="Share, number or names of validation subjects.")] = None,
    test: Annotated[str | None, typer.Option(help="Share, number or names of test subjects.")] = None,
    images: Annotated[list[str] | None, typer.Option(help="Glob of the images, relative to the folder.")] = None,
    labels: Annotated[list[str] | None, typer.Option(help="Glob of the label maps.")] = None,
    masks: Annotated[list[str] | None, typer.Option(help="Glob of the brain masks.")] = None,
    hr: Annotated[list[str] | None, typer.Option(help="Glob of the high-resolution truth of thick slices.")] = None,
    sides: Annotated[list[str] | None, typer.Option(help="Glob of the maps of left (1) and right (2).")] = None,
    names: Annotated[str, typer.Option(help="Regular expression with (?P<subject>...) for free names.")] = "",
    mapping: Annotated[str | None, typer.Option(help="Label convention, or a YAML or JSON file.")] = None,
    metadata: Annotated[Path | None, typer.Option(help="CSV image,subject,te_ms,tr_ms,age_weeks,site.")] = None,
) -> None:
    """Write data_manifests/COHORT.csv from a folder of images with labels, after checking every file.

    For example:

    - segsrgan manifest dhcp /data/dhcp --test 8
    - segsrgan manifest folder /data/ours --name ours --labels "*/labels.nii*" --mapping labels.yaml
    """
    from segsrgan_study.cohorts.presets import make_manifest

    study = find_study()
    globs = {"image": images, "labels": labels, "mask": masks, "hr": hr, "sides": sides}
    options = {"name": name, "seed": seed, "split": split, "val": val, "test": test, "names": names}
    options |= {"globs": globs, "mapping": mapping, "metadata": metadata}
    path = make_manifest(preset, folder, study.manifests, study.data_root(name or preset), **options)
    typer.echo(f"{path} written; next: segsrgan train {path.stem} --out model")


def download(cohort: Annotated[str, typer.Argument(help="fetal_atlas or dhcp_atlas.", show_default=False)]) -> None:
    """Download a public cohort and check every file; what is there already is kept.

    The other commands do the same when they first need a cohort: this is for machines that are about to lose the
    internet, such as the nodes of a cluster. SEGSRGAN_DATA=folder names another place than data/.

    For example:

    - segsrgan download dhcp_atlas
    """
    from segsrgan_study.steps.data.prepare import load_cohort

    study = find_study()
    images = len(load_cohort(study, cohort))
    say(f"{images} images of {cohort}: {study.data_root(cohort) / cohort}; next: segsrgan train {cohort} --out model")


def train(
    cohorts: Cohorts,
    out: Annotated[Path, typer.Option(help="Folder for the trained model.")],
    start: Annotated[str | None, START] = None,
    setting: Setting = None,
    params: Params = None,
) -> None:
    """Train a network on one cohort or several, outside the study's stages.

    An interrupted training continues with the same command after its last whole epoch. OUT holds the model, its
    history, its settings and a draft of its model card.

    For example:

    - segsrgan train alberts --out model
    - segsrgan train embedded fetal_atlas --out model --setting miniature
    - segsrgan train hospital --start any_plane --setting any_plane --out model
    """
    study, names, settings = _start(cohorts, setting, params)
    from segsrgan_study.aside.networks import train_aside

    first = find_model(start) if start else None
    state = "trained" if train_aside(study, settings, names, out, first) else "trained before"
    say(f"{state}: {out}; next: segsrgan evaluate {names[0]} --model {out} --out eval")


def calibrate(
    cohorts: Cohorts,
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder for the model with its new card.")],
    setting: Setting = None,
    params: Params = None,
) -> None:
    """Calibrate a network on labelled cohorts: right volumes at every contrast, and probabilities that hold.

    The weights do not change. `inference.calibration_cases` cases are used, of the split val first, then of train.
    Calibrate on images like those to segment.

    For example:

    - segsrgan calibrate alberts --model any_plane --out mine
    """
    study, names, settings = _start(cohorts, setting, params)
    from segsrgan_study.aside.networks import calibrate_aside

    card = calibrate_aside(study, settings, names, find_model(model), out)
    slope = card.drift.slope if card.drift else 0
    say(f"calibrated, temperature {card.temperature:g}, biases {card.biases}, slope over contrast {slope:g}: {out}")


def evaluate(
    cohort: Cohort,
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder for the scores and the segmented images.")],
    setting: Setting = None,
    params: Params = None,
) -> None:
    """Score a network on the test cases of a cohort: per_subject.csv and metrics.json.

    For example:

    - segsrgan evaluate alberts --model model --out eval
    """
    study, _, settings = _start([cohort], setting, params)
    from segsrgan_study.aside.networks import evaluate_aside

    summary = evaluate_aside(study, settings, find_model(model), out)
    for structure, methods in summary.get("dice", {}).items():
        for method, scores in methods.items():
            say(f"Dice of the {structure.replace('_', ' ')}, {method}: {scores['mean']:.3f} over {scores['n']} cases.")
    say(f"scores: {out / 'per_subject.csv'}, {out / 'metrics.json'}")


def tune(
    method: Annotated[str, typer.Argument(help="A method of `baselines` in params.yaml.", show_default=False)],
    subjects: Annotated[int | None, typer.Option(help="Label only so many training subjects.")] = None,
) -> None:
    """Search a baseline's parameters on the training subjects of the study's cohort (after its stage `simulate`).

    The table of the search goes to results/tuning; the choice is set by hand in params.yaml.

    For example:

    - segsrgan tune imapa --subjects 2
    """
    from segsrgan_study.params import read_params
    from segsrgan_study.steps.labels.label import search

    study = find_study()
    path, chosen = search(study, read_params(study.params), method, subjects)
    say(f"{path} written; the choice for baselines.parameters.{method} in params.yaml: {chosen}")


def _start(cohorts: list[str], setting: str | None, params: Path | None) -> "tuple[Study, list[str], Settings]":
    """Return the study, the cohorts' names (given as words or as manifests' paths) and settings; start TensorFlow."""
    from segsrgan_study.params import read_params

    first = Path(cohorts[0]).resolve()
    study = find_study(first.parent if first.suffix.lower() == ".csv" else None)
    names = []
    for cohort in cohorts:
        path = Path(cohort)
        by_path = path.suffix.lower() == ".csv"
        manifest = study.manifest(path.stem if by_path else cohort)
        if by_path and path.resolve() != manifest:
            raise UserError(f"{path}: a manifest must lie in {study.manifests}; make it with `segsrgan manifest`.")
        if not manifest.is_file():
            raise UserError(f"{manifest}: the manifest is missing; make it with `segsrgan manifest`.")
        names.append(manifest.stem)
    settings = read_params(params or study.params, names[0], setting)
    start_tensorflow()
    return study, names, settings
