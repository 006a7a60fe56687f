"""The configuration of each training stage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ups_core.api.architectures import ARCHITECTURES, Architecture, default_architecture
from ups_core.api.model import Model, PositiveFloat, PositiveInt


class Training(Model):
    """What every stage shares: its limit, its optimizer and its schedule.

    Exactly one of ``steps``, ``epochs`` and ``cpuBudgetSeconds`` limits the stage; warm-up and cosine
    decay follow the elapsed share of that limit.
    """

    steps: PositiveInt | None = None
    """Limit: optimizer steps."""
    epochs: PositiveInt | None = None
    """Limit: passes over the training pairs."""
    cpu_budget_seconds: PositiveFloat | None = None
    """Limit: CPU seconds of the training loop, validation included, of all its processes. Not reproducible
    to the byte."""
    batch_size: PositiveInt = 32
    """Samples per optimizer step."""
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    """Compute the gradient of a batch in so many parts, for batches that memory does not hold at once."""
    optimizer: Literal["muon", "soap", "adamw"] = "muon"
    """`muon`: Muon on the inner weight matrices and AdamW on the rest. `soap`, `adamw`: that one on all."""
    lr: PositiveFloat = 4e-3
    """Peak learning rate of AdamW and SOAP."""
    muon_lr: PositiveFloat = 1e-2
    """Peak learning rate of Muon."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay of AdamW and SOAP."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the limit over which the learning rate rises linearly."""
    clip: PositiveFloat = 1.0
    """Largest norm of the gradient; longer ones are scaled down to it."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the exponential moving average of the weights; 0 switches it off."""
    validations: PositiveInt = 20
    """How many times the stage is validated, evenly over its limit. The best one is kept."""

    @model_validator(mode="after")
    def _one_limit(self) -> Training:
        given = [n for n in ("steps", "epochs", "cpu_budget_seconds") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError("exactly one of steps, epochs and cpuBudgetSeconds is needed")
        return self


class OperatorConfig(Training):
    """Stage ``operator``: the surrogate itself, one frame to the next or input to solution."""

    architecture: Literal["default"] | Architecture = "default"
    """`default` (the best measured for this kind of problem), a name, or a name with its fields."""
    loss: Literal["default", "l2", "h1"] = "default"
    """Relative L2 norm of the error, or relative H1 norm (error and its gradient). `default`: `l2` for
    transient problems, `h1` for steady ones."""
    noise: Annotated[float, Field(ge=0)] = 0.01
    """Largest relative standard deviation of the mean-free noise on input states (transient only)."""
    unroll: Annotated[int, Field(ge=1, le=64)] = 1
    """Frames ahead that the loss looks in the last part of training (transient only)."""
    unroll_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    """How large that last part is, as a share of the limit."""
    augment: bool = True
    """Transform training samples by the family's exact symmetries."""
    test_time_augmentation: bool = True
    """Solve all images of an input under these symmetries and take the mean (steady only)."""

    @field_validator("architecture", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) and value in ARCHITECTURES else value

    def resolved(self, *, steady: bool) -> OperatorConfig:
        """The same config with every ``default`` replaced by what it stands for."""
        update: dict[str, Any] = {}
        if self.architecture == "default":
            update["architecture"] = default_architecture(steady=steady)
        if self.loss == "default":
            update["loss"] = "h1" if steady else "l2"
        return self.model_copy(update=update)


class CodecConfig(Training):
    """Stage ``codec``: an encoder and a decoder; later stages then train on latent states."""

    latent_channels: PositiveInt = 4
    """Channels of the latent state."""
    downsample: Literal[1, 2, 4, 8] = 4
    """Grid points per latent point, along each axis."""
    width: PositiveInt = 32
    """Channels of the hidden layers."""


#: Stage name to its config; the order is the order in which stages can run.
STAGES: dict[str, type[Training]] = {"codec": CodecConfig, "operator": OperatorConfig}
