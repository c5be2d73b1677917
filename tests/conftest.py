import sys

import nibabel as nib
import pytest


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command line in this process; returns its exit code and what it said on standard error."""
    from segsrgan_core import cli

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["segsrgan", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code or 0, capsys.readouterr().err

    return call


@pytest.fixture
def save():
    def write(image, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, path)
        return path

    return write
