import signal
import sys

import nibabel as nib
import pytest

import segsrgan_core  # noqa: F401 - before TensorFlow, which reads once what the package asks of it

# A shell's background job ignores Ctrl-C, and all that it starts would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Start what takes minutes first, so that no process waits for it at the end."""
    items.sort(key=lambda item: "slow" not in item.keywords)


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command line in this process; returns its exit code and what it said on standard error."""
    from segsrgan_study import cli

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
