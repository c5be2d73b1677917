"""Label conventions: every cohort's numbers are mapped to the nine tissues of dHCP, see `classes.DRAWEM9`."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml

from segsrgan_core.classes import DRAWEM9
from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.tables import read_bytes, refuse

_DRAWEM9 = {number: number for number in range(10)}
CONVENTIONS: dict[str, dict[int, int]] = {
    **dict.fromkeys(("drawem9", "embedded", "dhcp", "dhcp_atlas", "epirmex"), _DRAWEM9),
    # Parcellation: 1 white, 2 ventricles, 3 cerebellum, 4 outer CSF, 5 cortex, 6 deep grey, 7 brainstem, 8 corpus
    # callosum (white matter in drawem9).
    "fetal_atlas": {0: 0, 1: 3, 2: 5, 3: 6, 4: 1, 5: 2, 6: 7, 7: 8, 8: 3},
    # As laid out in DrawEM's `tissues-v3`: 0 holds both the background and the deep structures, so only the cortex, CSF
    # and white matter can be read from it; deep structures stay 0. 5 and 6 are high- and low-intensity white.
    "alberts": {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 3, 6: 3},
}


def to_drawem9(labels: np.ndarray, mapping: Mapping[int, int], name: str = "labels") -> np.ndarray:
    """Translate labels (integers, any shape) to drawem9 numbers, uint8; a UserError names those without a meaning."""
    found = np.unique(labels).tolist()
    if unknown := [number for number in found if number not in mapping]:
        raise UserError(f"{name}: the labels {unknown} have no meaning; correct the file, or give another --mapping.")
    table = np.zeros(max(found) + 1, np.uint8)
    table[found] = [mapping[number] for number in found]
    return table[labels]


def label_mapping(cohort: str, manifests_dir: str | Path) -> dict[int, int]:
    """Return a cohort's label mapping: that of `<manifests_dir>/<cohort>.labels.json`, else of its name's convention.

    A UserError tells that neither is there, or of faults of the file.
    """
    if (path := Path(manifests_dir, f"{cohort}.labels.json")).is_file():
        return read_mapping(path)
    if cohort not in CONVENTIONS:
        raise UserError(f"{path}: the label mapping of {cohort!r} is missing; make its manifest: segsrgan manifest.")
    return CONVENTIONS[cohort]


def read_mapping(path: str | Path) -> dict[int, int]:
    """Read a label mapping (YAML or JSON), number to drawem9 number; a UserError lists every fault at once.

    The file has a drawem9 number (0 to 9, 0 is none of the tissues) or a tissue's name (`cortex`) for each number of
    the labels. 0 stays 0 unless the file says otherwise.
    """
    try:
        content = yaml.safe_load(read_bytes(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: this is not YAML or JSON ({error}); correct it.") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: {content!r} is not a mapping such as '{{1: csf, 2: cortex}}'; correct it.")
    tissues = {name: number for number, name in DRAWEM9.items()} | {str(number): number for number in _DRAWEM9}
    pairs = {str(number): str(tissue) for number, tissue in content.items()}
    wrong = {n: tissue for n, tissue in pairs.items() if not re.fullmatch("[0-9]{1,5}", n) or tissue not in tissues}
    expected = f"a whole number and a tissue ({', '.join(tissues)})"
    refuse(path, [f"{number}: {tissue} is not {expected}" for number, tissue in wrong.items()])
    return {0: 0} | {int(number): tissues[tissue] for number, tissue in pairs.items()}
