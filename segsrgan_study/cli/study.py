"""Commands of the study: its stages, its ablations and its verification."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsrgan_study.paths import Study, find_study

if TYPE_CHECKING:
    from segsrgan_study.params import Settings


def phantoms() -> None:
    """Make the cohort `embedded`, if it is the study's: phantoms in data/embedded and their manifest."""
    from segsrgan_study.steps.data.prepare import make_phantoms

    with _stage("phantoms") as (study, settings):
        if settings.cohort == "embedded":
            make_phantoms(study, settings)
        else:  # the stage's outputs stay as they are
            (study.work / "embedded").mkdir(parents=True, exist_ok=True)


def baselines() -> None:
    """Label the test images by every method to compare with."""
    from segsrgan_study.steps.labels.label import label_all

    with _stage("baselines") as (study, settings):
        label_all(study, settings)


def ablation(
    run: Annotated[str, typer.Argument(help="Of ablations/ablations.yaml.")],
    seed: Annotated[int, typer.Argument(help="Of weights and patches.")],
) -> None:
    """Train and score one run of the ablations (called by `make ablations`)."""
    from segsrgan_study.ablations.run import run_ablation

    run_ablation(find_study(), run, seed)


def ablations() -> None:
    """Collect the table of all runs of the ablations (called by `make ablations`)."""
    from segsrgan_study.ablations.collect import collect_ablations

    collect_ablations(find_study())


def notebook(
    name: Annotated[str, typer.Argument(help="Of the notebook, without .ipynb.")],
    file: Annotated[Path | None, typer.Option("-f", help="Parameters in place of params.yaml.")] = None,
) -> None:
    """Run one notebook of the study with the values of params.yaml and keep it in results/notebooks."""
    from segsrgan_study.notebooks import run_notebook

    with _stage(name, file) as (study, settings):
        run_notebook(study, name, settings)


def verify(
    keep: Annotated[Path | None, typer.Option(help="Empty folder in which the clones are kept.")] = None,
) -> None:
    """Run the committed study again in a fresh clone and compare every result; takes as long as the study.

    The exit code is 0 if every file is identical (with other hardware or versions: within stated tolerances), else 1;
    a table names the files that differ.
    """
    from segsrgan_study import verify as rerun

    study = find_study()
    with tempfile.TemporaryDirectory(prefix="segsrgan-verify-") as temporary:
        folder = (keep or Path(temporary)).resolve()
        verdicts = rerun.verify(study.root, folder, study.work if study.work.is_dir() else None)
    typer.echo(rerun.table(verdicts))
    if any(one.verdict == "different" for one in verdicts):
        raise typer.Exit(1)


@contextmanager
def _stage(name: str, file: Path | None = None) -> "Iterator[tuple[Study, Settings]]":
    """Read the settings for a stage, and note how long it took, for the report's part that differs between runs."""
    from segsrgan_core.atomic import write_json
    from segsrgan_study.cost import write_run
    from segsrgan_study.params import read_params

    study, start = find_study(), time.monotonic()
    yield study, read_params(file or study.params)
    path = study.scratch / "times.json"
    times = {**(json.loads(path.read_text()) if path.is_file() else {}), name: time.monotonic() - start}
    write_json(path, times)
    write_run(study.results, dict(sorted(times.items())), study.costs)
