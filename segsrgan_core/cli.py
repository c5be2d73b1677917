"""The command `segsrgan`. Heavy libraries are imported where they are used, so that help comes at once."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsrgan_core.errors import UserError

if TYPE_CHECKING:
    from segsrgan_core.paths import Study

app = typer.Typer(
    help="Super-resolution and segmentation of thick-slice neonatal brain MRI. For research; not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(debug: Annotated[bool, typer.Option(help="Show a traceback with an error.")] = False) -> None:
    pass


@app.command()
def segment(
    images: Annotated[list[Path], typer.Argument(help="Thick-slice T2w images (NIfTI or MGH).")],
    out: Annotated[Path, typer.Option(help="Folder for the BIDS derivatives.")],
    model: Annotated[Path | None, typer.Option(help="Folder of a trained model; default: the study's own.")] = None,
    step: Annotated[int, typer.Option(help="Distance between windows in voxels; smaller is smoother and slower.")] = 32,
    precision: Annotated[str, typer.Option(help="auto, float32 or mixed_bfloat16.")] = "auto",
) -> None:
    """Segment images: super-resolved image, labels, probabilities and volumes for each.

    Example: segsrgan segment sub-01_T2w.nii.gz --out derivatives
    """
    from segsrgan_core.derivatives import segment_all
    from segsrgan_core.paths import find_study

    folder = model or find_study().results / "training" / "model"
    failed = segment_all(images, out, folder, step, precision)
    if failed:
        raise typer.Exit(2)


@app.command()
def manifest(
    preset: Annotated[str, typer.Argument(help="dhcp, alberts, epirmex, fetal_atlas, or folder.")],
    folder: Annotated[Path, typer.Argument(help="Where the images are.")],
    name: Annotated[str, typer.Option(help="Name of the cohort (needed for the preset folder).")] = "",
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    split: Annotated[str, typer.Option(help="One split for all images, or a CSV subject,split.")] = "",
    val: Annotated[str | None, typer.Option(help="Share, number or names of validation subjects.")] = None,
    test: Annotated[str | None, typer.Option(help="Share, number or names of test subjects.")] = None,
    images: Annotated[list[str] | None, typer.Option(help="Glob of the images, relative to the folder.")] = None,
    labels: Annotated[list[str] | None, typer.Option(help="Glob of the label maps.")] = None,
    masks: Annotated[list[str] | None, typer.Option(help="Glob of the brain masks.")] = None,
    names: Annotated[str, typer.Option(help="Regular expression with (?P<subject>...) for free names.")] = "",
    mapping: Annotated[str | None, typer.Option(help="Label convention, or a YAML or JSON file.")] = None,
    metadata: Annotated[Path | None, typer.Option(help="CSV image,subject,te_ms,tr_ms,age_weeks,site.")] = None,
) -> None:
    """Write data_manifests/COHORT.csv from a folder of images, after checking every file.

    Example: segsrgan manifest dhcp /data/dhcp --test 8
    """
    from segsrgan_core.cohorts.presets import make_manifest
    from segsrgan_core.paths import find_study

    study = find_study()
    path = make_manifest(
        preset,
        folder,
        study.manifests,
        study.data_root(name or preset),
        name=name,
        seed=seed,
        split=split,
        val=val,
        test=test,
        images=images or (),
        labels=labels or (),
        masks=masks or (),
        names=names,
        mapping=mapping,
        metadata=metadata,
    )
    typer.echo(f"{path} written; set `cohort: {path.stem}` in params.yaml to use it.")


@app.command()
def phantoms() -> None:
    """Make the cohort `embedded`: phantoms in data/embedded and their manifest (a stage of the study)."""
    from segsrgan_core.params import read_params
    from segsrgan_core.paths import find_study
    from segsrgan_core.stages.prepare import make_phantoms

    study = find_study()
    with _timed(study, "phantoms"):
        make_phantoms(study, read_params(study.params))


@app.command()
def baselines() -> None:
    """Label the test images by every method to compare with (a stage of the study)."""
    from segsrgan_core.params import read_params
    from segsrgan_core.paths import find_study
    from segsrgan_core.stages.label import label_all

    study = find_study()
    with _timed(study, "baselines"):
        label_all(study, read_params(study.params))


@app.command()
def tune(
    method: Annotated[str, typer.Argument(help="A method of baselines.methods in params.yaml, or bet.")],
    subjects: Annotated[int | None, typer.Option(help="Label only so many of the training subjects.")] = None,
) -> None:
    """Search a baseline's parameters on the training subjects (after 01_simulate); the table goes to results/tuning.

    Example: segsrgan tune imapa --subjects 2
    """
    from segsrgan_core.params import read_params
    from segsrgan_core.paths import find_study
    from segsrgan_core.stages.search import search, search_bet

    study = find_study()
    settings = read_params(study.params)
    if method == "bet":
        typer.echo(f"{search_bet(study, settings, subjects)} written; variability.bet_threshold is set in params.yaml.")
        return
    path, chosen = search(study, settings, method, subjects)
    typer.echo(f"{path} written; to use the choice, set baselines.parameters.{method} in params.yaml: {chosen}")


@app.command()
def notebook(name: Annotated[str, typer.Argument(help="Of the notebook, without .ipynb.")]) -> None:
    """Run one notebook of the study and keep it in results/notebooks (a stage of the study)."""
    from segsrgan_core.notebooks import run_notebook
    from segsrgan_core.paths import find_study

    study = find_study()
    with _timed(study, name):
        run_notebook(study, name)


@contextmanager
def _timed(study: "Study", stage: str) -> Iterator[None]:
    """Note how long a stage took, for the part of the report that differs between runs."""
    from segsrgan_core.imaging.files import write_json
    from segsrgan_core.report.run import write_run

    start = time.monotonic()
    yield
    path = study.scratch / "times.json"
    times = json.loads(path.read_text()) if path.is_file() else {}
    times[stage] = time.monotonic() - start
    write_json(path, times)
    costs = json.loads(study.costs.read_text()) if study.costs.is_file() else {}
    write_run(study.results, {name: times[name] for name in sorted(times)}, costs=costs)


def main() -> None:
    """Run the command; a fault in what was given is one sentence and exit code 2."""
    try:
        app(standalone_mode=True)
    except (UserError, OSError, MemoryError) as error:
        if "--debug" in sys.argv:
            raise
        print(f"segsrgan: {_sentence(error)}", file=sys.stderr)
        raise SystemExit(2) from None


def _sentence(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError):
        return (
            "expected enough memory for this image or cohort; there was not; use a larger machine or a smaller image."
        )
    return f"{error.filename or 'file'}: {error.strerror or error}; free space or choose another folder."
