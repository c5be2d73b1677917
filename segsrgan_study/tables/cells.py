"""Tables of text cells, shown in notebooks and kept as LaTeX, and the text of numbers, intervals and p-values."""

import re
import string
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML

from segsrgan_core.atomic import write_text

MISSING = "\N{EN DASH}"
NO_BREAK = "\N{NO-BREAK SPACE}"
LONG = 60  # characters from which a column holds text, not numbers


class _Cells(string.Formatter):
    """Format strings over nested results: `{tests[psnr][ci95]:.2f}`."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        value = kwargs
        for key in re.findall(r"[^\[\]]+", field_name):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value, field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None or value != value:
            return MISSING
        if isinstance(value, list):
            return f"[{f',{NO_BREAK}'.join(self.format_field(end, format_spec) for end in value)}]"
        if format_spec == "p":
            return f"<{NO_BREAK}0.001" if value < 0.001 else f"{value:.3f}"
        return f"{value:z{format_spec}}".replace("-", "\N{MINUS SIGN}") if format_spec else str(value)  # z: no -0


def cell(template: str, entry: Mapping[str, Any]) -> str:
    """Text of a cell by a format string such as "{mean:.3f} ({sd:.3f}) {ci95:.3f}"; a dash where no value is there.

    A list becomes "[low, high]", the format "p" is that of p-values, nested results are reached by brackets; values
    that are missing, None or nan become a dash.
    """
    text = _Cells().format(template.replace(" (", f"{NO_BREAK}("), **entry)
    return text if re.search(r"[^\W_]", text) else MISSING


def sentences(templates: str, results: Mapping[str, Any]) -> str:
    """A list in Markdown of format strings, see `cell`, that begin with "- "; one with a missing value is left out."""
    items = [" ".join(item.split()) for item in re.split(r"\n\s*(?=- )", templates) if item.strip()]
    filled = [_Cells().format(item, **results) for item in items]
    return "".join(f"\n{item}" for item in filled if MISSING not in item)


def rows(
    nest: Mapping[str, Any], names: list[str], columns: Mapping[str, str], title: Callable[[str], str] = str
) -> pd.DataFrame:
    """A table of text with a row per entry of nested results that has any value.

    The index has a level, of these names, for each level of the nest, with its keys as `title` gives them; columns go
    by name to the template of their cells, see `cell`.
    """
    found = {
        tuple(map(title, path)): {name: cell(template, entry) for name, template in columns.items()}
        for path, entry in entries(nest)
        if len(path) == len(names)
    }
    return text_frame({path: cells for path, cells in found.items() if set(cells.values()) != {MISSING}}, names)


def entries(nest: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """All mappings of nested results, outer ones first, each after the keys that lead to it."""
    if isinstance(nest, Mapping):
        yield path, nest
        for key, inner in nest.items():
            yield from entries(inner, (*path, key))


def text_frame(cells: Mapping[tuple[str, ...], Mapping[str, str]], names: list[str]) -> pd.DataFrame:
    """A table of text: the texts that begin a row to its other cells by column; a dash where a row has no such cell."""
    index = pd.MultiIndex.from_tuples(list(cells), names=names) if cells else None
    return pd.DataFrame(list(cells.values()), index=index).fillna(MISSING)


def latex(name: str, caption: str, frame: pd.DataFrame) -> str:
    """A table environment, for a document that loads the LaTeX package booktabs; the caption is HTML."""
    flat, left = frame.reset_index(), _left(frame)
    kinds = {column: "p{0.5\\linewidth}" if width > LONG else "l" for column, width in left.items()}
    style = flat.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
    columns, caption = "".join(kinds.get(column, "r") for column in flat), re.sub("<.*?>", "", caption)
    options = {"label": f"tab:{name}", "position": "tb", "position_float": "centering", "hrules": True}
    text = style.to_latex(column_format=columns, caption=caption.replace("%", "\\%"), **options)
    return text.replace("\N{MINUS SIGN}", "$-$").replace(MISSING, "--").replace(NO_BREAK, "~").replace("<", "$<$")


def _left(frame: pd.DataFrame) -> dict[str, int]:
    """Columns that hold text, to the number of its characters."""
    widths = {name: int(column.str.len().max()) for name, column in frame.reset_index().items()}
    return {name: width for name, width in widths.items() if name in frame.index.names or width > LONG}


class Tables:
    """Numbered tables, each kept as `<name>.tex` in a folder, from which older ones are removed."""

    def __init__(self, folder: Path):
        self._folder, self._count = folder, 0
        for old in folder.glob("*.tex"):
            old.unlink()

    def __call__(self, name: str, title: str, caption: str, frame: pd.DataFrame) -> HTML | None:
        """Keep a table of text cells, see `rows`, and return it for display; None where it has no rows."""
        if frame.empty:
            return None
        self._count, caption = self._count + 1, " ".join(caption.split())
        write_text(self._folder / f"{name}.tex", latex(name, f"{title}. {caption}", frame))
        left = {column: [{"selector": "", "props": "text-align: left; white-space: normal"}] for column in _left(frame)}
        style = frame.reset_index().style.hide(axis="index").format(escape="html").set_table_styles(left)
        style = style.set_caption(f"<b>Table {self._count}. {title}.</b> {caption}").set_uuid(name)
        return HTML(style.to_html(cell_ids=False))
