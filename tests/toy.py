"""A toy study in a git repository of its own."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

DVC = str(Path(sys.executable).with_name("dvc"))


def run(folder: Path, *command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    """Commit all that is there."""
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "-m", "results")


def repository(root: Path, texts: Mapping[str, str]) -> Path:
    """Write files and make the folder a repository for git and DVC; nothing is committed."""
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    run(root, "git", "init", "-q")
    run(root, DVC, "init", "-q")
    return root
