"""What all pages share: a message, a picture, and callbacks whose faults are told on the page itself."""

import io
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from segsrgan_core.errors import UserError

COLOURS = {"note": ("#eef4fa", "#0072B2"), "fault": ("#fdf3ec", "#D55E00")}
DPI = 110


class App:
    """A page. A subclass lays out its controls in `body` and draws in callbacks made by `guarded`.

    Attributes:
        message: says what is going on, or what is missing and what to do.
        picture: PNG, as wide as the page.
        log: where an unexpected fault shows its traceback.
    """

    def __init__(self) -> None:
        self.message = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(width="100%", max_width="1200px"))
        self.log = widgets.Output()
        self._running = False

    def body(self) -> list[widgets.Widget]:
        """The page from top to bottom, without message and log."""
        return [self.picture]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(widgets.VBox([self.message, *self.body(), self.log]))

    def say(self, text: str = "", kind: str = "note") -> None:
        """Show a sentence in a box; an empty one takes the box away."""
        ground, edge = COLOURS[kind]
        style = f"background:{ground};border-left:4px solid {edge};padding:.4em .8em;max-width:70em;line-height:1.4"
        self.message.value = f'<div class="segsrgan-{kind}" style="{style}">{escape(text)}</div>' if text else ""

    def guarded(self, function: Callable[..., Any]) -> Callable[..., None]:
        """Wrap a callback: a fault of what was given is said on the page, any other one shows in `log`.

        Events that a running callback causes, as by filling a list, are not followed: it goes on by itself.
        """

        def run(*_) -> None:
            if self._running:
                return
            self._running = True
            self.log.clear_output()
            with self.log:
                try:
                    self.say()
                    function()
                except UserError as error:
                    self.picture.value = b""
                    self.say(str(error), "fault")
                finally:
                    self._running = False

        return run

    def show(self, figure: Figure) -> None:
        """Put a figure into `picture`."""
        self.picture.value = png(figure)


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    return buffer.getvalue()


def table(rows: dict[str, str]) -> str:
    """Return names and values as an HTML table."""
    cells = "".join(
        f'<tr><td style="padding:0 1.5em 0 0">{escape(name)}</td><td><b>{escape(value)}</b></td></tr>'
        for name, value in rows.items()
    )
    return f'<table style="line-height:1.5">{cells}</table>'


def short(path: Path, root: Path) -> str:
    """Return a path as a person writes it: relative to the study where it lies inside."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
