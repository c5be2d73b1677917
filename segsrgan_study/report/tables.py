"""A table of the report: text cells for the page, and the same as LaTeX (booktabs)."""

import re
from dataclasses import dataclass

import pandas as pd

MISSING = "\N{EN DASH}"


@dataclass(frozen=True)
class Table:
    """One table: `name` is its file's and anchor's name; cells are text, the first `n_text` columns no numbers."""

    name: str
    title: str
    caption: str
    columns: list[str]
    rows: list[list[str]]
    n_text: int = 1

    def latex(self) -> str:
        """The table environment, for a document that loads the LaTeX package booktabs."""
        frame = pd.DataFrame(self.rows, columns=self.columns)
        style = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
        text = style.to_latex(
            hrules=True,
            column_format=self._alignment(),
            caption=f"{self.title}. {self.caption}".replace("%", "\\%"),
            label=f"tab:{self.name}",
            position="tb",
            position_float="centering",
        )
        minus = re.sub(r"(?<![\w-])-(?=\d)", "$-$", text).replace("\N{MINUS SIGN}", "$-$")
        return minus.replace(MISSING, "--").replace("< ", "$<$ ")

    def _alignment(self) -> str:
        numbers = len(self.columns) - self.n_text
        words = "l" * self.n_text if numbers else "l" * (self.n_text - 1) + "p{0.5\\linewidth}"  # the last one is long
        return words + "r" * numbers


def number(value: float | None, decimals: int = 3, factor: float = 1) -> str:
    """A number as text, a dash where there is none."""
    return MISSING if value is None else f"{factor * value:z.{decimals}f}"


def interval(ends: list[float] | None, decimals: int = 3, factor: float = 1) -> str:
    """A confidence interval as text: [low, high]."""
    return MISSING if not ends else f"[{number(ends[0], decimals, factor)}, {number(ends[1], decimals, factor)}]"


def p_value(p: float | None) -> str:
    """A p-value as text."""
    return MISSING if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
