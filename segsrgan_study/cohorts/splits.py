"""Who trains and who tests: subjects are dealt to train, val and test, all images of one on the same side."""

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

    Named groups go where they are named; the rest is shuffled by the seed, and fractions and counts are of all groups.

    Args:
        groups: their names; the order does not matter.
        seed: of the shuffle.
        val: how many validate.
        test: how many test.

    Returns:
        Group to "train", "val" or "test".

    Raises:
        UserError: an unknown or twice named group, an impossible share, or nothing left to train on.
    """
    groups = sorted(set(groups))
    named = {"test": _names(test), "val": _names(val)}
    faults = [
        f"{side}: {name!r} is not there; there are {', '.join(groups)}"
        for side, names in named.items()
        for name in names
        if _find(name, groups) is None
    ]
    sides = {_find(name, groups): side for side, names in named.items() for name in names}
    if len(sides) < sum(len(names) for names in named.values()) and not faults:
        faults.append("val and test: expected each name once")
    refuse("split", faults)
    rest = [group for group in groups if group not in sides]
    order = [rest[place] for place in np.random.default_rng(seed).permutation(len(rest))]
    for side, share in (("test", test), ("val", val)):
        count = 0 if named[side] else _count(side, share, len(groups))
        sides |= dict.fromkeys(order[:count], side)
        order = order[count:]
    if not order:
        raise UserError(
            f"split: expected somebody left to train on; received val={val} and test={test} for {len(groups)} in all; "
            "ask for fewer, or put all in one split by its name."
        )
    return sides | dict.fromkeys(order, "train")


def _names(share: Share) -> list[str]:
    if isinstance(share, str):
        plain = "," not in share and re.fullmatch(r"[0-9.]+", share.strip())
        return [] if plain else [name.strip() for name in share.split(",") if name.strip()]
    return [] if isinstance(share, (int, float)) else [str(name) for name in share]


def _find(name: str, groups: Sequence[str]) -> str | None:
    """Return the group of this name, with or without BIDS's `sub-`."""
    return next((group for group in groups if name in (group, group.removeprefix("sub-"))), None)


def _count(side: str, share: Share, total: int) -> int:
    try:
        number = float(share or 0)  # type: ignore[arg-type]
    except ValueError:
        number = -1.0
    if not 0 <= number <= total or (number > 1 and number % 1):
        raise UserError(f"{side}: expected a fraction below 1, a count up to {total} or names; received {share!r}.")
    return int(number) if number >= 1 else max(round(number * total), int(number > 0))


def read_split(path: str | Path) -> dict[str, str]:
    """Read a split that a person wrote: CSV with the columns subject and split.

    Returns:
        Subject to split.

    Raises:
        UserError: lists every fault: unknown splits, a subject on two sides.
    """
    table = read_table(path, ("subject", "split"))
    sides: dict[str, str] = {}
    faults = []
    for line, (subject, side) in zip(table.index, table[["subject", "split"]].to_numpy(), strict=True):
        if side not in SPLITS:
            faults.append(f"line {line}: expected one of {', '.join(SPLITS)}; received {side!r}")
        if sides.setdefault(subject, side) != side:
            faults.append(f"line {line}: {subject!r} is in {sides[subject]} already; received also {side!r}")
    refuse(path, faults)
    return sides


def choose(subjects: Sequence[str], path: str | Path) -> dict[str, str]:
    """Return the split of a file for these subjects; subjects that the file does not name are left out.

    Raises:
        UserError: the file names a subject that is not there.
    """
    sides = {_find(name, subjects) or name: side for name, side in read_split(path).items()}
    refuse(path, [f"the subject {name!r} is not in the folder" for name in sorted(sides.keys() - set(subjects))])
    return sides
