"""A fresh clone of the repository, and programs run in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from segsrgan_core.errors import UserError


def make_clone(root: Path, clone: Path, setting: str = "") -> None:
    """Clone a repository's last commit.

    Args:
        root: the repository.
        clone: a folder that is not there yet.
        setting: of params.yaml in the clone; as committed if not given.
    """
    run_in(root, "git", "clone", "--quiet", str(root), str(clone), quiet=True)
    if setting:
        params = clone / "params.yaml"
        text = params.read_text(encoding="utf-8")
        params.write_text(re.sub(r"(?m)^setting: \w+", f"setting: {setting}", text), encoding="utf-8")


def run_in(folder: Path, *command: str, quiet: bool = False, data: Path | None = None) -> str:
    """Run a program with a clone's own code and this environment's libraries; return what it says.

    Args:
        folder: where.
        command: program and arguments.
        quiet: return the output instead of showing it.
        data: the data root where SEGSRGAN_DATA names none.

    Raises:
        UserError: the program fails.
    """
    paths = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    environment = {**os.environ, "PATH": os.pathsep.join(paths), "PYTHONPATH": str(folder)}
    if data is not None:
        environment.setdefault("SEGSRGAN_DATA", str(data))
    output = subprocess.PIPE if quiet else None
    done = subprocess.run(command, cwd=folder, env=environment, stdout=output, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"{' '.join(command)}: expected it to finish in {folder}; received exit code {done.returncode}; what it "
            "says stands above."
        )
    return done.stdout or ""
