"""Subjects dealt to train, val and test."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.schema import SPLITS
from segsrgan_study.cohorts.tables import read_table, refuse

Share = str | float | Sequence[str]
"""How many: a fraction below 1, a count, or names (a list, or text with commas: "a,b" or "a,")."""


def deal(groups: Sequence[str], seed: int, val: Share, test: Share) -> dict[str, str]:
    """Deal groups (subjects, or whatever must stay together) to train, val and test.

    Named groups go where they are named; the rest is shuffled. Fractions and counts are of all groups.

    Args:
        groups: their names, in any order.
        seed: of the shuffle.
        val: how many validate.
        test: how many test.

    Returns:
        Split ("train", "val" or "test") by group.

    Raises:
        UserError: an unknown or twice named group, an impossible share, or nothing left to train on.
    """
    groups = sorted(set(groups))
    shares = {"test": test, "val": val}
    named = {side: _names(share) for side, share in shares.items()}
    pairs = [(side, name, _find(name, groups)) for side, names in named.items() for name in names]
    refuse(
        "split", [f"{side}: {name!r} is not there; there are {', '.join(groups)}" for side, name, g in pairs if not g]
    )
    sides = {group: side for side, _, group in pairs}
    if len(sides) < len(pairs):
        raise UserError("split: expected each name once in val and test.")
    rest = [group for group in groups if group not in sides]
    order = [rest[place] for place in np.random.default_rng(seed).permutation(len(rest))]
    for side, share in shares.items():
        count = 0 if named[side] else _count(side, share, len(groups))
        sides |= dict.fromkeys(order[:count], side)
        order = order[count:]
    if not order:
        raise UserError(
            f"split: val={val} and test={test} of {len(groups)} leave nobody, but somebody left to train on is needed; "
            "ask for fewer, or put all in one split by its name."
        )
    return sides | dict.fromkeys(order, "train")


def _names(share: Share) -> list[str]:
    if isinstance(share, str):
        is_number = "," not in share and re.fullmatch(r"[0-9.]+", share.strip())
        return [] if is_number else [name.strip() for name in share.split(",") if name.strip()]
    return [] if isinstance(share, (int, float)) else [str(name) for name in share]


def _find(name: str, groups: Sequence[str]) -> str | None:
    """Return the group of this name, with or without BIDS's `sub-`."""
    return next((group for group in groups if name in (group, group.removeprefix("sub-"))), None)


def _count(side: str, share: Share, total: int) -> int:
    number = float(share or 0) if re.fullmatch(r"[0-9]*\.?[0-9]*", str(share)) else -1.0
    if not 0 <= number <= total or (number > 1 and number % 1):
        raise UserError(f"{side}: expected a fraction below 1, a count up to {total} or names; received {share!r}.")
    return int(number) if number >= 1 else max(round(number * total), int(number > 0))


def choose(subjects: Sequence[str], path: str | Path) -> dict[str, str]:
    """Read a split that a person wrote: a CSV file with the columns subject and split.

    Args:
        subjects: those of the folder; the ones that the file does not name are left out.
        path: of the file.

    Returns:
        Split by subject.

    Raises:
        UserError: lists every fault: an unknown split, a subject on two sides or not in the folder.
    """
    table = read_table(path, ("subject", "split"))
    sides: dict[str, str] = {}
    faults = []
    for line, name, side in table[["subject", "split"]].itertuples(name=None):
        subject = _find(name, subjects)
        if side not in SPLITS:
            faults.append(f"line {line}: expected one of {', '.join(SPLITS)}; received {side!r}")
        if subject is None:
            faults.append(f"line {line}: the subject {name!r} is not in the folder")
        elif sides.setdefault(subject, side) != side:
            faults.append(f"line {line}: {name!r} is in {sides[subject]} already; received also {side!r}")
    refuse(path, faults)
    return sides
