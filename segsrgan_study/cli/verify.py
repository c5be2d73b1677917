"""`segsrgan verify`: the committed results against a rerun."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer


def verify(
    keep: Annotated[
        Path | None, typer.Option(help="Empty folder for the clone, which then stays; default: a temporary one.")
    ] = None,
) -> None:
    """Run the committed study again in a fresh clone and compare every result; takes as long as the study.

    The exit code is 0 if every file is identical (on another machine: within stated tolerances), else 1; a table says
    which files differ, how far, and the likely causes.

    For example:

    segsrgan verify
    """
    from segsrgan_study.paths import find_study
    from segsrgan_study.verify import rerun

    study = find_study()
    with tempfile.TemporaryDirectory(prefix="segsrgan-verify-") as temporary:
        verdict = rerun.verify(study, (keep or Path(temporary)).resolve())
    typer.echo(rerun.table(verdict))
    if not verdict.holds:
        raise typer.Exit(1)
