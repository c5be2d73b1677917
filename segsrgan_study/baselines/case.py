"""Input and output of the methods to compare with."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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

Aged = TypeVar("Aged")


class MethodFailed(RuntimeError):  # noqa: N818
    """A method ran and its result cannot be used."""


# Faults of the machine, not of a method or an atlas: a process was killed, memory or disk is full.
OF_THE_MACHINE = (ProcessDiedError, MemoryError, OSError)


@dataclass(frozen=True)
class Atlas:
    """A labelled training subject."""

    subject: str  # its name
    image: Nifti1Image  # float32 (X, Y, Z), at high resolution
    labels: Nifti1Image  # uint8 (X, Y, Z), drawem9 numbers on the image's grid
    interpolated: Nifti1Image  # float32 (X, Y, Z) on the same grid, simulated and interpolated as the image to label
    age_weeks: float = float("nan")  # postmenstrual age at the scan; NaN where unknown

    def __post_init__(self) -> None:
        """Check that images and labels share a grid."""
        for name, image in (("labels", self.labels), ("interpolated image", self.interpolated)):
            if not same_grid(image, self.image):
                shapes = f"shape {image.shape}) is not that of the image (shape {self.image.shape})"
                raise UserError(f"{name} of the atlas {self.subject}: the grid ({shapes}; resample one of them.")

    @cached_property
    def content(self) -> str:
        """A digest of the images and labels."""
        return _digest(self.image, self.interpolated, self.labels)

    def within_skull(self) -> "Atlas":
        """Return the atlas without the label of what is outside the skull: the methods take less time."""
        numbers = np.asarray(self.labels.dataobj)
        kept = np.where(numbers == NUMBERS["background"], 0, numbers).astype(np.uint8)
        return replace(self, labels=Nifti1Image(kept, self.labels.affine))


@dataclass(frozen=True)
class Case:
    """One image to label."""

    image: Nifti1Image  # float32 (X, Y, Z), isotropic: the low-resolution image after cubic-spline interpolation
    atlases: tuple[Atlas, ...]  # training subjects
    cache: Path  # folder of the registrations
    registration: RegistrationSettings  # grid and iterations of the registrations
    age_weeks: float = float("nan")  # postmenstrual age at the scan; NaN where unknown

    @cached_property
    def content(self) -> str:
        """A digest of the image."""
        return _digest(self.image)


@dataclass(frozen=True)
class Method:
    """A way to label an interpolated image."""

    name: str  # key in tables, such as "imapa"
    title: str  # name for readers, such as "IMAPA"
    version: Callable[[], str]  # returns the version of the program that does the work
    parameters: Mapping[str, Any]  # names and values that `params.yaml` and the search on training subjects may change
    label: Callable[..., Nifti1Image]  # of a case, parameters as keywords: drawem9 numbers on the grid of `Case.image`
    needs_atlases: bool = True  # whether it uses `Case.atlases`

    def run(self, case: Case) -> Nifti1Image:
        """Label an image: uint8 (X, Y, Z), drawem9 numbers on the grid of `case.image`, 0 outside the brain.

        NotAvailable where a program is missing, MethodFailed where the result is empty or not a label map of this
        image, UserError where the case lacks atlases or an age that the method needs.
        """
        labels = self.label(case, **self.parameters)
        array = np.asarray(labels.dataobj)
        if not same_grid(labels, case.image, tolerance_mm=0.1) or not np.isin(array, [0, *DRAWEM9]).all():
            raise MethodFailed(f"{self.title} gave no drawem9 labels on the image's grid")
        if not array.any():
            raise MethodFailed(f"{self.title} gave an empty label map")
        return Nifti1Image(array.astype(np.uint8), case.image.affine)

    def tuned(self, **parameters: Any) -> "Method":
        """Return the method with other parameters; UserError where it has none such, or their values another kind."""
        changed = dict(self.parameters)
        for name, value in parameters.items():
            if name not in changed:
                raise UserError(f"{self.title}: there is no parameter {name!r}; choose among {', '.join(changed)}.")
            example, value = changed[name], tuple(value) if isinstance(value, list) else value
            kind = float | int if isinstance(example, float) else type(example)  # a whole number passes for another
            if not isinstance(value, kind) or isinstance(value, bool) != isinstance(example, bool):
                raise UserError(f"{self.title}: {name} cannot be {value!r}; give a value like {example!r}.")
            changed[name] = value
        return replace(self, parameters=changed)


def _digest(*images: Nifti1Image) -> str:
    """Return a digest of the images' voxels and positions."""
    parts = hashlib.sha256()
    for image in images:
        array = np.ascontiguousarray(image.dataobj)
        parts.update(f"{array.shape}{array.dtype}{np.round(image.affine, 6).tolist()}".encode())
        parts.update(array.data)
    return parts.hexdigest()


def nearest_in_age(subjects: Sequence[Aged], age_weeks: float, count: int | None) -> list[Aged]:
    """Return `count` subjects (None: all), the nearest in age or the first of unknown age, in their given order."""
    apart = [abs(subject.age_weeks - age_weeks) for subject in subjects]
    return [subjects[index] for index in sorted(np.argsort(np.nan_to_num(apart, nan=np.inf), kind="stable")[:count])]
