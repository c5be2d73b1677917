"""The methods to compare with, and one of them on one case, kept so that an interrupted run goes on where it was.

To add one: write its file in this folder with a `Method` and name it in `ALL`. It can then be named in
`params.yaml` under `baselines.methods`; its scores, tests, rows of the tables and boxes of the figure follow.
"""

import json
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import atomic
from segsrgan_core.errors import UserError
from segsrgan_study.baselines import atropos, drawem, em, fusion, imapa
from segsrgan_study.baselines.case import OF_THE_MACHINE, Case, Method, MethodFailed
from segsrgan_study.baselines.registration import IMAGING, pair_path, warped_atlases
from segsrgan_study.faults import NotAvailable
from segsrgan_study.paths import digest

LABELLED = "labelled"
ALL = (imapa.METHOD, fusion.JOINT_LABEL_FUSION, drawem.METHOD, em.METHOD, atropos.METHOD, fusion.MAJORITY_VOTE)
METHODS: dict[str, Method] = {method.name: method for method in ALL}


def chosen_methods(names: Sequence[str], parameters: Mapping[str, Mapping[str, Any]]) -> list[Method]:
    """Return the named methods, with the parameters that replace a method's own; UserError where there is none such."""
    if unknown := [name for name in [*names, *parameters] if name not in METHODS]:
        known = f"choose among {', '.join(METHODS)}"
        raise UserError(f"params.yaml: baselines: there is no method {', '.join(unknown)}; {known}.")
    return [METHODS[name].tuned(**parameters.get(name, {})) for name in names]


def run(method: Method, case: Case, folder: Path) -> tuple[str, Nifti1Image | None, float | None]:
    """Label an image, or take the labels that the same method with the same inputs gave before.

    The folder keeps labels under a digest of all that they depend on, the code of the methods and of imaging included.
    Returned is the outcome, "labelled", "failed: why" or "not run: why": a fault of the method is a row of the table,
    and the others go on; one OF_THE_MACHINE is raised. Where labelled, labels, and seconds without the registrations.
    """
    facts = [method.name, method.version(), dict(method.parameters), case.age_weeks, case.content]
    facts += [pair_path(case, atlas).name for atlas in case.atlases if method.needs_atlases]
    path = folder / f"{digest([json.dumps(facts), *sorted(Path(__file__).parent.glob('*.py')), *IMAGING])[:32]}.npz"
    with suppress(Exception), np.load(path) as kept:  # not there, or damaged: whatever numpy or zlib call it
        return LABELLED, Nifti1Image(kept["labels"], case.image.affine), float(kept["seconds"])
    try:
        if method.needs_atlases:
            warped_atlases(case)  # kept in memory: the methods do not pay for what they share
        start = time.monotonic()
        labels = method.run(case)
        seconds = time.monotonic() - start
    except NotAvailable as reason:
        return f"not run: {reason}", None, None
    except OF_THE_MACHINE:
        raise
    except (MethodFailed, UserError) as fault:
        return f"failed: {fault}", None, None
    except Exception as fault:
        traceback.print_exc(file=sys.stderr)
        return f"failed: {type(fault).__name__}: {' '.join(str(fault).split())[:300]}", None, None
    atomic(path, lambda part: np.savez_compressed(part, labels=np.asarray(labels.dataobj), seconds=seconds))
    return LABELLED, labels, seconds
