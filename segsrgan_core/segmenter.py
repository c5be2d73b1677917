"""A trained network as a method: from a thick-slice image to a high-resolution image, labels and volumes."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.checkpoints import load_state, save_state
from segsrgan_core.classes import Classes
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.degrade import interpolate
from segsrgan_core.imaging.files import write_json
from segsrgan_core.imaging.geometry import spacing_mm, through_plane_axis, voxel_volume_ml
from segsrgan_core.imaging.intensity import intensity_scale
from segsrgan_core.inference import Walk, predict

FORMAT = 1
WEIGHTS = "generator.npz"
LARGEST_IMAGE_VOXELS = 600**3


@dataclass(frozen=True)
class ModelCard:
    """What must be known to use a network's weights.

    Attributes:
        generator: arguments of `build_generator`, without the precision.
        classes: names of the tissues, class 1 first.
        spacing_mm: isotropic voxel size of its images.
        patch: window edge in voxels.
        thickness_mm: range of the slice thickness it was trained on.
        plane: of the slices it was trained on.
        cohort: it was trained on.
        threshold: of a single class.
        format: of this file.
    """

    generator: dict[str, Any]
    classes: tuple[str, ...]
    spacing_mm: float
    patch: int
    thickness_mm: tuple[float, float]
    plane: str
    cohort: str
    threshold: float = 0.5
    format: int = FORMAT


@dataclass(frozen=True)
class Segmentation:
    """What comes out, all on one isotropic grid in the input's orientation and place.

    Attributes:
        interpolated: float32, the network's input in the image's own intensities.
        image: float32, super-resolved, in the image's own intensities.
        labels: uint8, drawem9 numbers.
        probabilities: float32 (X, Y, Z) for each class.
        volumes_ml: of each class, from the labels.
        notes: what a person should know about this image.
    """

    interpolated: Nifti1Image
    image: Nifti1Image
    labels: Nifti1Image
    probabilities: dict[str, Nifti1Image]
    volumes_ml: dict[str, float]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Segmenter:
    """A network with what it needs to know; made by `load_segmenter`.

    Attributes:
        card: of the weights.
        network: float32 (1, P, P, P, C) -> float32 (1, P, P, P, 1 + channels).
        step: distance between windows in voxels.
    """

    card: ModelCard
    network: Callable[[np.ndarray], np.ndarray]
    step: int

    def __call__(self, image: Nifti1Image, like: Nifti1Image | None = None, walk: Walk = iter) -> Segmentation:
        """Segment one image.

        Args:
            image: float32 (X, Y, Z), any orientation and spacing.
            like: an image whose grid the result shall have; the card's isotropic voxel size if not given.
            walk: see `inference.predict`.

        Raises:
            UserError: the isotropic image would be too large.
        """
        extent = np.asarray(image.shape) * spacing_mm(image)
        if np.prod(extent / self.card.spacing_mm) > LARGEST_IMAGE_VOXELS:
            raise UserError(f"image: expected a head; received a field of view of {np.round(extent)} mm; crop it.")
        canonical = nib.as_closest_canonical(image)
        target = None if like is None else nib.as_closest_canonical(like)
        interpolated = interpolate(canonical, self.card.spacing_mm, target)
        array = np.asarray(interpolated.dataobj, np.float32)
        scale = intensity_scale(array)
        thickness = spacing_mm(canonical)[through_plane_axis(canonical)]
        inputs, channels = self._inputs(array / scale, thickness), 1 + self._classes.channels
        output = predict(self.network, inputs, self.card.patch, self.step, channels, walk)
        labels = self._classes.decode(output[..., 1:], self.card.threshold)

        def back(values: np.ndarray) -> Nifti1Image:
            return _in_orientation_of(Nifti1Image(values, interpolated.affine), image)

        volume = voxel_volume_ml(interpolated)
        numbers = self._classes.numbers
        return Segmentation(
            interpolated=back(array),
            image=back(output[..., 0] * np.float32(scale)),
            labels=back(labels),
            probabilities={name: back(p) for name, p in self._classes.of(output[..., 1:]).items()},
            volumes_ml={name: volume * int((labels == number).sum()) for name, number in numbers.items()},
            notes=self._notes(canonical, thickness),
        )

    @property
    def _classes(self) -> Classes:
        return Classes(self.card.classes)

    def _inputs(self, array: np.ndarray, thickness: float) -> np.ndarray:
        if not self.card.generator.get("thickness_channel"):
            return array[..., None]
        return np.stack([array, np.full_like(array, thickness)], axis=-1)

    def _notes(self, canonical: Nifti1Image, thickness: float) -> list[str]:
        low, high = self.card.thickness_mm
        plane = ("sagittal", "coronal", "axial")[through_plane_axis(canonical)]
        thick = thickness > 1.5 * self.card.spacing_mm
        notes = []
        if thick and plane != self.card.plane:
            notes.append(f"the slices are {plane}, the network was trained on {self.card.plane} slices")
        if not low - 0.25 <= thickness <= high + 0.25:
            notes.append(f"the slices are {thickness:.3g} mm thick, the network was trained on {low:g} to {high:g} mm")
        return notes


def _in_orientation_of(canonical: Nifti1Image, image: Nifti1Image) -> Nifti1Image:
    """Flip and permute a RAS+ image's axes to those of another image; every voxel stays where it is in the world."""
    transform = nib.orientations.ornt_transform(nib.io_orientation(canonical.affine), nib.io_orientation(image.affine))
    turned = canonical.as_reoriented(transform)
    return Nifti1Image(np.ascontiguousarray(turned.dataobj), turned.affine)


def save_model(folder: Path, model: Any, card: ModelCard) -> None:
    """Write weights and card: `generator.npz` and `model.json`, each atomically."""
    save_state(folder / WEIGHTS, {"generator": model.trainable_variables}, {})
    write_json(folder / "model.json", asdict(card))


def load_segmenter(folder: str | Path, step: int, policy: str = "float32") -> Segmenter:
    """Load a trained network; nothing in the files is executed.

    Args:
        folder: that `save_model` wrote.
        step: distance between windows in voxels.
        policy: Keras dtype policy of the convolutions.

    Raises:
        UserError: a file is missing, damaged, or of another architecture.
    """
    from segsrgan_core.networks.functions import as_function
    from segsrgan_core.networks.generators import build_generator

    folder = Path(folder)
    card = read_card(folder)
    model = build_generator(**card.generator, policy=policy)
    load_state(folder / WEIGHTS, {"generator": model.trainable_variables})
    return Segmenter(card, as_function(model), min(step, card.patch))


def read_card(folder: Path) -> ModelCard:
    """Read `model.json`; see `load_segmenter`."""
    path = folder / "model.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        card = ModelCard(**content)
        card = ModelCard(**{**content, "classes": tuple(card.classes), "thickness_mm": tuple(card.thickness_mm)})
    except OSError as error:
        raise UserError(
            f"{path}: expected a trained model's folder; {error.strerror}; run `make repro` first."
        ) from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: expected a model card of format {FORMAT}; it is damaged ({error}).") from error
    if card.format != FORMAT:
        raise UserError(f"{path}: expected a model card of format {FORMAT}; received {card.format}.")
    return card
