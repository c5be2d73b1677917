"""One method on one case, kept so that an interrupted run goes on where it was."""

import json
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import atomic
from segsrgan_core.errors import UserError
from segsrgan_study.baselines.case import OF_THE_MACHINE, Case, Method, MethodFailed
from segsrgan_study.baselines.registration import IMAGING, pair_path, warped_atlases
from segsrgan_study.faults import NotAvailable
from segsrgan_study.paths import digest

LABELLED = "labelled"


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
