"""A trained network as a method: from a thick-slice image to a high-resolution image, labels and volumes."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from segsrgan_core.atomic import write_json
from segsrgan_core.checkpoints import load_state, save_state
from segsrgan_core.classes import SIDES, Classes
from segsrgan_core.drift import Drift
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import (
    resample_isotropic,
    resample_like,
    slice_plane,
    spacing_mm,
    through_plane_axis,
    voxel_volume_ml,
)
from segsrgan_core.imaging.hemispheres import largest_part, split_hemispheres
from segsrgan_core.imaging.intensity import intensity_scale
from segsrgan_core.inference import Walk, predict
from segsrgan_core.settings import ModelSettings
from segsrgan_core.uncertainty import Network, disagreement_ml, error_probability, views

FORMAT = 3
WEIGHTS = "generator.npz"
FIELD_MM = (10.0, 500.0)  # extent of an image along each axis: at the least a slab, at the most a head with shoulders
LARGEST_IMAGE_VOXELS = 600**3


@dataclass(frozen=True)
class ModelCard:
    """Facts that are needed to use a network's weights; the content of `model.json`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    generator: dict[str, Any]  # arguments of `build_generator`, without the precision
    classes: tuple[str, ...]  # names of the tissues, class 1 first
    spacing_mm: Annotated[float, Field(ge=0.2, le=4)]  # isotropic voxel size of the images
    patch: Annotated[int, Field(ge=16, le=512, multiple_of=16)]  # edge of a window in voxels
    thickness_mm: tuple[float, float]  # smallest and largest slice thickness in training
    planes: Annotated[tuple[Literal["axial", "coronal", "sagittal"], ...], Field(min_length=1)]  # in training
    cohort: str  # name of the cohort of the training
    step: Annotated[int, Field(ge=1)]  # voxels from window to window
    flips: tuple[Literal["x", "y", "z"], ...]  # axes along which windows are mirrored in turn
    temperature: Annotated[float, Field(gt=0)] = 1.0  # of the tissues' probabilities, see `Classes.calibrate`
    biases: dict[str, float] = field(default_factory=dict)  # by class, of their logarithms
    drift: Drift | None = None  # of the main tissue's volume with the contrast
    networks: Annotated[int, Field(ge=1, le=64)] = 1  # number of networks that vote
    format: Literal[FORMAT] = FORMAT  # version of this file's format

    @property
    def tissues(self) -> Classes:
        """Classes of the segmentation's channels."""
        return Classes(self.classes, bool(self.generator.get("hemispheres")))


@dataclass(frozen=True)
class Segmentation:
    """Result for one image. All volumes lie on one isotropic grid in the orientation and place of the input.

    Volumes go by name: each class, and with hemispheres `left_cortex`, `right_cortex` (and so on) and `intracranial`.
    """

    interpolated: Nifti1Image  # float32 (X, Y, Z), the interpolated input in its own intensities
    image: Nifti1Image  # float32, the super-resolved image in the input's intensities
    labels: Nifti1Image  # uint8, drawem9 numbers
    probabilities: dict[str, Nifti1Image]  # by class, float32 in [0, 1]; the brain's are 0 outside the skull, if found
    volumes_ml: dict[str, float]  # from the labels
    sides: Nifti1Image | None = None  # uint8, 1 left, 2 right within the skull; None for a network without hemispheres
    uncertainty: Nifti1Image | None = None  # float32, probability that a voxel's label is wrong
    disagreement_ml: float = 0.0  # of the passes about the main tissue, see `uncertainty.disagreement_ml`
    notes: list[str] = field(default_factory=list)  # sentences about this image that its user should read


@dataclass(frozen=True)
class Segmenter:
    """A trained network as a function of an image; made by `load_segmenter`."""

    card: ModelCard  # facts about the weights
    network: Network  # float32 (1, P, P, P, C) -> float32 (1, P, P, P, 1 + channels)
    others: tuple[Network, ...] = ()  # further networks that vote

    def __call__(
        self,
        image: Nifti1Image,
        like: Nifti1Image | None = None,
        interpolated: Nifti1Image | None = None,
        walk: Walk = iter,
    ) -> Segmentation:
        """Segment one image.

        Args:
            image: float32 (X, Y, Z), any orientation and spacing.
            like: image that defines the grid of the result; None: isotropic voxels of the card's size.
            interpolated: `image` on that grid in RAS+ order, if it has been interpolated before.
            walk: see `inference.predict`.

        A UserError tells that the field of view does not fit a head, the grid would be too large, or the image is dark.
        """
        self._check_field(image)
        canonical = nib.as_closest_canonical(image)
        if interpolated is None and like is None:
            interpolated = resample_isotropic(canonical, self.card.spacing_mm)
        elif interpolated is None:
            interpolated = resample_like(canonical, nib.as_closest_canonical(like))
        array = np.asarray(interpolated.dataobj, np.float32)
        scale = intensity_scale(array)
        thickness = spacing_mm(canonical)[through_plane_axis(canonical)]
        classes = self.card.tissues
        networks = views((self.network, *self.others), self.card.flips, classes)
        more = [np.full_like(array, thickness)] if self.card.generator.get("thickness_channel") else []
        inputs = np.stack([array / scale, *more], axis=-1)
        edge = self.card.patch
        output = predict(networks, inputs, edge, min(self.card.step, edge), 2 + classes.channels, walk)
        means, squares = output[..., 1:-1], output[..., -1]
        sides = _sides(classes.votes(means), Nifti1Image(output[..., 0], interpolated.affine))
        _clear_outside(classes, means, squares, sides)
        voxel_ml = voxel_volume_ml(interpolated)
        disagreement = disagreement_ml(means[..., classes.main_channel], squares, voxel_ml)
        classes.calibrate(means, self.card.temperature, self.card.biases)
        if self.card.drift:
            self.card.drift.remove(classes, means, output[..., 0], sides)
        (labels, likely), probabilities = classes.decode(means), classes.of(means)
        from_to = (nib.io_orientation(one.affine) for one in (interpolated, image))
        turn = nib.orientations.ornt_transform(*from_to)

        def back(values: np.ndarray) -> Nifti1Image:  # axes flipped and permuted, no voxel moved in the world
            turned = Nifti1Image(values, interpolated.affine).as_reoriented(turn)
            return Nifti1Image(np.ascontiguousarray(turned.dataobj), turned.affine)

        return Segmentation(
            interpolated=back(array),
            image=back(output[..., 0] * np.float32(scale)),
            labels=back(labels),
            probabilities={name: back(p) for name, p in probabilities.items()},
            volumes_ml=volumes_ml(classes, labels, sides, voxel_ml),
            uncertainty=back(error_probability(likely, self.card.spacing_mm)),
            disagreement_ml=disagreement,
            sides=None if sides is None else back(sides),
            notes=self._notes(canonical, thickness),
        )

    def _check_field(self, image: Nifti1Image) -> None:
        extent = np.asarray(image.shape) * spacing_mm(image)
        low, high = FIELD_MM
        too_many = np.prod(extent / self.card.spacing_mm) > LARGEST_IMAGE_VOXELS
        if extent.min() < low or extent.max() > high or too_many:
            raise UserError(
                f"image: a field of view of {' x '.join(f'{mm:.4g}' for mm in extent)} mm does not fit a head "
                f"({low:g} to {high:g} mm per axis); correct the voxel sizes in the header, or crop the image."
            )

    def _notes(self, canonical: Nifti1Image, thickness: float) -> list[str]:
        low, high = self.card.thickness_mm
        plane, notes = slice_plane(canonical), []
        if thickness > 1.5 * self.card.spacing_mm and plane not in self.card.planes:
            notes.append(f"the slices are {plane}, the network was trained on {' and '.join(self.card.planes)} slices")
        if not low - 0.25 <= thickness <= high + 0.25:
            notes.append(f"the slices are {thickness:.3g} mm thick, the network was trained on {low:g} to {high:g} mm")
        return notes


def _sides(votes: tuple[np.ndarray, np.ndarray] | None, image: Nifti1Image) -> np.ndarray | None:
    """Split the network's skull content along one plane; a window is too small to tell left from right."""
    if votes is None:
        return None
    inside = largest_part(votes[0])
    return split_hemispheres(image, inside, votes[1]) if inside.any() else inside.astype(np.uint8)


def _clear_outside(classes: Classes, means: np.ndarray, squares: np.ndarray, sides: np.ndarray | None) -> None:
    """Set the probabilities of the brain's tissues to 0 outside the skull, in place, if a skull was found."""
    if sides is None or not sides.any():
        return
    inside = sides > 0
    for name, tissue in classes.of(means).items():
        if name != "background":
            tissue *= inside
    squares *= inside


def volumes_ml(classes: Classes, labels: np.ndarray, sides: np.ndarray | None, voxel_ml: float) -> dict[str, float]:
    """Return the volumes of a label map in ml by name, see `Segmentation`: of drawem9 numbers, and sides 1 and 2."""
    codes = labels if sides is None else labels + np.uint8(16) * sides
    counts = sum(np.bincount(plane.ravel(), minlength=48) for plane in codes).reshape(3, 16)  # side, number
    found = {name: counts[:, number].sum() for name, number in classes.numbers.items()}
    if sides is not None:
        halves = enumerate(SIDES, start=1)
        found |= {f"{side}_{name}": counts[k, number] for k, side in halves for name, number in classes.numbers.items()}
        found["intracranial"] = counts[1:].sum()
    return {name: voxel_ml * int(count) for name, count in found.items()}


def save_model(folder: Path, model: Any, card: ModelCard, others: Sequence[Any] = ()) -> None:
    """Write the networks' weights (`generator.npz`, `generator_2.npz` ...) and the card, each atomically."""
    for name, one in zip(weight_files(1 + len(others)), (model, *others), strict=True):
        save_state(folder / name, {"generator": one.trainable_variables}, {})
    write_json(folder / "model.json", asdict(card))


def weight_files(networks: int) -> list[str]:
    """Return the file names of the weights of a model with this number of networks."""
    return [WEIGHTS, *(f"generator_{number}.npz" for number in range(2, networks + 1))]


def load_segmenter(folder: str | Path, policy: str = "float32") -> Segmenter:
    """Load a trained model of `save_model`, with a Keras dtype policy; nothing in the files is executed.

    A UserError tells that a file is missing, damaged, or of another architecture.
    """
    from segsrgan_core.networks.functions import as_function
    from segsrgan_core.networks.generators import build_generator

    folder = Path(folder)
    card = read_card(folder)
    networks = []
    for name in weight_files(card.networks):
        model = build_generator(**card.generator, policy=policy)
        load_state(folder / name, {"generator": model.trainable_variables})
        networks.append(as_function(model))
    return Segmenter(card, networks[0], tuple(networks[1:]))


def read_card(folder: Path) -> ModelCard:
    """Read `model.json`; see `load_segmenter`."""
    path = folder / "model.json"
    try:
        card = TypeAdapter(ModelCard).validate_python(json.loads(path.read_text(encoding="utf-8")))
        arguments = dict(card.generator)
        channels = arguments.pop("n_classes")
        rest = {"classes": list(card.classes), "critic_width": 1, "precision": "auto"}
        ModelSettings(generator=arguments.pop("name"), **arguments, **rest)  # the limits of params.yaml
        if channels != Classes(card.classes).channels:
            raise UserError(f"classes: {list(card.classes)} do not fit n_classes={channels}")
    except OSError as error:
        raise UserError(
            f"{path}: not the folder of a trained model ({error.strerror}); name another with --model, or train one."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: not a model card of format {FORMAT} ({_brief(error)}); copy the model again, or train again."
        ) from error
    for name in weight_files(card.networks):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: the weights are missing; copy the model again.")
    return card


def _brief(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return " ".join(str(error).split())
