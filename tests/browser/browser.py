"""JupyterLab in Chromium, used as a person uses it: menus, buttons, sliders. Nothing but this machine is reached."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

WAIT_S = float(os.environ.get("SEGSRGAN_WAIT_S", 180))  # a busy machine needs more
NEEDED = {"chromium": "chromium", "chromedriver": "chromium-driver"}  # program, and Debian's package
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
const values = context.getImageData(0, 0, canvas.width, canvas.height).data;
let n = 0, sum = 0, squares = 0;
for (let i = 0; i < values.length; i += 4) { n += 1; sum += values[i]; squares += values[i] * values[i]; }
return Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
"""


def start() -> webdriver.Chrome:
    """Start Chromium without a window; a missing program is named with the package that holds it."""
    missing = [f"{program} (Debian: apt install {package})" for program, package in NEEDED.items()
               if shutil.which(program) is None]  # fmt: skip
    if missing:
        pytest.fail(f"make test-browser needs {' and '.join(missing)}; not found on PATH", pytrace=False)
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1500,1600", nowhere):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_page_load_timeout(WAIT_S)
    driver.set_script_timeout(WAIT_S)
    return driver


class Lab:
    """A notebook in JupyterLab.

    Args:
        driver: of the browser.
        address: of the server, with its token as the query.
        notebook: name without suffix.
    """

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

    def find(self, css: str) -> list[Any]:
        """Return the elements that a CSS selector finds and that are shown."""
        return [element for element in self.driver.find_elements(By.CSS_SELECTOR, css) if element.is_displayed()]

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Return a condition's value as soon as it is true; a fault on the page ends the waiting."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            faults = [
                one.text for one in self.driver.find_elements(By.CSS_SELECTOR, WARNINGS) if "Traceback" in one.text
            ]
            assert not faults, faults[0]
            try:
                if value := condition():
                    return value
            except (WebDriverException, IndexError):
                pass  # the page was changing
            time.sleep(0.3)
        raise AssertionError(f"{what}: not seen within {WAIT_S:g} s")

    def menu(self, name: str, item: str) -> None:
        """Click an item of the menu bar."""
        self._click(".lm-MenuBar-itemLabel", name)
        self._click(".lm-Menu-itemLabel", item)

    def button(self, text: str) -> None:
        """Click a button of the page."""
        self._click("button.jupyter-button", text)

    def _click(self, css: str, text: str) -> None:
        def named() -> Any:
            return next((one for one in self.find(css) if one.text.strip() == text), None)

        self.wait(named, text).click()

    def run_all(self) -> None:
        """Run all cells by the menu and wait until the kernel rests."""
        self.menu("Run", "Run All Cells")
        self.wait(lambda: self.driver.find_elements(By.CSS_SELECTOR, ".widget-interact"), "the first sliders")
        self.rest()

    def rest(self) -> None:
        """Wait until the kernel is idle."""
        self.wait(lambda: self.find(".jp-Notebook-ExecutionIndicator[data-status='idle']"), "an idle kernel")

    def _part(self, number: int) -> Any:
        """Return one `interact` of the notebook, scrolled into view."""
        part = self.wait(lambda: self.driver.find_elements(By.CSS_SELECTOR, ".widget-interact")[number], "the sliders")
        self.driver.execute_script("arguments[0].scrollIntoView()", part)
        return part

    def picture(self, number: int = 0) -> str:
        """Wait for the picture of an `interact`, which must not be empty, and return its address."""

        def drawn() -> str | None:
            image = self._part(number).find_element(By.CSS_SELECTOR, "img")
            return image.get_attribute("src") if self.driver.execute_script(SPREAD, image) > 10 else None

        return self.wait(drawn, "a picture that is not empty")

    def slide(self, steps: int, number: int = 0) -> None:
        """Move the first slider of an `interact` by the arrow keys; its picture must change."""
        before = self.picture(number)
        handle = self._part(number).find_element(By.CSS_SELECTOR, ".noUi-handle")
        handle.send_keys(*[Keys.ARROW_RIGHT if steps > 0 else Keys.ARROW_LEFT] * abs(steps))
        self.wait(lambda: self.picture(number) != before, "another picture after the slider moved")
        self.rest()

    def solid_canvas(self) -> None:
        """Look into the frame of the 3-D view; its canvas must not be empty."""
        frame = self.wait(lambda: self.driver.find_elements(By.CSS_SELECTOR, "iframe")[-1], "the 3-D view")
        self.driver.execute_script("arguments[0].scrollIntoView()", frame)
        self.driver.switch_to.frame(frame)
        try:
            canvas = self.wait(lambda: self.find("canvas"), "the canvas of the 3-D view")[0]
            self.wait(lambda: self.driver.execute_script(SPREAD, canvas) > 10, "a 3-D view that is not empty")
        finally:
            self.driver.switch_to.default_content()

    def shoot(self, path: Path) -> None:
        """Take a picture of the window for a person to look at."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(path))
