"""Settings for tests: those of `params.yaml`, with changes."""

from pathlib import Path
from typing import Any

from nibabel.nifti1 import Nifti1Image

from segsrgan_core.segmenter import ModelCard
from segsrgan_core.settings import TrainingSettings
from segsrgan_core.simulation import Simulation
from segsrgan_study.params import read_params
from segsrgan_study.phantoms.cohort import PhantomCohort

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params.yaml"
QUICK = read_params(PARAMS, setting="quick")
# As published: no physics, all axes mirrored.
PLAIN = {"contrast_model": "exponent", "contrast": 0.5, "flips": ["x", "y", "z"], "optimizer": "adam", "beta_1": 0.5}
PLAIN |= {"lambda_rec": 1.0, "lambda_image": 0.0, "lambda_dice": 0.0, "lambda_ce": 0.0}


def training(**changes: Any) -> TrainingSettings:
    return TrainingSettings.model_validate({**QUICK.training.model_dump(), **PLAIN, **changes})


def simulation(**changes: Any) -> Simulation:
    return Simulation.model_validate({**QUICK.simulation.model_dump(), "noise": 0.0, **changes})


def phantom_cohort(slice_mm: float = 3.0, **changes: Any) -> PhantomCohort:
    settings = {**QUICK.embedded.model_dump(), "simulation": simulation(slice_mm=slice_mm), "seed": QUICK.seed}
    return PhantomCohort(**{**settings, **changes})


def model_card(**changes: Any) -> ModelCard:
    generator = {"name": "unet", "k": 4, "kernel": 3, "padding": "zero", "n_classes": 1, "hemispheres": False}
    generator["thickness_channel"] = False
    facts = {"generator": generator, "classes": ("cortex",), "spacing_mm": 1.0, "patch": 16, "thickness_mm": (3.0, 3.0)}
    return ModelCard(**{**facts, "planes": ("axial",), "cohort": "embedded", "step": 8, "flips": (), **changes})


def thick_slices(image: Nifti1Image, slice_mm: float, plane: str = "axial", profile: str = "gaussian") -> Nifti1Image:
    return simulation(slice_mm=slice_mm, plane=plane, profile=profile).slices(image)
