"""Label conventions: every cohort's numbers are mapped to the nine tissues of dHCP (drawem9).

Source: dHCP structural pipeline, `*_desc-drawem9_dseg.nii.gz` (Makropoulos et al. 2018). 0 is outside
the image's labelled field.
"""

import numpy as np

from segsrgan_core.errors import UserError

# Parcellation of the fetal atlas: 1 white, 2 ventricles, 3 cerebellum, 4 outer CSF, 5 cortex, 6 deep grey,
# 7 brainstem, 8 corpus callosum (white matter in drawem9).
FETAL_ATLAS: dict[int, int] = {0: 0, 1: 3, 2: 5, 3: 6, 4: 1, 5: 2, 6: 7, 7: 8, 8: 3}

# ALBERTs as laid out in DrawEM's `tissues-v3`: 0 holds both the background and the deep structures, so only the
# cortex, CSF and white matter can be read from it; deep structures stay 0. 5 and 6 are high- and low-intensity white.
ALBERTS_TISSUES: dict[int, int] = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 3, 6: 3}

IDENTITY: dict[int, int] = {number: number for number in range(10)}

CONVENTIONS: dict[str, dict[int, int]] = {
    "drawem9": IDENTITY,
    "fetal_atlas": FETAL_ATLAS,
    "alberts": ALBERTS_TISSUES,
}


def to_drawem9(labels: np.ndarray, mapping: dict[int, int], name: str = "labels") -> np.ndarray:
    """Translate a label array to the drawem9 numbers.

    Args:
        labels: integer array of any shape.
        mapping: source number to drawem9 number.
        name: the file's name, for the error.

    Returns:
        uint8 array of the same shape.

    Raises:
        UserError: a number stands in `labels` that `mapping` does not know.
    """
    found = np.unique(labels)
    unknown = [int(number) for number in found if int(number) not in mapping]
    if unknown:
        raise UserError(
            f"{name}: expected only the labels {sorted(mapping)}, received also {unknown}; "
            "name the right label mapping or correct the file."
        )
    table = np.zeros(int(found.max()) + 1, np.uint8)
    for number in found:
        table[int(number)] = mapping[int(number)]
    return table[labels]
