"""The explore and demo notebooks in a real browser: run from the menu, moved and saved, which changes no file.

Screenshots are left in `.work/browser/`. The study is made in miniature in a fresh clone; SEGSRGAN_MINIATURE
names one that is there already, SEGSRGAN_WAIT_S the seconds that a page may take (180).
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.browser.browser import WAIT_S, WARNINGS, Lab, start
from tests.miniature import ROOT, clone_of_repository, environment, run

SHOTS = ROOT / ".work" / "browser"


@pytest.fixture(scope="module")
def driver():
    browser = start()
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def study(driver, tmp_path_factory) -> Path:
    if named := os.environ.get("SEGSRGAN_MINIATURE"):
        return Path(named)
    folder = clone_of_repository(tmp_path_factory.mktemp("lab") / "clone")
    run("dvc", "repro", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def address(study):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ip=127.0.0.1", "--IdentityProvider.token=look", "--config=notebooks/jupyter_config.py"]
    server = subprocess.Popen([*command, "notebooks/explore_subject.ipynb"], cwd=study, env=environment())
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end and server.poll() is None:
        try:
            urlopen(f"http://127.0.0.1:{port}/api?token=look", timeout=5).read()
            break
        except (URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
    yield f"http://127.0.0.1:{port}/?token=look"
    server.terminate()
    server.wait(timeout=60)


@pytest.fixture
def unchanged(study):
    """What git and DVC say of the study is the same before and after."""

    def said() -> list[str]:
        return [run(*command, cwd=study) for command in (("git", "status", "--porcelain"), ("dvc", "status"))]

    before = said()
    yield
    assert said() == before


@pytest.fixture
def lab(driver, address, unchanged, request) -> Lab:
    """The test's notebook, run by the menu; saved by the menu at the end, after a screenshot."""
    name = request.function.__name__.removeprefix("test_")
    opened = Lab(driver, address, name)
    opened.run_all()
    yield opened
    opened.shoot(SHOTS / f"{name}.png")
    assert not opened.find(".Toastify__toast")  # JupyterLab asks for nothing
    opened.menu("File", "Save Notebook")
    opened.rest()


def test_explore_subject(lab):
    lab.slide(-5)
    lab.button("segment now")
    lab.picture(2)
    lab.slide(5)
    lab.shoot(SHOTS / "explore_subject_segmented.png")
    lab.button("3-D view")
    lab.solid_canvas()
    assert lab.find(WARNINGS) == []


def test_explore_te(lab):
    lab.slide(4, 1)
    lab.shoot(SHOTS / "explore_te_segmented.png")
    assert lab.find(WARNINGS) == []


def test_explore_training(lab):
    lab.slide(10)


def test_demo_your_image(lab):
    lab.slide(-10)
    lab.solid_canvas()
