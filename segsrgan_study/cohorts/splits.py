"""Subjects dealt to train, val and test."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.schema import SPLITS
from segsrgan_study.cohorts.tables import read_table, refuse

Share = str | float
"""How many: a fraction below 1, a count, or names with commas ("a,b" or "a,")."""


def deal(groups: Sequence[str], seed: int, val: Share, test: Share) -> dict[str, str]:
    """Deal groups (subjects, or whatever must stay together): train, val or test by group.

    Named groups go where they are named; the rest is shuffled by the seed. Fractions and counts are of all groups,
    whose order does not matter. A UserError tells of an unknown or twice named group, an impossible share, or nothing
    left to train on.
    """
    groups = sorted(set(groups))
    shares = {"test": test, "val": val}
    sides = _named("split", groups, [(side, name, side) for side, share in shares.items() for name in _names(share)])
    rest = [group for group in groups if group not in sides]
    order = [rest[place] for place in np.random.default_rng(seed).permutation(len(rest))]
    for side, share in shares.items():
        count = 0 if _names(share) else _count(side, share, len(groups))
        sides |= dict.fromkeys(order[:count], side)
        order = order[count:]
    if not order:
        left = f"val={val} and test={test} of {len(groups)} leave nobody to train on"
        raise UserError(f"split: {left}; ask for fewer, or put all in one split by its name.")
    return sides | dict.fromkeys(order, "train")


def _names(share: Share) -> list[str]:
    is_number = re.fullmatch(r"-?[0-9.]+", str(share).strip())
    return [] if is_number else [name.strip() for name in str(share).split(",") if name.strip()]


def _named(what: str | Path, groups: Sequence[str], wishes: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Return the split by group of wishes (where it stands, a name with or without BIDS's `sub-`, split)."""
    sides: dict[str, str] = {}
    faults = []
    for where, name, side in wishes:
        group = next((group for group in groups if name in (group, group.removeprefix("sub-"))), None)
        if side not in SPLITS:
            faults.append(f"{where}: {side!r} is not one of {', '.join(SPLITS)}")
        if group is None:
            faults.append(f"{where}: {name!r} is not there; there are {', '.join(groups)}")
        elif sides.setdefault(group, side) != side:
            faults.append(f"{where}: {name!r} is in {sides[group]} already, not in {side!r} as well")
    refuse(what, faults)
    return sides


def _count(side: str, share: Share, total: int) -> int:
    number = pd.to_numeric(share or 0, errors="coerce")
    if not 0 <= number <= total or (number > 1 and number % 1):
        raise UserError(f"{side}: {share!r} is not a fraction below 1, a count up to {total}, or names.")
    return int(number) if number >= 1 else max(round(number * total), int(number > 0))


def choose(subjects: Sequence[str], path: str | Path) -> dict[str, str]:
    """Return the split by subject from a CSV file with these columns; subjects that it does not name are left out.

    A UserError lists every fault: an unknown split, a subject on two sides or not in the folder.
    """
    table = read_table(path, ("subject", "split"))
    wishes = [(f"line {line}", name, side) for line, name, side in table[["subject", "split"]].itertuples(name=None)]
    return _named(path, subjects, wishes)
