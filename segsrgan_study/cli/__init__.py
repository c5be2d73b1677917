"""The command `segsrgan`.

Heavy libraries are imported inside the commands, so that `--help` answers at once.
"""

import gc
import itertools
import os
import re
import sys
from typing import Annotated

import typer

from segsrgan_core.errors import UserError
from segsrgan_study.cli.own_images import LISTS, segment, simulate
from segsrgan_study.cli.study import ablation, ablations, baselines, notebook, phantoms, verify
from segsrgan_study.cli.training import calibrate, download, evaluate, manifest, train, tune
from segsrgan_study.faults import sentence

app = typer.Typer(
    help="Super-resolution and segmentation of thick-slice neonatal brain MRI. For research; not a medical device.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for panel, commands in {
    "Your own images": (segment, simulate),
    "Cohorts and models": (manifest, download, train, calibrate, evaluate, tune),
    "The study": (verify, ablation, ablations),
    "Stages of the study (called by `dvc repro`)": (phantoms, baselines, notebook),
}.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


@app.callback()
def _options(debug: Annotated[bool, typer.Option(help="Show a traceback with an error.")] = False) -> None:
    pass


def _repeated(words: list[str]) -> list[str]:
    """Return a command line in which an option with several values, as BIDS apps have it, stands before each."""
    repeated, option = [], ""
    for word in words:
        option = word if word in LISTS else "" if word.startswith("-") else option
        repeated += [option] if option and option not in (word, repeated[-1]) else []
        repeated.append(word)
    return repeated


def main() -> None:
    """Run the command line; an error in the input prints one sentence and exits with code 2."""
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it was closed
    sys.argv = [re.sub("^((?:--[a-z-]+=)?)~(?=/|$)", lambda m: m[1] + os.path.expanduser("~"), one) for one in sys.argv]
    blank = [before for before, word in itertools.pairwise(sys.argv) if not word]  # as a path it is the current folder
    blank += [word.removesuffix("=") for word in sys.argv if re.fullmatch("--[a-z-]+=", word)]
    sys.argv = _repeated(sys.argv)
    gc.set_threshold(50_000)  # by default Python looks through all modules again and again: a tenth of a head's time
    sys.dont_write_bytecode = False  # else, where the environment asks for it, each start compiles a thousand modules
    try:
        if any(word in ("--out", "--model") or not word.startswith("-") for word in blank):
            what = "an input, --out or --model is empty text, as of a variable without a value"
            raise UserError(f"{what}; name a file or folder.")
        app(standalone_mode=True)
    except (UserError, OSError, MemoryError, ModuleNotFoundError) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else ""
        if "--debug" in sys.argv or missing.startswith("segsrgan"):
            raise
        said = str(error) if isinstance(error, UserError) else f"{sentence(error)}."  # lists of faults keep their lines
        if missing:
            extra = "train" if missing in ("keras", "tensorflow") else "study"
            advice = f"pip install 'segsrgan-core[{extra}]', or `make env` in the repository"
            said = f"this command needs {missing}, which is not installed: {advice}."
        print(f"segsrgan: {said}", file=sys.stderr)
        raise SystemExit(2) from None
    finally:
        gc.freeze()  # nor once more at the end
