"""The study in miniature, in a fresh clone, as `make repro` makes it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = str(Path(sys.executable).parent)


def environment() -> dict[str, str]:
    """The environment of a person who runs the study: this Python's commands first, no copy of data named."""
    found = {**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    found.pop("SEGSRGAN_DATA", None)
    return found


def run(*command, cwd) -> str:
    """Run a command that must succeed; return what it said."""
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def clone_of_repository(folder: Path) -> Path:
    """Clone the repository's last commit, with `setting: miniature`."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("git or the repository's history is not there: a clone cannot be made")
    run("git", "clone", "--quiet", ROOT, folder, cwd=ROOT)
    params = folder / "params.yaml"
    params.write_text(re.sub(r"(?m)^setting: \w+", "setting: miniature", params.read_text()))
    return folder
