"""The study's trained network, and its segmentations on disk."""

from pathlib import Path

from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.segmenter import Segmentation, Segmenter, load_segmenter
from segsrgan_study.files import save_image
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study


def trained_segmenter(study: Study, settings: Settings) -> Segmenter:
    """Load the network that stage 02 trained."""
    policy = choose_policy(settings.model.precision)
    return load_segmenter(study.results / "training" / "model", policy)


def save_segmentation(result: Segmentation, folder: Path, name: str) -> None:
    """Write image, labels, map of uncertainty and, where the network gives them, hemispheres.

    Args:
        result: of one image.
        folder: for the files.
        name: with which their names begin.
    """
    save_image(result.image, folder / f"{name}_desc-segsrgan_T2w.nii.gz")
    save_image(result.labels, folder / f"{name}_desc-segsrgan_dseg.nii.gz")
    save_image(result.uncertainty, folder / f"{name}_desc-segsrganuncertainty_probseg.nii.gz")
    if result.sides is not None:
        save_image(result.sides, folder / f"{name}_desc-segsrganhemispheres_dseg.nii.gz")
