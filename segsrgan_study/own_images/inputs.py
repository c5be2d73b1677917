"""Inputs of the commands: image files, DICOM folders, folders of images, tables of images, names of cohorts."""

import os
import re
import stat
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.acquisition import bids_ages, echo_time_ms, weeks
from segsrgan_study.cohorts.download import PUBLIC, fetch_missing
from segsrgan_study.cohorts.manifest import image_rows, locate, read_manifest
from segsrgan_study.cohorts.schema import COLUMNS, OPTIONAL, SPLITS, Row
from segsrgan_study.cohorts.tables import parse_table, read_bytes, refuse
from segsrgan_study.faults import sentence
from segsrgan_study.files import ALIASES, SUFFIXES, sha256, stem, visible_files
from segsrgan_study.own_images import names
from segsrgan_study.own_images.dicom import choose, convert, nearest_te
from segsrgan_study.own_images.failures import LOCKED, refused
from segsrgan_study.own_images.names import WITHDRAWN, Failure, InputImage, entities_of, joined
from segsrgan_study.paths import find_study
from segsrgan_study.progress import say, track

NO_IMAGE = r"(?i)(^|[_.-])(brain)?(mask|d?seg|probseg|labels?|parcellation|tissues?)$"
NO_FOLDER = f"(?i)derivatives|sourcedata|code|labels?|masks?|segmentations?|func|fmap|perf|pet|{names.ANYWHERE}"
UNREAD = (".nrrd", ".nhdr", ".mha", ".mhd", ".mnc", ".par", ".img", ".gz", ".bz2", ".xz", ".zip", ".tar", ".tgz", ".7z")
IN_A_TABLE = "list both in a CSV table with columns image, subject,"
NO_LETTER = "no Latin letter or digit is in its name; give a CSV table with a column subject"
MOST_NAMED = 10  # in one sentence


def find_images(
    inputs: Sequence[str | Path],
    scratch: Path,
    series: str = "",
    split: str = "",
    te_ms: float | None = None,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
) -> tuple[list[InputImage], list[Failure]]:
    """Return the images of the inputs, each once and with a unique name, and the inputs that cannot be worked on.

    A UserError tells of an unknown label, or of nothing at all; where it is the only input, of one that is none of
    these, and of faults of a table.

    Args:
        inputs: image files; folders (of DICOM, or of NIfTI images); CSV files (a manifest, or any table with the column
            `image`, paths relative to the table, and optionally `subject`, `session`, `age_weeks`); names of cohorts.
        scratch: an empty folder for converted DICOM series; the caller removes it.
        series: DICOM series to use, see `dicom.choose`.
        split: of a manifest; "" for all.
        te_ms: echo time in ms; of each subject's and session's images the nearest within 10 %. None takes all.
        participants: labels of the subjects to use, with or without `sub-`; empty for all.
        sessions: labels of the sessions to use, with or without `ses-`; empty for all.
    """
    if not all(map(str, inputs)):
        raise UserError("an input is empty text, such as a variable without a value; name an image or a folder.")
    given: list[InputImage] = []
    failures: list[Failure] = []
    for number, word in enumerate(inputs, start=1):
        try:
            given += _expand(Path(os.path.expanduser(word)), split)
        except UserError as error:
            if len(inputs) == 1:
                raise
            say(str(error))
            failures.append(Failure(f"input {number}", "it gave no image; the screen said why", Path(word)))
    labels = {"sub": [one.removeprefix("sub-") for one in participants]}
    labels["ses"] = [one.removeprefix("ses-") for one in sessions]
    in_folders = dict.fromkeys(image for image in given if os.path.isdir(image.file))
    folders = [image for image in in_folders if not image.name or _has(image, labels)]
    images = [image for image in given if image not in in_folders and _has(image, labels)]
    if series and not in_folders:
        raise UserError(f"--series {series}: there is no DICOM folder to choose of; leave it out, or name the folder.")
    failures += [refused(image, NO_LETTER) for image in images if not image.name]
    images = [image for image in images if image.name]
    if te_ms is not None:
        images = _of_te(images, te_ms, failures)
    converted: list[InputImage] = []
    for number, folder in enumerate(track(folders, "converted") if len(folders) > 1 else folders, start=1):
        if _is_locked(folder.file):
            failures.append(refused(replace(folder, source=folder.name or f"folder {number}"), LOCKED))
            continue
        try:
            converted += _converted(folder, scratch / str(number), series, te_ms)
        except (UserError, OSError) as error:
            say(f"{sentence(error)}.")
            why = "the DICOM folder gave no image to work on; the screen said why"  # whose names no output may hold
            failures.append(Failure(folder.name or f"DICOM folder {number}", why, folder.file))
    for key, option in {"sub": "--participant-label", "ses": "--session-label"}.items():
        there = {entities_of(one.name).get(key, "") for one in given + converted if one.name}
        if unknown := [one for one in labels[key] if one not in there]:
            known = _few(sorted(there - {""})) or "none"
            raise UserError(f"{option} {' '.join(unknown)}: not there; give one of: {known}.")
    images += [image for image in converted if _has(image, labels)]
    kept = _with_ages(_apart(images, failures))
    if not kept and not failures:
        raise UserError(f"{', '.join(map(str, inputs))}: there is no image to work on; name another file or folder.")
    return kept, failures


def _has(image: InputImage, labels: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether an image is of one of the subjects and of one of the sessions; an empty list allows any."""
    return all(not few or (image.name and entities_of(image.name).get(key) in few) for key, few in labels.items())


def _few(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return ", ".join(words[:MOST_NAMED]) + more


def _with_ages(images: list[InputImage]) -> list[InputImage]:
    """Return the images with the ages that BIDS's tables give, where nothing else does."""
    tables = lru_cache(_ages)
    found = []
    for image in images:
        file = image.file.absolute()
        home = next((path for path in file.parents if path.name.startswith("sub-")), None)
        if home and not image.age_weeks and not image.folder:
            ages, sub = tables(home.parent), home.name.removeprefix("sub-")
            session = file.relative_to(home).parts[0].removeprefix("ses-")
            visits = [(sub, session), (sub, "")][: 1 if len(list(home.glob("ses-*"))) > 1 else 2]  # two have two ages
            age = next((ages[visit] for visit in visits if visit in ages), "" if (sub, "") in ages else None)
            if age is None and ages and image.age_weeks is None:
                say(f"{image.file}: the tables of its data set have ages, but none of sub-{sub}.")
            elif age == "":
                say(f"{image.file}: no age is used, {sub}'s is unfit or one of several; give sub-{sub}_sessions.tsv.")
            image = replace(image, age_weeks=image.age_weeks if age is None else float(age or WITHDRAWN))
        found.append(image)
    return found


def _ages(data_set: Path) -> Mapping[tuple[str, str], str]:
    try:
        return bids_ages(data_set)
    except UserError as error:
        say(f"{error} No ages are used.")
        return {}


def _of_te(images: list[InputImage], te_ms: float, failures: list[Failure]) -> list[InputImage]:
    """Return of each subject's and session's images those with an echo time; where none has it, add a failure."""
    visits: dict[tuple, list[InputImage]] = {}
    for image in images:
        visits.setdefault((image.person, image.home, image.beside), []).append(image)
    kept = []
    for visit in visits.values():
        times = [image.te_ms or echo_time_ms(image.file) for image in visit]
        chosen = nearest_te(visit, [time or float("nan") for time in times], te_ms)
        kept += chosen
        if not chosen:
            told = ", ".join(sorted({f"{time:g} ms" if time else "unknown" for time in times}))
            reason = f"no echo time within 10 % of {te_ms:g} ms (they are: {told}; from the JSON beside, or the name)"
            failures.append(refused(visit[0], reason))
    return kept


def _apart(images: list[InputImage], failures: list[Failure]) -> list[InputImage]:
    """Return each image once; add failures: two images or people of one name, and what a table or a name rules out.

    What a table says of an image goes before what its path says; where tables say two things, nobody knows.
    """
    contents: dict[str, list[InputImage]] = {}
    for image in images:  # those of a DICOM folder are new files each time
        contents.setdefault(sha256(image.file) if image.folder else os.path.realpath(image.file), []).append(image)
    kept: dict[str, InputImage] = {}
    people: dict[str, InputImage] = {}
    for same in contents.values():
        told = [one for one in same if one.by_table or one.age_weeks is not None] or same[:1]
        image, said = told[0], list(dict.fromkeys(f"{one.name} (age {one.age_weeks or 'unknown'})" for one in told))
        subject = entities_of(image.name)["sub"].casefold()
        person = people.setdefault(subject, image)
        reason = image.fault
        if os.path.exists(image.file) and not os.path.isfile(image.file):
            reason = "it is a pipe or device; copy it into a file"
        elif len(said) > 1:
            reason = f"tables give this image as {' and as '.join(said)}; correct them"
        elif person.person != image.person:
            reason = f"{image.person!r} and {person.person!r} would be one subject in the outputs; rename one, or use "
            reason += "a CSV table with a column subject"
        elif person.beside and image.beside and person.beside != image.beside:
            reason = f"another image of {image.person!r} lies in another folder or data set, as if of another person; "
            reason += f"{IN_A_TABLE} session"
        elif other := kept.get(image.name.casefold()):
            reason = f"its outputs would have the names of those of {other.source}, {other.name}; {IN_A_TABLE} run"
        if reason:
            failures.append(refused(image, reason))
            continue
        kept[image.name.casefold()] = image
        if not person.beside:
            people[subject] = image
    return list(kept.values())


def _expand(path: Path, split: str) -> list[InputImage]:
    """Images that a word stands for; the file of one may be a DICOM folder, without a name unless a table gives it."""
    is_folder = os.path.isdir(path)  # False where it cannot be seen: an image then fails alone
    if path.suffix.lower() == ".csv" and not is_folder:
        return _table(path, split)
    if split and (is_folder or path.name.lower().endswith(SUFFIXES)):
        raise UserError(f"--split {split}: {path} is no cohort and no manifest; leave it out.")
    if is_folder:
        return _folder(path)
    if path.suffix.lower() == ".hdr" and path.with_suffix(".img").is_file():
        path = path.with_suffix(".img")
    if path.name.lower().endswith(SUFFIXES):  # a missing one fails alone, when it is read
        return [_of_file(path, path.name)]
    manifest = None
    with suppress(UserError):  # outside a study there are no cohorts
        manifest = find_study().manifest(path.name)
    if manifest and len(path.parts) == 1 and manifest.is_file():
        return _manifest(manifest, split)
    what = "this is not" if path.exists() else "nothing is there, and a word alone would be"
    kinds = f"an image ({', '.join(SUFFIXES)}), a folder, a CSV table or the name of a cohort"
    raise UserError(f"{path}: {what} {kinds}; correct the path.")


def _of_file(file: Path, source: str) -> InputImage:
    """Image with the name that its path gives; without one where the path has no Latin letter."""
    entities = names.entities_of_file(source)
    above = [path for key in ("sub-", "ses-") for path in file.absolute().parents if path.name.startswith(key)]
    beside = Path(os.path.realpath((above or [file])[0].parent))
    with suppress(UserError):
        return InputImage(file, joined(entities), source, unicodedata.normalize("NFKD", entities["sub"]), beside=beside)
    return InputImage(file, "", source)


def _folder(path: Path) -> list[InputImage]:
    """Images of a folder: in one with BIDS names its T2w images, else all; what is left out is named on the screen."""
    files, locked = visible_files(path)
    images = [file for file in files if file.name.lower().endswith(SUFFIXES)]
    # Scanners call DICOM files .img as well; an image's has a .hdr beside it.
    images = [file for file in images if file.suffix.lower() != ".img" or file.with_suffix(".hdr").is_file()]
    images = [file for file in images if file.suffix.lower() != ".hdr" or not file.with_suffix(".img").is_file()]
    relative = {file: file.relative_to(path) for file in [*files, *locked]}
    chosen = [file for file in images if not _is_no_image(relative[file])]
    chosen = [file for file in chosen if re.fullmatch("(?i)sub-.*_T2w", stem(file))] or chosen
    others = [file for file in files if file not in images]
    odd = [file for file in others if file.suffix.lower() in UNREAD]
    # Each is opened once; without images DICOM is what the folder is for.
    dicom = {file for file in (others if images else odd) if _is_dicom(file)}
    is_dicom = not images or (dicom and not chosen)
    unread = [file for file in odd if file not in dicom]
    left_out = [relative[file].as_posix() for file in images if file not in chosen]
    left_out += sorted({f"DICOM files in {file.parent}" for file in dicom if not is_dicom})
    left_out += [f"{relative[file].as_posix()} (convert or unpack it)" for file in unread]
    if left_out:
        say(f"{path}: left out: {_few(left_out)}.")
    found = [InputImage(file, "", relative[file].as_posix()) for file in locked]  # each fails alone
    if is_dicom and path not in locked:
        return [*found, InputImage(path, "", "")]
    return [*found, *(_of_file(file, relative[file].as_posix()) for file in chosen)]


def _is_no_image(path: Path) -> bool:
    """Tell by its name and folders whether a file is a mask, a map of labels, a result or another contrast."""
    name = stem(path)
    inside = any(re.fullmatch(NO_FOLDER, folder) for folder in path.parts[:-1])
    return inside or names.OWN in name or bool(names.other_kind(name) or re.search(NO_IMAGE, name))


def _is_locked(path: Path) -> bool:
    return os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK)


def _is_dicom(path: Path) -> bool:
    if not os.path.isfile(path):  # a pipe would never end
        return False
    with suppress(OSError), path.open("rb") as handle:
        return handle.read(132)[128:] == b"DICM"
    return False


def _manifest(path: Path, split: str) -> list[InputImage]:
    manifest = read_manifest(path)
    root = find_study(path.resolve().parent).data_root(path.stem)
    if path.stem in PUBLIC:
        fetch_missing(manifest, root)
    rows = [row for one in ([split] if split else SPLITS) for row in image_rows(manifest, one)]
    if not rows:
        raise UserError(f"{path}: there are no images of the split {split!r}; give another split.")
    return [_of_row(row, locate(root, row.image)) for row in rows]


def _of_row(row: Row, file: Path) -> InputImage:
    te_ms, age_weeks = (None if np.isnan(number) else number for number in (row.te_ms, row.age_weeks))
    person, acq = row.subject.removeprefix("sub-"), f"te{te_ms:g}" if te_ms else ""
    own = {"sub": person, "ses": row.session.removeprefix("ses-"), "acq": acq}
    entities = names.entities_of_file(file.name) if stem(file).startswith("sub-") else own
    return InputImage(file, joined(entities), row.image, person, te_ms=te_ms, age_weeks=age_weeks)


def _table(path: Path, split: str) -> list[InputImage]:
    frame, faults = parse_table(read_bytes(path))
    if set(COLUMNS) - set(OPTIONAL) <= set(frame.columns):
        return _manifest(path, split)
    frame = frame.rename(columns=lambda name: ALIASES.get(name.lower(), name.lower()))
    if "image" not in frame.columns:
        refuse(path, faults or ["line 1: the column 'image' is missing"])
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    refuse(path, [*faults, *(f"line 1: there are two columns for {name!r}" for name in twice)])
    if unused := set(frame.columns) - {"image", "subject", "session", "age_weeks", *names.ENTITIES}:
        say(f"{path}: columns that are not used: {', '.join(sorted(unused))}.")
    images = []
    for line, row in frame.iterrows():
        try:
            if not row.get("subject", "all") and frame["subject"].any():
                raise UserError("no subject, where other lines have one; fill it in")
            images.append(_of_line(path.parent, row))
        except UserError as error:
            faults.append(f"line {line}: {str(error).rstrip('.')}")
    refuse(path, faults)
    return images


def _of_line(table: Path, row: Mapping[str, str]) -> InputImage:
    """Image of a row; of further columns those that BIDS knows (run, acq, echo ...) become parts of its name."""
    if not row["image"]:
        raise UserError("no image is named in the column 'image'")
    cell = Path(os.path.expanduser(row["image"]))
    image = InputImage(table / cell, "", cell.name if cell.is_absolute() else row["image"])
    try:
        is_folder = stat.S_ISDIR(image.file.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # it fails alone
        is_folder = False
    except (OSError, ValueError) as error:
        raise UserError(f"{row['image'][:80]!r} cannot be read: {sentence(error)[:80]}") from error
    if is_folder:
        found = _folder(image.file)
        if len(found) != 1 and not (found and _is_locked(found[0].file)):
            raise UserError(f"{row['image']}: there are {len(found)} images in this folder; name one image")
        image = replace(found[0], source=f"{image.source}/{found[0].source}")
    age = "" if row.get("age_weeks") == "n/a" else row.get("age_weeks", "")
    if age and not weeks(age):
        raise UserError(f"age_weeks {age!r} must be the postmenstrual age at the scan, such as 39.3 or 39+2")
    image = replace(image, age_weeks=float(weeks(age)) if age else WITHDRAWN if "age_weeks" in row else None)
    columns = {key: {"sub": "subject", "ses": "session"}.get(key, key) for key in names.ENTITIES}
    labels = {key: names.label(row.get(column, ""), column) for key, column in columns.items()}
    is_image = image.source.lower().endswith(SUFFIXES)  # the name of another, a folder of DICOM, may be a person's
    if labels["sub"]:
        source = image.source if is_image else joined(labels)
        return replace(image, source=source, name=joined(labels), person=labels["sub"], by_table=True, beside=None)
    if any(labels.values()):
        raise UserError("session, run and the like name an image together with a subject alone; fill in the subject")
    if not (is_folder or is_image):
        raise UserError(f"{row['image'][:80]!r} is no image or folder that can be read; correct it, or name a subject")
    named = image if image.file.is_dir() else _of_file(image.file, image.file.name)
    return replace(named, source=image.source, age_weeks=image.age_weeks)


def _converted(folder: InputImage, place: Path, wanted: str, te_ms: float | None) -> list[InputImage]:
    """Convert the chosen series of a DICOM folder; their names say nothing of the person."""
    place.mkdir()
    series = convert(folder.file, place)
    chosen = choose(folder.file, series, wanted, te_ms)
    # The pseudonym is made from the images alone and is the same in every run.
    name = folder.name or f"sub-{min(sha256(one.file) for one in series)[:10]}"
    studies = list(dict.fromkeys(one.study for one in sorted(series, key=lambda one: one.time) if not one.fault))
    if folder.age_weeks and len(studies) > 1:
        say(f"{folder.file}: its age is not used, {len(studies)} examinations are in it; list the folder of each.")
        folder = replace(folder, age_weeks=WITHDRAWN)
    images = []
    for one in chosen:
        entities = entities_of(name)
        # All usable ones, chosen or not: another run with another choice must not take the same name.
        beside = [other for other in series if other.study == one.study and not other.fault]
        text = one.label + (one.suffix if [other.label for other in beside].count(one.label) > 1 else "")
        if len(beside) > 1:
            entities["acq"] = entities.get("acq", "") + text
        if len(studies) > 1:
            number = str(studies.index(one.study) + 1)
            entities |= {"acq": f"{entities.get('acq', '')}study{number}"} if "ses" in entities else {"ses": number}
        known = {"folder": folder.file, "age_weeks": folder.age_weeks, "by_table": folder.by_table}
        images.append(InputImage(one.file, joined(entities), f"DICOM {text}", entities["sub"], **known))
    names = dict(zip(chosen, images, strict=True))
    for one in series:
        say(f"{folder.file}: {one}{f' -> {names[one].name}' if one in names else ''}")
        if one not in names:
            one.file.unlink()
    return images
