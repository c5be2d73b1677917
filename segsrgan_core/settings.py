"""Settings of networks, training and inference: types and limits; the values stand in `params.yaml`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator


class Section(BaseModel):
    """A part of the settings: unknown keys are errors, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError("expected a number or a word, not a truth value")
        return value


class ModelSettings(Section):
    """The networks."""

    generator: Literal["residual", "unet", "two_unets"]
    k: int = Field(ge=1, le=256)
    kernel: Literal[3, 5, 7]
    padding: Literal["reflect", "zero"]
    classes: list[str] = Field(min_length=1)
    hemispheres: bool
    thickness_channel: bool
    critic_width: int = Field(ge=1, le=256)
    precision: Literal["auto", "float32", "mixed_bfloat16"]


class TrainingSettings(Section):
    """Patches, objective and schedule."""

    patch: int = Field(ge=16, le=512, multiple_of=16)
    batch: int = Field(ge=1)
    devices: int = Field(ge=1)
    networks: int = Field(ge=1, le=20)
    epochs: int = Field(ge=1)
    steps_per_epoch: int = Field(ge=1)
    validate_every: int = Field(ge=1)
    optimizer: Literal["adam", "muon"]
    learning_rate: float = Field(gt=0)
    critic_learning_rate: float = Field(gt=0)
    beta_1: float = Field(ge=0, lt=1)
    decay: float = Field(ge=0, le=1)
    average: float = Field(ge=0, lt=1)
    n_critic: int = Field(ge=1)
    adversarial_from: float = Field(ge=0, le=1)
    lambda_rec: float = Field(ge=0)
    lambda_image: float = Field(ge=0)
    lambda_adv: float = Field(ge=0)
    lambda_gp: float = Field(ge=0)
    lambda_dice: float = Field(ge=0)
    lambda_ce: float = Field(ge=0)
    lambda_sides: float = Field(ge=0)
    contrast_model: Literal["none", "exponent", "physics"]
    physics_share: float = Field(gt=0, le=1)
    contrast: float = Field(ge=0, lt=1)
    noise: float = Field(ge=0, le=0.5)
    blur: float = Field(ge=0, le=2)
    bias: float = Field(ge=0, le=1)
    motion_mm: float = Field(ge=0, le=5)
    stripped: float = Field(ge=0, le=1)
    turned: float = Field(ge=0, le=1)
    ordinary: float = Field(ge=0, le=1)
    tissue_spread: float = Field(ge=0, le=1)
    thickness_mm: tuple[float, float] | None
    gaps: float = Field(ge=0, le=0.5)
    planes: list[Literal["axial", "coronal", "sagittal"]] | None = Field(min_length=1)
    flips: list[Literal["x", "y", "z"]]

    @model_validator(mode="after")
    def _consistent(self) -> "TrainingSettings":
        if self.thickness_mm is not None and not 0 < self.thickness_mm[0] <= self.thickness_mm[1]:
            raise ValueError(f"expected thickness_mm: [low, high] with 0 < low <= high, received {self.thickness_mm}")
        if self.batch % self.devices:
            raise ValueError(f"expected a batch that {self.devices} devices can share, not {self.batch}")
        return self

    def thickness_range_mm(self, slice_mm: float) -> tuple[float, float]:
        """Return the smallest and the largest slice thickness in training, in mm: `slice_mm` alone without a range."""
        return self.thickness_mm or (slice_mm, slice_mm)
