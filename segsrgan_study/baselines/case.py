"""What a method to compare with is given, and what it gives back."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import DRAWEM9, NUMBERS
from segsrgan_core.errors import UserError
from segsrgan_study.files import same_grid
from segsrgan_study.params import RegistrationSettings
from segsrgan_study.pool import ProcessDiedError

Progress = Callable[[str, float], None]
Aged = TypeVar("Aged")


class NotAvailable(RuntimeError):  # noqa: N818 - a state of the machine, not a fault
    """A method cannot run on this machine; the table prints the message after "not run: "."""


class MethodFailed(RuntimeError):  # noqa: N818
    """A method ran and gave nothing that can be used; the message says what it gave."""


# What is no fault of a method or an atlas: a process was killed, there is no memory or no room.
OF_THE_MACHINE = (ProcessDiedError, MemoryError, OSError)


def silent(step: str, fraction: float) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Atlas:
    """A labelled training subject.

    Attributes:
        subject: its name.
        image: float32 (X, Y, Z), at high resolution.
        labels: uint8 (X, Y, Z), drawem9 numbers on the image's grid.
        interpolated: the image after the simulated low resolution and the interpolation that the image to label went
            through, on the same grid: patches can be compared like with like. None: not simulated.
        age_weeks: age at the scan; NaN where unknown.
    """

    subject: str
    image: Nifti1Image
    labels: Nifti1Image
    interpolated: Nifti1Image | None = None
    age_weeks: float = float("nan")

    def __post_init__(self) -> None:
        """Check that the images and labels share a grid."""
        _check_grid(f"labels of the atlas {self.subject}", self.labels, self.image)
        if self.interpolated is not None:
            _check_grid(f"interpolated image of the atlas {self.subject}", self.interpolated, self.image)

    @cached_property
    def content(self) -> str:
        """A digest of the images and labels."""
        return digest(self.image, self.interpolated, self.labels)

    def within_skull(self) -> "Atlas":
        """Return the atlas without the label of what is outside the skull: the methods take less time."""
        numbers = np.asarray(self.labels.dataobj)
        kept = np.where(numbers == NUMBERS["background"], 0, numbers).astype(np.uint8)
        return replace(self, labels=Nifti1Image(kept, self.labels.affine))


@dataclass(frozen=True)
class Case:
    """One image to label.

    Attributes:
        image: float32 (X, Y, Z), isotropic: the low-resolution image after cubic-spline interpolation.
        atlases: training subjects.
        cache: folder that keeps registrations.
        mask: (X, Y, Z), not 0 in the voxels to label; None for all.
        age_weeks: age at the scan; NaN where unknown.
        registration: grid and iterations of the registrations.
        progress: called with the name of a step and the fraction of it that is done.
    """

    image: Nifti1Image
    atlases: tuple[Atlas, ...]
    cache: Path
    mask: Nifti1Image | None = None
    age_weeks: float = float("nan")
    registration: RegistrationSettings | None = None
    progress: Progress = field(default=silent, compare=False)

    def __post_init__(self) -> None:
        """Check that image and mask share a grid."""
        if self.mask is not None:
            _check_grid("mask", self.mask, self.image)

    @cached_property
    def content(self) -> str:
        """A digest of the image and the mask."""
        return digest(self.image, self.mask)


@dataclass(frozen=True)
class Method:
    """A way to label an interpolated image.

    Attributes:
        name: its key in tables, such as "imapa".
        title: its name for readers, such as "IMAPA".
        version: gives the version of the program that does the work.
        parameters: what the search on the training subjects may change.
        label: gives labels from a case and the parameters as keywords.
        needs_atlases: whether it uses `Case.atlases`.
    """

    name: str
    title: str
    version: Callable[[], str]
    parameters: Mapping[str, Any]
    label: Callable[..., Nifti1Image]
    needs_atlases: bool = True

    def run(self, case: Case) -> Nifti1Image:
        """Label an image.

        Returns:
            uint8 (X, Y, Z): drawem9 numbers on the grid of `case.image`, 0 outside `case.mask`.

        Raises:
            NotAvailable: a program is missing.
            MethodFailed: the result is empty or not a label map of this image.
            UserError: the method needs atlases and the case has none.
        """
        if self.needs_atlases and not case.atlases:
            raise UserError(f"{self.title}: expected at least one atlas; received none; name training subjects.")
        labels = self.label(case, **self.parameters)
        array = np.asarray(labels.dataobj)
        if not same_grid(labels, case.image) or not np.isin(array, [0, *DRAWEM9]).all():
            raise MethodFailed(f"{self.title} gave no drawem9 labels on the image's grid")
        if case.mask is not None:
            array = np.where(np.asarray(case.mask.dataobj) > 0, array, 0)
        if not array.any():
            raise MethodFailed(f"{self.title} gave an empty label map")
        return Nifti1Image(array.astype(np.uint8), case.image.affine)

    def tuned(self, **parameters: Any) -> "Method":
        """Return the method with other parameters; UserError for a name that it has not, or a value of another kind."""
        unknown = sorted(parameters.keys() - self.parameters.keys())
        if unknown:
            raise UserError(
                f"{self.title}: expected parameters among {sorted(self.parameters)}; received {', '.join(unknown)}."
            )
        for name, value in parameters.items():
            _check_kind(f"{self.title}: {name}", value, self.parameters[name])
        changes = {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}
        return replace(self, parameters={**self.parameters, **changes})


def digest(*images: Nifti1Image | None) -> str:
    """Return a digest of images' voxels and where they are."""
    parts = hashlib.sha256()
    for image in images:
        if image is None:
            parts.update(b"none")
            continue
        array = np.ascontiguousarray(image.dataobj)
        parts.update(f"{array.shape}{array.dtype}{np.round(image.affine, 6).tolist()}".encode())
        parts.update(array.data)
    return parts.hexdigest()


def nearest_in_age(subjects: Sequence[Aged], age_weeks: float, count: int | None) -> list[Aged]:
    """Return the `count` subjects nearest in age (None: all), in their given order; the first where ages are unknown.

    Args:
        subjects: whatever has `age_weeks`.
        age_weeks: that they shall be near to.
        count: how many.
    """
    apart = [abs(subject.age_weeks - age_weeks) for subject in subjects]
    chosen = sorted(np.argsort(np.nan_to_num(apart, nan=np.inf), kind="stable")[:count])
    return [subjects[index] for index in chosen]


def _check_grid(name: str, image: Nifti1Image, reference: Nifti1Image) -> None:
    if not same_grid(image, reference):
        raise UserError(
            f"{name}: expected the grid of the image (shape {reference.shape}); received another one "
            f"(shape {image.shape}); resample it."
        )


def _check_kind(name: str, value: Any, example: Any) -> None:
    """Check that a value is of the kind of another one; whole numbers pass for others."""
    kind = list | tuple if isinstance(example, tuple) else float | int if isinstance(example, float) else type(example)
    if not isinstance(value, kind) or isinstance(value, bool) != isinstance(example, bool):
        raise UserError(f"{name}: expected a value like {example!r}; received {value!r}.")


def one_of(word: str, name: str, choices: Mapping[str, Any]) -> Any:
    """Return the choice that a parameter's word names; UserError for another word."""
    if word not in choices:
        raise UserError(f"{name}: expected one of {', '.join(choices)}; received {word!r}.")
    return choices[word]
