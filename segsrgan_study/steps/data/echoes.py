"""The images at several echo times: the manifest's own, or where it has none, the test cases' re-synthesised ones."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.cohorts.labels import to_drawem9
from segsrgan_study.cohorts.manifest import image_rows, locate, read_manifest
from segsrgan_study.cohorts.presets import label_mapping
from segsrgan_study.files import load_image, load_labels, save_image, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.phantoms.echoes import at_echo_times
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import PreparedCase, case_name, prepared_cases

FOLDER = "echoes"  # in data/prepared
TABLE = "echoes.csv"


@dataclass(frozen=True)
class EchoCase:
    """One thick-slice image at one echo time, and what is known of the head.

    Attributes:
        name: subject, and session where there is one.
        te_ms: echo time.
        age_weeks: nan where unknown.
        image: thick slices.
        labels: the true labels on a grid of their own, or None.
        mapping: of the labels' numbers to those of drawem9.
        truth: the high-resolution image at this echo time, without noise, or None.
    """

    name: str
    te_ms: float
    age_weeks: float
    image: Path
    labels: Path | None
    mapping: dict[int, int] | None
    truth: Path | None

    def true_labels(self) -> Nifti1Image | None:
        """Read the true labels, drawem9 numbers."""
        if self.labels is None:
            return None
        source = load_labels(self.labels)
        numbers = np.asarray(source.dataobj)
        if self.mapping is not None:
            numbers = to_drawem9(numbers, self.mapping, str(self.labels))
        return Nifti1Image(numbers.astype(np.uint8), source.affine)


def truth_path(image: Path) -> Path:
    """Return where the high-resolution truth of a thick-slice image stands if it is known: `_desc-hr_T2w` beside it."""
    return image.with_name(re.sub(r"_([A-Za-z0-9]+)(\.nii(\.gz)?)$", r"_desc-hr_\1\2", image.name))


def echo_cases(study: Study, settings: Settings) -> list[EchoCase]:
    """Return the images of the split `variability`; without any, those that `resynthesise_cases` wrote."""
    rows = image_rows(read_manifest(study.manifest(settings.cohort)), "variability")
    if not rows:
        return _resynthesised(study)
    root, mapping = study.data_root(settings.cohort), label_mapping(settings.cohort, study.manifests)
    cases = []
    for row in rows:
        image = locate(root, row.image)
        labels = locate(root, row.labels) if row.labels else None
        truth = truth_path(image) if truth_path(image).is_file() else None
        name = case_name(row.subject, row.session)
        cases.append(EchoCase(name, row.te_ms, row.age_weeks, image, labels, mapping, truth))
    return cases


def _resynthesised(study: Study) -> list[EchoCase]:
    folder = study.work / "prepared"
    if not (folder / TABLE).is_file():
        return []
    table = pd.read_csv(folder / TABLE, dtype={"name": str})
    return [
        EchoCase(row.name, row.te_ms, row.age_weeks, folder / row.image, folder / row.labels, None, folder / row.truth)
        for row in table.itertuples(index=False)
    ]


def resynthesise_cases(study: Study, settings: Settings, manifest: pd.DataFrame) -> pd.DataFrame:
    """Write the test cases at the talk's echo times, unless the cohort has images of its own at several.

    Returns:
        One row an image: name, te_ms, age_weeks, image (thick slices), labels, truth (high resolution), the paths
        relative to `data/prepared`, where the table is kept too; empty where the cohort has its own.
    """
    columns = ["name", "te_ms", "age_weeks", "image", "labels", "truth"]
    cases = [] if image_rows(manifest, "variability") else list(prepared_cases(study, "test"))
    rows = [row for case in track(cases, "re-synthesised") for row in _resynthesise_one(case, study, settings)]
    table = pd.DataFrame(rows, columns=columns)
    write_csv(study.work / "prepared" / TABLE, table)
    return table


def _resynthesise_one(case: PreparedCase, study: Study, settings: Settings) -> list[dict]:
    # A head's values depend on its name and the seed, and on nothing that training draws from.
    rng = np.random.default_rng([settings.seed, *f"{case.name} echoes".encode()])
    images, noise = at_echo_times(load_image(case.image), load_labels(case.labels), rng)
    folder, simulation, rows = study.work / "prepared", settings.simulation, []
    for te, image in images.items():
        low = simulation.acquire(image, rng, noise)
        name = f"{FOLDER}/{case.name}_acq-te{te:g}_T2w.nii.gz"
        truth = f"{FOLDER}/{truth_path(Path(name)).name}"
        save_image(low, folder / name)
        save_image(image, folder / truth)
        facts = {"name": case.name, "te_ms": te, "age_weeks": case.age_weeks}
        rows.append({**facts, "image": name, "labels": case.labels.name, "truth": truth})
    return rows
