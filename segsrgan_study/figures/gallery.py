"""Numbered figures of the report, each kept with its plotted values."""

import base64
import tempfile
from collections.abc import Callable
from html import escape
from pathlib import Path

from IPython.display import HTML

from segsrgan_core.atomic import write_json
from segsrgan_core.errors import UserError
from segsrgan_study.figures.style import Plot, save, write_figure

SCREEN_DPI = 200  # of the embedded pictures; the files beside them have 300


class Gallery:
    """Figures, drawn into a folder; where the results do not allow one, a sentence says why, also in `missing.json`."""

    def __init__(self, folder: Path):
        self.missing: dict[str, str] = {}  # why figures could not be drawn, by name
        self._folder, self._count = folder, 0

    def __call__(self, name: str, caption: str, draw: Callable[[], Plot]) -> HTML:
        """Save the figure that `draw` returns with its plotted values, and return it over its caption for display."""
        self._count, title = self._count + 1, name.replace("_", " ")
        try:
            fig, values = draw()
            save(fig, name, self._folder, values)
        except (UserError, KeyError) as error:
            lacking = f"the results lack {error}; run their stage again."
            self.missing[name] = lacking if isinstance(error, KeyError) else str(error)
            return HTML(f"<p><b>Figure {self._count}, {title}: not drawn.</b> {escape(self.missing[name])}</p>")
        finally:
            write_json(self._folder / "missing.json", self.missing)
        with tempfile.TemporaryDirectory() as folder:
            source = base64.b64encode(write_figure(fig, Path(folder, "shown.png"), SCREEN_DPI).read_bytes()).decode()
        width = round(fig.get_size_inches()[0] * 25.4 * 1.3)  # larger than on paper, for screens
        image = f'<img src="data:image/png;base64,{source}" alt="{title}" style="width: {width}mm; max-width: 100%">'
        below = f"<b>Figure {self._count}.</b> {escape(' '.join(caption.split()))}"
        return HTML(f"<figure>{image}<figcaption>{below}</figcaption></figure>")
