"""The study's trained network, and its segmentations on disk."""

from functools import lru_cache
from pathlib import Path

from segsrgan_core.segmenter import Segmentation, Segmenter
from segsrgan_study.engines import load_segmenter
from segsrgan_study.files import save_image
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study, digest


def trained_segmenter(study: Study, settings: Settings) -> Segmenter:
    """Load the network that stage 02 trained, once per process while its files stay as they are."""
    folder = study.results / "training" / "model"
    return _load(folder, settings.model.precision, digest(sorted(folder.glob("*"))))


@lru_cache(maxsize=1)
def _load(folder: Path, precision: str, _content: str) -> Segmenter:
    return load_segmenter(folder, precision=precision)


def save_segmentation(result: Segmentation, folder: Path, name: str) -> None:
    """Write image, labels, uncertainty and, where the network gives them, hemispheres, as files `NAME_desc-*`."""
    kinds = {"_T2w": result.image, "_dseg": result.labels, "uncertainty_probseg": result.uncertainty}
    for end, image in (kinds | {"hemispheres_dseg": result.sides}).items():
        if image is not None:
            save_image(image, folder / f"{name}_desc-segsrgan{end}.nii.gz")
