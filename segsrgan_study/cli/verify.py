"""`segsrgan verify`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer


def verify(
    keep: Annotated[
        Path | None, typer.Option(help="Empty folder for the clones, which then stay; default: a temporary one.")
    ] = None,
) -> None:
    """Run the committed study again in a fresh clone and compare every result; takes as long as the study.

    The exit code is 0 if every file is identical (with other hardware or versions: within stated tolerances), else 1;
    a table names the files that differ.

    For example:

    segsrgan verify
    """
    from segsrgan_study import verify as rerun
    from segsrgan_study.paths import find_study

    study = find_study()
    with tempfile.TemporaryDirectory(prefix="segsrgan-verify-") as temporary:
        folder = (keep or Path(temporary)).resolve()
        verdicts = rerun.verify(study.root, folder, study.work if study.work.is_dir() else None)
    typer.echo(rerun.table(verdicts))
    if any(one.verdict == "different" for one in verdicts):
        raise typer.Exit(1)
