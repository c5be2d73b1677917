"""The study's trained network, and its segmentations on disk."""

from pathlib import Path

from segsrgan_core.segmenter import Segmentation, Segmenter
from segsrgan_study.engines import load_segmenter
from segsrgan_study.files import save_image
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study


def trained_segmenter(study: Study, settings: Settings) -> Segmenter:
    """Load the network that stage 02 trained."""
    return load_segmenter(study.results / "training" / "model", precision=settings.model.precision)


def save_segmentation(result: Segmentation, folder: Path, name: str) -> None:
    """Write image, labels, uncertainty and, where the network gives them, hemispheres, as files `NAME_desc-*`."""
    kinds = {"_T2w": result.image, "_dseg": result.labels, "uncertainty_probseg": result.uncertainty}
    for end, image in (kinds | {"hemispheres_dseg": result.sides}).items():
        if image is not None:
            save_image(image, folder / f"{name}_desc-segsrgan{end}.nii.gz")
