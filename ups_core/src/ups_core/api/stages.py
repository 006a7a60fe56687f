"""The configuration of each training stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ups_core.api.architectures import (
    ARCHITECTURES,
    Architecture,
    BaseArchitecture,
    ConvConfig,
    FNOConfig,
    GConvConfig,
    GridArchitecture,
    MultiplierConfig,
    PDETConfig,
    PointsConfig,
    UNetConfig,
    default_architecture,
)
from ups_core.api.model import Model, PositiveFloat, PositiveInt


def named(value: Any) -> Any:
    """An architecture's name alone stands for it with all its defaults."""
    return {"name": value} if isinstance(value, str) and value in ARCHITECTURES else value


class Training(Model):
    """What every stage shares: its limit, its optimizer and its schedule.

    Exactly one of ``steps``, ``epochs`` and ``cpuBudgetSeconds`` limits the stage; warm-up and cosine
    decay follow the elapsed share of that limit.
    """

    steps: PositiveInt | None = None
    """Limit: optimizer steps."""
    epochs: PositiveInt | None = None
    """Limit: passes over the training pairs; of codes, over those of all copies of a sample."""
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
    """How many times the stage is validated, evenly over its limit. The best one is kept. Of
    `cpuBudgetSeconds` they take a tenth at most, beside the last one: where they are slow, they are fewer."""

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
    transient problems and on scattered points, `h1` for steady problems on grids."""
    noise: Annotated[float, Field(ge=0)] = 0.01
    """Largest relative standard deviation of the mean-free noise on input states (transient only)."""
    unroll: Annotated[int, Field(ge=1, le=64)] = 1
    """Frames ahead that the loss looks in the last part of training (transient only)."""
    unroll_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    """How large that last part is, as a share of the limit."""
    horizon: Annotated[int, Field(ge=1)] = 1
    """Frames that training's own rollouts last in that part, where these are more than `unroll` (transient
    only). They get no `noise`, having errors of their own, and end early where they diverge; the gradient
    reaches back `unroll` frames, while memory holds all of them. Where the data have no more frames, all
    rollouts begin with the first one."""
    leads: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1, max_length=8)] = [1]
    """Frames that a step may advance by, from 1 up (transient, on grids). Where there are several, each
    training sample gets one of them by chance, the network is told how long the step is, and a prediction may
    take steps of any of these lengths (`ups predict --every`). Validation is frame by frame. The longest has
    to fit into a trajectory, `unroll` times; rollouts of `horizon` last as many of it as fit."""
    augment: bool = True
    """Transform training samples by the family's exact symmetries."""
    test_time_augmentation: bool = True
    """Solve all images of an input under these symmetries and take the mean (steady only)."""

    _name_alone = field_validator("architecture", mode="before")(named)

    @field_validator("leads")
    @classmethod
    def _from_one_up(cls, leads: list[int]) -> list[int]:
        if leads != sorted({1, *leads}):
            raise ValueError("leads are numbers of frames from 1 up, each once, e.g. [1, 2, 4]")
        return leads

    def resolved(
        self,
        *,
        steady: bool,
        dimensions: int,
        scattered: bool = False,
        linear: bool = False,
    ) -> OperatorConfig:
        """The same config with every ``default`` replaced by what it stands for, for such a problem.

        ValueError where the architecture or the loss needs a grid and there is none, or the other way round.
        """
        update: dict[str, Any] = {}
        if self.architecture == "default":
            kind = {"steady": steady, "scattered": scattered, "linear": linear}
            update["architecture"] = default_architecture(dimensions=dimensions, **kind)
        elif isinstance(self.architecture, PointsConfig) != scattered:
            fits = "points" if scattered else ", ".join(name for name in ARCHITECTURES if name != "points")
            data = "scattered points" if scattered else "a grid"
            raise ValueError(f"architecture {self.architecture.name} is not for {data}; there is {fits}")
        elif isinstance(self.architecture, MultiplierConfig) and not linear:
            raise ValueError("architecture multiplier is for states, not codes, of a linear family on a grid")
        if self.loss == "h1" and scattered:
            raise ValueError("loss h1 needs a grid: on scattered points there is l2")
        if self.loss == "default":
            update["loss"] = "h1" if steady and not scattered else "l2"
        whole = self.model_copy(update=update)
        if self.leads[1:] and (steady or not _any_step(whole.architecture)):
            raise ValueError(
                "several leads are for transient problems, and for networks on a grid without averages and "
                "characteristics: these go frame by frame"
            )
        return whole


def _any_step(chosen: Any) -> bool:
    """Whether a network can be told how far to go."""
    frame_by_frame = getattr(chosen, "averages", False) or getattr(chosen, "characteristics", False)
    return isinstance(chosen, GridArchitecture) and not frame_by_frame


class CodecConfig(Training):
    """Stage ``codec``: averages over patches and a decoder; later stages then train on latent states.

    What a family declares holds for the averages, too, but for ranges of values. No decoded prediction is
    better than what the codec itself brings back of a state, so it is kept only where that error meets the
    target; else later stages train on the fields.
    """

    target: PositiveFloat = 0.001
    """Largest nRMSE of the reconstruction, on the validation split, with which the codec is kept. It should
    be well below the error that the surrogate is to have."""
    downsample: Literal[2, 4, 8, 16] = 4
    """Grid points of a patch along each axis, of which the code has one."""
    width: PositiveInt = 32
    """Channels of the hidden layers."""
    augment: bool = True
    """Transform training samples by the family's exact symmetries."""


class SampledConfig(Training):
    """What the stages share that make samples."""

    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the exponential moving average of the weights; 0 switches it off."""


class CorrectorConfig(SampledConfig):
    """What the stages ``diffusion`` and ``steady-prior`` share."""

    architecture: (
        Literal["default"]
        | Annotated[
            ConvConfig | GConvConfig | UNetConfig | FNOConfig | PDETConfig, Field(discriminator="name")
        ]
    ) = "default"
    """`default` (that of the operator, where it is a network on the grid), a name, or a name with fields."""
    sampler_steps: Annotated[int, Field(ge=1, le=64)] = 4
    """Evaluations of the network for one sample."""
    members: Annotated[int, Field(ge=10, le=256)] = 16
    """Members of an ensemble, where a prediction does not ask for another number."""
    min_gain: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share by which the score must fall, besides more than its spread, to be worth an ensemble. Where all
    errors are chance and Gaussian, an ideal ensemble gains 0.29."""
    min_score: Annotated[float, Field(ge=0, lt=1)] = 0.005
    """Smallest score of the surrogate alone, relative to the truth, that is worth an ensemble. Where it is
    below, nothing is trained and the stage is dropped."""
    augment: bool = True
    """Transform training samples by the family's exact symmetries."""

    _name_alone = field_validator("architecture", mode="before")(named)

    def resolved(self, operator: BaseArchitecture, *, steady: bool, dimensions: int) -> CorrectorConfig:
        """The same config with ``default`` replaced by what it stands for after an operator of that kind."""
        if self.architecture != "default":
            return self
        kind = {"steady": steady, "dimensions": dimensions}
        chosen = operator if isinstance(operator, GridArchitecture) else default_architecture(**kind)
        return self.model_copy(update={"architecture": chosen})


class DiffusionConfig(CorrectorConfig):
    """Stage ``diffusion``: a generative model of what the operator's next frame leaves out, from which
    ensembles of rollouts are drawn.

    Kept where it brings the continuous ranked probability score (CRPS) of validation rollouts down by more
    than its spread and by `minGain`, the error of the ensemble's mean is hardly higher, and the central
    80 % interval holds 75 to 85 % of the truth. Where the operator's own error is below `minScore`, as on a
    deterministic problem that was learned well, no ensemble is worth its cost and nothing is trained.
    """


class DistillConfig(SampledConfig):
    """Stage ``distill``: a student of the diffusion, with its sampler's many evaluations in one or two.

    Kept where its CRPS is no worse than its teacher's by more than the spread, with fewer evaluations.
    The teacher stays in the object.
    """

    sampler_steps: Literal[1, 2] = 1
    """Evaluations of the network for one sample."""


class SearchConfig(SampledConfig):
    """Stage ``search``: more compute at prediction time. In every frame each of `beam` rollouts proposes
    `candidates` next frames, samples of the diffusion; the `beam` rollouts with the highest sum of rewards go
    on, and the mean of their new frames is the prediction.

    What the stage trains is the critic, a part of the reward: a network that predicts a candidate's error.
    Kept where rewards rank candidates as their errors do on validation frames (Spearman correlation 0.3 or
    more), and where the nRMSE of validation rollouts is better, by more than the spread, than that of the
    mean of an ensemble with as many evaluations of networks.
    """

    architecture: Annotated[ConvConfig | UNetConfig | FNOConfig | PDETConfig, Field(discriminator="name")] = (
        ConvConfig(width=16, dilations=[1, 2, 4])
    )
    """The critic's: a name, or a name with fields."""
    beam: Annotated[int, Field(ge=1, le=64)] = 16
    """Rollouts that are kept after every frame."""
    candidates: Annotated[int, Field(ge=2, le=64)] = 2
    """Next frames that each of them proposes."""
    augment: bool = True
    """Transform training samples by the family's exact symmetries."""

    _name_alone = field_validator("architecture", mode="before")(named)


class SteadyPriorConfig(CorrectorConfig):
    """Stage ``steady-prior``: a generative model of the solutions that are possible for an input, around
    the operator's.

    Kept as the stage ``diffusion`` is, with the relative L2 error of the ensemble's mean.
    """


#: Stage name to its config; the order is the order in which stages can run.
STAGES: dict[str, type[Training]] = {
    "codec": CodecConfig,
    "operator": OperatorConfig,
    "diffusion": DiffusionConfig,
    "distill": DistillConfig,
    "search": SearchConfig,
    "steady-prior": SteadyPriorConfig,
}

#: The stages that also train on scattered points.
ON_POINTS = {"operator"}

#: What a stage builds on, where that is another stage.
BUILDS_ON = {
    "diffusion": "operator",
    "distill": "diffusion",
    "search": "diffusion",
    "steady-prior": "operator",
}

#: The stages of one kind of problem only, and whether it is the steady kind.
STEADY = {"codec": False, "diffusion": False, "distill": False, "search": False, "steady-prior": True}


def check_order(names: Sequence[str]) -> None:
    """ValueError unless stages of these names, in this order, make a surrogate.

    >>> check_order(["operator", "diffusion"])
    >>> check_order(["distill", "operator"])
    Traceback (most recent call last):
    ValueError: stage distill builds on stage diffusion, which is not before it
    """
    for index, name in enumerate(names):
        if (needed := BUILDS_ON.get(name, name)) != name and needed not in names[:index]:
            raise ValueError(f"stage {name} builds on stage {needed}, which is not before it")
    if "operator" not in names:
        raise ValueError("a surrogate needs the stage operator")
    order = list(STAGES)
    if [*names] != sorted(names, key=order.index):
        raise ValueError(f"stages run in the order {', '.join(order)}, found {', '.join(names)}")
