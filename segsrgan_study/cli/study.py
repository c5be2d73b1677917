"""Commands that are stages of the study."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from segsrgan_study.paths import Study


def phantoms() -> None:
    """Make the cohort `embedded`: phantoms in data/embedded and their manifest."""
    from segsrgan_study.params import read_params
    from segsrgan_study.paths import find_study
    from segsrgan_study.steps.data.prepare import make_phantoms

    study = find_study()
    with _timed(study, "phantoms"):
        make_phantoms(study, read_params(study.params))


def baselines() -> None:
    """Label the test images by every method to compare with."""
    from segsrgan_study.params import read_params
    from segsrgan_study.paths import find_study
    from segsrgan_study.steps.labels.label import label_all

    study = find_study()
    with _timed(study, "baselines"):
        label_all(study, read_params(study.params))


def ablation(
    run: Annotated[str, typer.Argument(help="Of ablations/ablations.yaml.")],
    seed: Annotated[int, typer.Argument(help="Of weights and patches.")],
) -> None:
    """Train and score one run of the ablations (called by `make ablations`)."""
    from segsrgan_study.paths import find_study
    from segsrgan_study.steps.ablate import run_ablation

    run_ablation(find_study(), run, seed)


def ablations() -> None:
    """Collect the table of all runs of the ablations (called by `make ablations`)."""
    from segsrgan_study.paths import find_study
    from segsrgan_study.steps.collect import collect_ablations

    collect_ablations(find_study())


def notebook(
    name: Annotated[str, typer.Argument(help="Of the notebook, without .ipynb.")],
    file: Annotated[
        Path | None, typer.Option("-f", help="Parameters in place of the repository's params.yaml.")
    ] = None,
) -> None:
    """Run one notebook of the study with the values of params.yaml and keep it in results/notebooks."""
    from segsrgan_study.notebooks import run_notebook
    from segsrgan_study.params import read_params
    from segsrgan_study.paths import find_study

    study = find_study()
    with _timed(study, name):
        run_notebook(study, name, read_params(file or study.params))


@contextmanager
def _timed(study: "Study", stage: str) -> Iterator[None]:
    """Note how long a stage took, for the part of the report that differs between runs."""
    from segsrgan_core.atomic import write_json
    from segsrgan_study.cost import write_run

    start = time.monotonic()
    yield
    path = study.scratch / "times.json"
    times = json.loads(path.read_text()) if path.is_file() else {}
    times[stage] = time.monotonic() - start
    write_json(path, times)
    costs = json.loads(study.costs.read_text()) if study.costs.is_file() else {}
    write_run(study.results, {name: times[name] for name in sorted(times)}, costs)
