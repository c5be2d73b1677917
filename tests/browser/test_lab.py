"""The explore and demo notebooks in Chromium, used as a person uses them (menus, buttons, sliders); no file changes.

Nothing but this machine is reached. Screenshots are left in `.work/browser/`. The study is made in miniature in a fresh
clone; SEGSRGAN_MINIATURE names one that is there already, SEGSRGAN_WAIT_S the seconds that a page may take (180).
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.miniature import ROOT, clone_of_repository, environment, run

SHOTS = ROOT / ".work" / "browser"
WAIT_S = float(os.environ.get("SEGSRGAN_WAIT_S", 180))  # a busy machine needs more
NEEDED = {"chromium": "chromium", "chromedriver": "chromium-driver"}  # program, and Debian's package
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1500,1600")
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
WARNINGS = (
    ".jp-OutputArea-output[data-mime-type*='jupyter.error'], .jp-OutputArea-output[data-mime-type*='jupyter.stderr'], "
    ".jp-RenderedText[data-mime-type*='error'], .jp-RenderedText[data-mime-type*='stderr']"
)
# The grey values' standard deviation of an <img> or <canvas>, 0 where it is not there or empty.
SPREAD = """
const source = arguments[0], canvas = document.createElement("canvas");
canvas.width = source.naturalWidth || source.width; canvas.height = source.naturalHeight || source.height;
if (!canvas.width || !canvas.height) return 0;
const context = canvas.getContext("2d");
context.drawImage(source, 0, 0);
const values = context.getImageData(0, 0, canvas.width, canvas.height).data.filter((_, i) => i % 4 == 0);
const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
"""


def wait(condition: Callable[[], Any], what: str) -> Any:
    """Return a condition's value as soon as it is true; until then the page may change, or the server not be there."""
    waiting = WebDriverWait(None, WAIT_S, 0.3, ignored_exceptions=(WebDriverException, IndexError, OSError))
    return waiting.until(lambda _: condition(), f"{what}: not seen within {WAIT_S:g} s")


class Lab:
    """A notebook (its name without suffix) in JupyterLab; the server's address has its token as the query."""

    def __init__(self, driver: webdriver.Chrome, address: str, notebook: str):
        self.driver = driver
        server, token = address.split("?")
        driver.get(f"{server}lab/tree/{notebook}.ipynb?reset&{token}")

        def connected() -> bool:
            """Before that JupyterLab would ask which kernel to take."""
            with urlopen(f"{server}api/sessions?{token}", timeout=5) as answer:
                kernels = [one["kernel"] for one in json.load(answer) if one["path"].endswith(f"{notebook}.ipynb")]
            return any(one["connections"] and one["execution_state"] == "idle" for one in kernels)

        self.wait(connected, "a kernel that is connected")
        self.rest()

    def all(self, css: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def shown(self, css: str) -> list[Any]:
        return [element for element in self.all(css) if element.is_displayed()]

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for a condition; a fault on the page ends the waiting."""

        def or_fault() -> Any:
            faults = [one.text for one in self.all(WARNINGS) if "Traceback" in one.text]
            assert not faults, faults[0]
            return condition()

        return wait(or_fault, what)

    def click(self, css: str, text: str) -> None:
        self.wait(lambda: [one for one in self.shown(css) if one.text.strip() == text], text)[0].click()

    def menu(self, name: str, item: str) -> None:
        self.click(".lm-MenuBar-itemLabel", name)
        self.click(".lm-Menu-itemLabel", item)

    def button(self, text: str) -> None:
        self.click("button.jupyter-button", text)

    def rest(self) -> None:
        """Wait until the kernel is idle."""
        self.wait(lambda: self.shown(".jp-Notebook-ExecutionIndicator[data-status='idle']"), "an idle kernel")

    def into_view(self, css: str, number: int) -> Any:
        part = self.wait(lambda: self.all(css)[number], css)
        self.driver.execute_script("arguments[0].scrollIntoView()", part)
        return part

    def picture(self, number: int = 0) -> str:
        """Wait for the picture of an `interact`, which must not be empty, and return its address."""

        def drawn() -> str | None:
            image = self.into_view(".widget-interact", number).find_element(By.CSS_SELECTOR, "img")
            return image.get_attribute("src") if self.driver.execute_script(SPREAD, image) > 10 else None

        return self.wait(drawn, "a picture that is not empty")

    def slide(self, steps: int, number: int = 0) -> None:
        """Move the first slider of an `interact` by the arrow keys; its picture must change."""
        before = self.picture(number)
        handle = self.into_view(".widget-interact", number).find_element(By.CSS_SELECTOR, ".noUi-handle")
        handle.send_keys(*[Keys.ARROW_RIGHT if steps > 0 else Keys.ARROW_LEFT] * abs(steps))
        self.wait(lambda: self.picture(number) != before, "another picture after the slider moved")
        self.rest()

    def solid_canvas(self) -> None:
        """Look into the frame of the 3-D view; its canvas must not be empty."""
        self.driver.switch_to.frame(self.into_view("iframe", -1))
        try:
            canvas = self.wait(lambda: self.shown("canvas"), "the canvas of the 3-D view")[0]
            self.wait(lambda: self.driver.execute_script(SPREAD, canvas) > 10, "a 3-D view that is not empty")
        finally:
            self.driver.switch_to.default_content()

    def shoot(self, name: str) -> None:
        """Take a picture of the window for a person to look at."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SHOTS / f"{name}.png"))


@pytest.fixture(scope="module")
def driver():
    missing = [f"{program} (Debian: apt install {package})" for program, package in NEEDED.items()
               if shutil.which(program) is None]  # fmt: skip
    if missing:
        pytest.fail(f"make test-browser needs {' and '.join(missing)}; not found on PATH", pytrace=False)
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (*ARGUMENTS, NOWHERE):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    browser.set_page_load_timeout(WAIT_S)
    browser.set_script_timeout(WAIT_S)
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
    wait(lambda: urlopen(f"http://127.0.0.1:{port}/api?token=look", timeout=5).read(), "JupyterLab")
    yield f"http://127.0.0.1:{port}/?token=look"
    server.terminate()
    server.wait(timeout=60)


@pytest.fixture
def lab(driver, address, study, request) -> Lab:
    """The test's notebook, run and saved by the menu; git and DVC say the same of the study before and after."""

    def said() -> list[str]:
        return [run(*command, cwd=study) for command in (("git", "status", "--porcelain"), ("dvc", "status"))]

    before, name = said(), request.function.__name__.removeprefix("test_")
    opened = Lab(driver, address, name)
    opened.menu("Run", "Run All Cells")
    opened.wait(lambda: opened.all(".widget-interact"), "the first sliders")
    opened.rest()
    yield opened
    opened.shoot(name)
    assert not opened.shown(".Toastify__toast")  # JupyterLab asks for nothing
    opened.menu("File", "Save Notebook")
    opened.rest()
    assert said() == before


def test_explore_subject(lab):
    lab.slide(-5)
    lab.button("segment now")
    lab.picture(2)
    lab.slide(5)
    lab.shoot("explore_subject_segmented")
    lab.button("3-D view")
    lab.solid_canvas()
    assert lab.shown(WARNINGS) == []


def test_explore_te(lab):
    lab.slide(4, 1)
    lab.shoot("explore_te_segmented")
    assert lab.shown(WARNINGS) == []


def test_explore_training(lab):
    lab.slide(10)


def test_demo_your_image(lab):
    lab.slide(-10)
    lab.solid_canvas()
