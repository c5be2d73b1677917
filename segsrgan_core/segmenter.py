"""A trained network as a method: from a thick-slice image to a high-resolution image, labels and volumes."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from segsrgan_core.checkpoints import load_state, save_state
from segsrgan_core.classes import SIDES, Classes
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.degrade import interpolate
from segsrgan_core.imaging.files import write_json
from segsrgan_core.imaging.geometry import spacing_mm, through_plane_axis, voxel_volume_ml
from segsrgan_core.imaging.intensity import intensity_scale
from segsrgan_core.inference import predict
from segsrgan_core.params import ModelSettings

FORMAT = 1
WEIGHTS = "generator.npz"
FIELD_MM = (10.0, 500.0)  # extent of an image along each axis: at the least a slab, at the most a head with shoulders
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

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    generator: dict[str, Any]
    classes: tuple[str, ...]
    spacing_mm: Annotated[float, Field(ge=0.2, le=4)]
    patch: Annotated[int, Field(ge=16, le=512, multiple_of=16)]
    thickness_mm: tuple[float, float]
    plane: Literal["axial", "coronal", "sagittal"]
    cohort: str
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    format: Literal[FORMAT] = FORMAT


@dataclass(frozen=True)
class Segmentation:
    """What comes out, all on one isotropic grid in the input's orientation and place.

    Attributes:
        interpolated: float32, the network's input in the image's own intensities.
        image: float32, super-resolved, in the image's own intensities.
        labels: uint8, drawem9 numbers.
        probabilities: float32 (X, Y, Z) for each class.
        volumes_ml: of each class, from the labels; with hemispheres also of `left_cortex` and `right_cortex` (and so
            on) and `intracranial`.
        sides: uint8, 1 left, 2 right within the skull; None where the network does not know them.
        notes: what a person should know about this image.
    """

    interpolated: Nifti1Image
    image: Nifti1Image
    labels: Nifti1Image
    probabilities: dict[str, Nifti1Image]
    volumes_ml: dict[str, float]
    sides: Nifti1Image | None = None
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

    def __call__(self, image: Nifti1Image, like: Nifti1Image | None = None) -> Segmentation:
        """Segment one image.

        Args:
            image: float32 (X, Y, Z), any orientation and spacing.
            like: an image whose grid the result shall have; the card's isotropic voxel size if not given.

        Raises:
            UserError: the field of view is no head's, the isotropic image would be too large, or nothing is bright.
        """
        self._check_field(image)
        canonical = nib.as_closest_canonical(image)
        target = None if like is None else nib.as_closest_canonical(like)
        interpolated = interpolate(canonical, self.card.spacing_mm, target)
        array = np.asarray(interpolated.dataobj, np.float32)
        scale = intensity_scale(array)
        thickness = spacing_mm(canonical)[through_plane_axis(canonical)]
        output = predict(
            self.network, self._inputs(array / scale, thickness), self.card.patch, self.step, 1 + self._classes.channels
        )
        labels = self._classes.decode(output[..., 1:], self.card.threshold)
        sides = self._classes.decode_sides(output[..., 1:])

        def back(values: np.ndarray) -> Nifti1Image:
            return _in_orientation_of(Nifti1Image(values, interpolated.affine), image)

        return Segmentation(
            interpolated=back(array),
            image=back(output[..., 0] * np.float32(scale)),
            labels=back(labels),
            probabilities={name: back(p) for name, p in self._classes.of(output[..., 1:]).items()},
            volumes_ml=self._volumes_ml(labels, sides, voxel_volume_ml(interpolated)),
            sides=None if sides is None else back(sides),
            notes=self._notes(canonical, thickness),
        )

    def _check_field(self, image: Nifti1Image) -> None:
        extent = np.asarray(image.shape) * spacing_mm(image)
        low, high = FIELD_MM
        too_many = np.prod(extent / self.card.spacing_mm) > LARGEST_IMAGE_VOXELS
        if extent.min() < low or extent.max() > high or too_many:
            raise UserError(
                f"image: expected a head in a field of view of {low:g} to {high:g} mm along each axis; received "
                f"{' x '.join(f'{mm:.4g}' for mm in extent)} mm; correct the header's voxel sizes, or crop the image."
            )

    @property
    def _classes(self) -> Classes:
        return Classes(self.card.classes, bool(self.card.generator.get("hemispheres")))

    def _volumes_ml(self, labels: np.ndarray, sides: np.ndarray | None, voxel_ml: float) -> dict[str, float]:
        masks = {name: labels == number for name, number in self._classes.numbers.items()}
        if sides is not None:
            halves = dict(enumerate(SIDES, start=1))
            split = {
                f"{side}_{name}": mask & (sides == k) for name, mask in masks.items() for k, side in halves.items()
            }
            masks |= {**split, "intracranial": sides > 0}
        return {name: voxel_ml * int(mask.sum()) for name, mask in masks.items()}

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
        card = TypeAdapter(ModelCard).validate_json(path.read_text(encoding="utf-8"))
        arguments = dict(card.generator)
        channels = arguments.pop("n_classes")
        ModelSettings(generator=arguments.pop("name"), **arguments)  # the limits of params.yaml
        if channels != Classes(card.classes).channels:
            raise UserError(f"classes: expected as many as n_classes={channels}; received {list(card.classes)}")
    except OSError as error:
        raise UserError(
            f"{path}: expected a trained model's folder; received: {error.strerror}; run `make repro` first, or name "
            "the folder with --model."
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: expected a model card of format {FORMAT}; received one with a fault ({_brief(error)}); copy the "
            "model again, or train again."
        ) from error
    return card


def _brief(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return " ".join(str(error).split())
