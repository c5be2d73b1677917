"""Segment many images: what is done is not done again, what fails is told and does not stop the others."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from segsrgan_core.errors import UserError
from segsrgan_core.inference import Walk
from segsrgan_core.segmenter import Segmenter, load_segmenter
from segsrgan_study.files import load_image
from segsrgan_study.own_images.bids import Job, is_done, remove_case, versions, write_case, write_top
from segsrgan_study.own_images.names import Case
from segsrgan_study.own_images.quality import doubts, quality
from segsrgan_study.own_images.tables import write_tables
from segsrgan_study.pool import map_cases
from segsrgan_study.progress import say, track
from segsrgan_study.quiet import start_tensorflow


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Attributes:
        name: of the case, "" if there was none.
        source: what outputs call it.
        state: "done" (now), "there" (from an earlier run) or "failed".
        reason: why it failed.
    """

    name: str
    source: str
    state: str
    reason: str = ""


RESOURCES = {"memory_gib": 4.0, "cores_each": 4}  # that one image needs


def segment_all(cases: list[Case], failures: Iterable[tuple[str, str]], job: Job, workers: str = "1") -> list[Outcome]:
    """Segment images and write the tables and the page of the whole folder.

    Args:
        cases: to segment, each with a name of its own.
        failures: source and reason of inputs that gave no case.
        job: weights, options and the folder of the derivatives.
        workers: where, see `pool`.

    Returns:
        What became of each input; the failures are named on standard error, too.
    """
    write_top(job.out)
    outcomes = [Outcome("", source, "failed", reason) for source, reason in failures]
    identity = job.identity()
    missing = [case for case in cases if not is_done(case, job.out, identity)]
    if missing:
        job = _measured(job)
        segmenter_of(job)  # a fault of the network is not an image's, and stops the run
    walk = _windows if len(missing) == 1 else iter  # of many images one bar is enough
    work = partial(segment_case, job=job, identity=identity, walk=walk)
    found = map_cases(work, missing, "segmented", workers, **RESOURCES, name=lambda case: str(case.file))
    made = {one.item: one.result or Outcome(one.item.name, one.item.source, "failed", one.reason) for one in found}
    outcomes += [made.get(case) or Outcome(case.name, case.source, "there") for case in cases]
    write_tables(job.out, {one.source: (one.name, one.reason) for one in outcomes if one.state == "failed"})
    return outcomes


def _windows(corners: Iterable) -> Iterable:
    return track(corners, "windows")


def _measured(job: Job) -> Job:
    """Choose the precision now: processes that measure side by side might choose differently."""
    if job.precision != "auto":
        return job
    start_tensorflow()
    from segsrgan_core.networks.functions import choose_policy

    return replace(job, precision=choose_policy(job.precision))


def segment_case(case: Case, job: Job, identity: dict[str, Any], walk: Walk = iter) -> Outcome:
    """Segment one image; needs nothing but its arguments, so that it can run in any process.

    Args:
        case: the image.
        job: weights, options and the folder of the derivatives.
        identity: of the job as it was asked for, see `Job.identity`.
        walk: see `inference.predict`.
    """
    remove_case(case, job.out)
    try:
        _segment(case, job, identity, walk)
    except (UserError, MemoryError) as error:
        reason = " ".join(str(error).split()) or "expected enough memory for this image; there was not"
        say(reason if str(case.file) in reason else f"{case.file}: {reason}")
        return Outcome(case.name, case.source, "failed", reason.replace(str(case.file), case.source))
    return Outcome(case.name, case.source, "done")


def _segment(case: Case, job: Job, identity: dict[str, Any], walk: Walk) -> None:
    from segsrgan_study.figures import contact_sheet

    image = load_image(case.file)
    segmenter, policy = segmenter_of(job)
    result = segmenter(image, walk=walk)
    notes = result.notes + doubts(result)
    for note in notes:
        say(f"{case.file}: note: {note}.")
    facts = {"Sources": [case.source], **identity, "Versions": versions(), "Notes": notes}
    facts |= {"Options": {**identity["Options"], "Precision": policy}, "Quality": quality(image, result)}
    contact_sheet.write(result, case.name, job.out / case.sheet)
    write_case(case, result, job, facts, [case.sheet])


@lru_cache(maxsize=1)
def segmenter_of(job: Job) -> tuple[Segmenter, str]:
    """Return the network of a job and the precision that it runs in; loaded once in a process."""
    start_tensorflow()
    from segsrgan_core.networks.functions import choose_policy

    policy = choose_policy(job.precision)
    return load_segmenter(job.model, policy, job.step, job.flips), policy
