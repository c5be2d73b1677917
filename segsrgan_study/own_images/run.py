"""Segmentation of many images: finished ones are skipped, and one that fails does not stop the others."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

from segsrgan_core.atomic import atomic
from segsrgan_core.errors import UserError
from segsrgan_core.inference import Walk
from segsrgan_core.segmenter import ModelCard, Segmentation, Segmenter
from segsrgan_study.engines import choose_engine, choose_precision, load_segmenter
from segsrgan_study.environment import versions
from segsrgan_study.faults import in_one_line
from segsrgan_study.figures import contact_sheet
from segsrgan_study.files import load_image
from segsrgan_study.motion import brought_back
from segsrgan_study.own_images import bids
from segsrgan_study.own_images.bids import Job
from segsrgan_study.own_images.failures import forget, keep, one_at_a_time, refused
from segsrgan_study.own_images.names import Failure, InputImage
from segsrgan_study.own_images.quality import refuse_labels, unlike_training
from segsrgan_study.own_images.refined import in_plane_mm, refined
from segsrgan_study.own_images.tables import write_tables
from segsrgan_study.pool import map_cases, place
from segsrgan_study.progress import say, start_tensorflow, track
from segsrgan_study.shapes.cortex import cortical_shape
from segsrgan_study.statistics.growth import find_reference
from segsrgan_study.verdict.measures import measures
from segsrgan_study.verdict.rule import checksum, judge, read_logistic, reasons, remarks, suspicions


class Status(NamedTuple):
    """State of one input after a run."""

    state: str  # "done" (in this run), "there" (from an earlier run) or "failed"
    reason: str = ""  # cause of a failure, one sentence


def segment_all(images: list[InputImage], failures: Iterable[Failure], job: Job, workers: str = "1") -> list[Status]:
    """Segment images, each with a unique name, and write the tables and the page of the whole folder.

    One status per input is returned, also of those that gave no image; failures are printed on standard error as well.
    A UserError tells that network or reference cannot be loaded, or that `job.out` holds images to segment or another
    data set.
    """
    place(workers, 1)  # a value that is none stops the run
    unread, reference = list(failures), find_reference(job.reference)
    bids.refuse_inside(job.out, [one.origin for one in [*images, *unread] if one.origin])
    bids.write_top(job.out)
    identity = job.identity()
    if reference.weights and identity["Weights"]["Sha256"][:12] not in reference.weights:
        say(f"{job.reference}: made by other weights than {job.model.name!r}, whose volumes are not compared with it.")
    missing = [image for image in images if not bids.is_done(image, job.out, identity)]
    others = [image for image in missing if bids.is_anothers(image, job.out)]
    unread += [refused(image, _taken(image)) for image in others]
    missing, images = ([image for image in some if image not in others] for some in (missing, images))
    if missing:
        engine = choose_engine(job.engine)  # once, since parallel processes might choose differently
        job = replace(job, engine=engine, precision=choose_precision(engine, job.precision, "int8"))
        segmenter_of(job)  # an error of the network stops the run
    walk = partial(track, label="windows") if len(missing) == 1 else iter  # for many images one bar is enough
    work = partial(segment_image, job=job, identity=identity, walk=walk)
    needed = {"memory_gib": 1.5, "cores_each": 2}  # per image
    found = map_cases(work, missing, "segmented", workers, **needed, name=lambda image: str(image.file))
    outcomes = {one.item: _without_paths(one.reason, one.item) for one in found}
    statuses = [Status("failed", one.reason) for one in unread]
    for image in images:
        if not (reason := outcomes.get(image)):
            bids.note_age(image, job.out)
        state = "there" if reason is None else "failed" if reason else "done"
        statuses.append(Status(state, reason or ""))
    failed = [image for image in images if outcomes.get(image)]
    forget(job.out, [image for image in images if image not in failed])
    names = {image: "" if bids.is_anothers(image, job.out) else image.name for image in failed}
    keep(job.out, [*unread, *(Failure(one.source, outcomes[one], one.origin, names[one]) for one in failed)])
    write_tables(job.out, reference)
    return statuses


def segment_image(image: InputImage, job: Job, identity: dict[str, Any], walk: Walk = iter) -> None:
    """Segment one image and write its files; needs only its arguments, so that it can run in any process.

    The job has engine and precision chosen; `identity` is that of the job as it was asked for. Of an image that cannot
    be read or segmented (a UserError), nothing is left in the folder.
    """
    with one_at_a_time(job.out, image.name):
        if bids.is_done(image, job.out, identity):  # by another job
            return
        if bids.is_anothers(image, job.out):
            raise UserError(f"{image.origin}: {_taken(image)}.")
        _segment(image, job, identity, walk)


def _without_paths(reason: str, image: InputImage) -> str:
    """Return a reason with the name of an image in place of its paths, which may hold that of a person."""
    for path in (image.file, image.origin):
        reason = reason.replace(in_one_line(path), image.source)
    return reason


def _taken(image: InputImage) -> str:
    return f"results of another image or person are called {image.name} in --out; give it another subject or --out"


def _segment(image: InputImage, job: Job, identity: dict[str, Any], walk: Walk) -> None:
    if digest := bids.source_digest(image.file):  # else its disk may be away for a while: what there is remains
        bids.remove_case(image, job.out)
    scan, segmenter = load_image(image.file), segmenter_of(job)
    refuse_labels(scan, image.file)
    still, moved_mm = brought_back(scan)
    found, card, target_mm = segmenter(still, walk=walk), segmenter.card, job.spacing_mm or in_plane_mm(still)
    if target_mm < card.spacing_mm:
        del segmenter
        segmenter_of.cache_clear()  # 0.2 GiB, loaded again in 0.3 s
        coarse, result = map(bids.as_written, (found, refined(found, still, card, target_mm)))
    else:
        coarse = result = bids.as_written(found)
    del found
    try:
        with ThreadPoolExecutor(2) as threads:  # files are compressed, and the shape is measured, beside the rest
            shape = threads.submit(cortical_shape, coarse.labels, coarse.sides)  # on the network's grid, as the quality
            numbers = measures(scan, still, coarse)  # for these the verdict was fitted
            del coarse  # 0.4 GiB
            saved = bids.save_images(image, result, job.out, threads)
            facts = _facts(image, result, job, identity, card, numbers, moved_mm)
            sheet = atomic(job.out / image.sheet, contact_sheet.draw(result, image.name).save)
            if bids.source_digest(image.file) != digest:
                raise UserError(f"{image.file}: the file was changed while it was segmented; run the command again.")
            bids.write_case(image, result, job, facts | {"Shape": shape.result()}, sheet, saved)
    except BaseException:
        bids.remove_case(image, job.out)
        raise


def _facts(
    image: InputImage, result: Segmentation, job: Job, identity: dict, card: ModelCard, numbers: dict, moved_mm: float
) -> dict[str, Any]:
    """Return what the record of a case tells beside its volumes and shape, and say its notes."""
    logistic = read_logistic(job.model, checksum(identity["Weights"]))
    told = [f"slices displaced by {moved_mm:.1f} mm (sd) in their plane were moved back"] if moved_mm else []
    known = result.volumes_ml, numbers
    doubts = unlike_training(image.file, card, numbers["slice_mm"]) + reasons(*known)
    verdict = judge(doubts, suspicions(*known), told + result.notes + remarks(*known), numbers, logistic)
    for note in verdict["Notes"]:
        say(f"{image.origin}: note: {note}.")
    made_with = versions("nibabel", "numpy", "scipy", job.engine)
    facts = {"Sources": [image.source], **identity, "Versions": made_with, **verdict, "Quality": numbers}
    facts["Intervals_ml"] = logistic.intervals_ml(result.volumes_ml, numbers, verdict["Verdict"]) if logistic else {}
    return facts | {"Options": identity["Options"] | {"Engine": job.engine, "Precision": job.precision}}


@lru_cache(maxsize=1)
def segmenter_of(job: Job) -> Segmenter:
    """Return the network of a job, loaded once per process."""
    if job.engine == "tensorflow":
        start_tensorflow()
    return load_segmenter(job.model, job.engine, job.precision)
