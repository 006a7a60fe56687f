"""The ``TrainingRun`` resource: from a dataset to a trained, evaluated surrogate and its report."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ups_core.api.common import (
    API_VERSION,
    Artifacts,
    ArtifactStatus,
    Condition,
    EnvVar,
    Image,
    LastFailure,
    Metadata,
    Phase,
    Resources,
    Restart,
    Retry,
    SecretRef,
    Suspend,
    Volume,
    WorkflowRef,
)
from ups_core.api.dataset import DatasetSpec
from ups_core.api.model import (
    Model,
    Name,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Rule,
    exactly_one,
    immutable_rules,
    one_of_rule,
)
from ups_core.api.stages import STAGES, check_order

StageName = Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=20)]


class DatasetRef(Model):
    """A Dataset of the same namespace."""

    name: Name
    """Name of the Dataset."""
    version: Annotated[str, Field(max_length=63)] | None = None
    """Version in the registry. Default: what the Dataset's spec describes now."""


class Checkpoint(Model):
    """When training saves its state."""

    interval_seconds: PositiveInt = 60
    """Seconds between checkpoints."""
    keep: Annotated[int, Field(ge=1, le=100)] = 3
    """How many are kept; the best model is kept besides."""


class Stage(Model):
    """One training phase."""

    name: StageName
    """Which phase: `codec`, `operator`, `diffusion`, `distill`, `search` or `steady-prior`, in this order."""
    depends_on: Annotated[list[StageName], Field(max_length=8)] | None = None
    """Stages that come before. Default: the one before in the list."""
    config: dict[str, Any]
    """The stage's own configuration; its fields are listed under the stage's name."""
    processes: PositiveInt = 1
    """Training processes of one machine, one accelerator each where there are any. They share every batch
    of `batchSize` samples, and `cpuBudgetSeconds` is the sum of theirs."""
    resources: Resources = Resources()
    """What the step asks for."""
    compute_class: Name | None = None
    """Kind of node. Default: the run's. Cluster only."""
    scratch_gib: PositiveInt | None = Field(default=None, alias="scratchGiB")
    """Scratch disk, GiB. Cluster only."""
    timeout_seconds: PositiveInt | None = None
    """Longest duration of the step."""
    checkpoint: Checkpoint = Checkpoint()
    """When training saves its state."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in STAGES:
            raise ValueError(f"no stage is called {name!r}; there are {', '.join(STAGES)}")
        return name


class Rollout(Model):
    """The closed-loop rollout that transient surrogates are judged by."""

    steps: PositiveInt | None = None
    """Frames to predict. Default: all that the data have."""
    from_: Annotated[int, Field(ge=1, alias="from")] = 1
    """Initial frames given to the surrogate."""
    threshold: PositiveFloat = 0.2
    """The nRMSE of a frame at which a rollout counts as lost: `rollout.horizon.*` are frames before it."""
    beyond: PositiveInt | None = None
    """Frames to go on for after `steps`, past the data if need be: `rollout.beyond.*` are frames that a
    rollout stays finite and bounded for. Default: none."""


class Gate(Model):
    """A threshold; a run that misses one ends with reason GateFailed and exit code 7."""

    metric: Annotated[str, Field(max_length=128)]
    """Dotted name of a metric, e.g. `rollout.nrmse`."""
    max: float | None = None
    """Largest value that passes."""
    min: float | None = None
    """Smallest value that passes."""
    relative_to: Annotated[str, Field(max_length=128)] | None = None
    """Name of another metric; the ratio of the two is held to `min` and `max`."""

    rules = (Rule("has(self.max) || has(self.min)", "give max, min or both"),)

    @model_validator(mode="after")
    def _some_bound(self) -> Gate:
        if self.max is None and self.min is None:
            raise ValueError("give max, min or both")
        return self


class Evaluation(Model):
    """How the surrogate is judged, always on samples that training has never seen."""

    split: Annotated[str, Field(max_length=40)] = "test"
    """The split that is reported; neither `train` nor `val`."""
    rollout: Rollout = Rollout()
    """Closed-loop rollout; unused for steady problems."""
    peers: Annotated[list[Literal["persistence", "solver", "fno"]], Field(max_length=8)] = [
        "persistence",
        "solver",
    ]
    """What stands beside the surrogate: the last frame (for steady problems, the mean solution), the family's
    classical solver, a tuned Fourier neural operator trained for the same CPU seconds."""
    gates: Annotated[list[Gate], Field(max_length=32)] = []
    """Thresholds that the run must meet."""
    seeds: Annotated[int, Field(ge=1, le=16)] = 1
    """Train and evaluate this many times, the peer `fno` too, with seeds counted up from `seed`."""

    rules = (Rule("!(self.split in ['train', 'val'])", "a surrogate is not judged on what it has seen"),)

    @field_validator("split")
    @classmethod
    def _unseen(cls, split: str) -> str:
        if split in ("train", "val"):
            raise ValueError("a surrogate is not judged on what it was trained or chosen on: name a test set")
        return split


class Analysis(Model):
    """What the report shows."""

    samples: Annotated[int, Field(ge=1, le=12)] = 3
    """Test samples that are drawn: the median, the worst, the best, then more in order of error."""


class Budget(Model):
    """The cap on money. Cluster only."""

    usd: PositiveFloat
    """US dollars that the run may spend over all its attempts. May be raised later."""


class ResumeFrom(Model):
    """Weights to start from: each stage starts from the stage of its name."""

    run_ref: DatasetRef | None = None
    """A finished TrainingRun of the same namespace."""
    uri: Annotated[str, Field(max_length=1024)] | None = None
    """A published model, `objects/train/<key>` in a store."""

    rules = (one_of_rule("run_ref", "uri"),)

    @model_validator(mode="after")
    def _one(self) -> ResumeFrom:
        exactly_one(self, "run_ref", "uri")
        return self


class Wandb(Model):
    """Weights & Biases."""

    mode: Literal["disabled", "offline", "online"] = "disabled"
    """Whether learning curves are also sent there; `offline` writes them into the run's record."""
    project: Annotated[str, Field(max_length=128)] = "ups"
    """Project."""
    entity: Annotated[str, Field(max_length=128)] | None = None
    """User or team."""
    secret_ref: SecretRef | None = None
    """Secret with WANDB_API_KEY."""


class Tracking(Model):
    """Experiment trackers."""

    wandb: Wandb = Wandb()
    """Weights & Biases."""


class TTL(Model):
    """When the Workflow of a finished run is deleted. The run itself never is. Cluster only."""

    succeeded: NonNegativeInt = 604800
    """Seconds after success."""
    failed: NonNegativeInt = 604800
    """Seconds after failure."""


class TrainingRunSpec(Model):
    """What is asked for.

    Mutable: `suspend`, `restart`, `ttlSecondsAfterFinished`, `retry.maxPreemptions` and, upward,
    `budget.usd`. The rest is immutable.
    """

    dataset_ref: DatasetRef | None = None
    """The Dataset to train on."""
    dataset: DatasetSpec | None = None
    """A Dataset of the run's own, instead of `datasetRef`."""
    template: Annotated[str, Field(max_length=63)] | None = None
    """Name of a shipped template that gives stages, evaluation and analysis."""
    overrides: dict[str, Any] | None = None
    """JSON merge patch on the template; stages are merged by name."""
    stages: Annotated[list[Stage], Field(max_length=8)] = []
    """Training phases, in order."""
    evaluation: Evaluation = Evaluation()
    """How the surrogate is judged."""
    analysis: Analysis = Analysis()
    """What the report shows."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of initial weights, data order, noise and augmentation."""
    threads: PositiveInt | None = None
    """CPU threads of a training process. Default: all cores. Results may differ in the last bits."""
    compute_class: Name | None = None
    """Kind of node. Cluster only."""
    capacity: Literal["Spot", "OnDemand", "SpotThenOnDemand"] = "OnDemand"
    """Which capacity of the class to use. Cluster only."""
    retry: Retry = Retry()
    """How often to try again."""
    pending_timeout_seconds: PositiveInt = 3600
    """How long a step may wait for a node. Cluster only."""
    active_deadline_seconds: PositiveInt | None = None
    """Longest duration of an attempt. Cluster only."""
    budget: Budget | None = None
    """The cap on money."""
    resume_from: ResumeFrom | None = None
    """Weights to start from."""
    artifacts: Artifacts = Artifacts()
    """Where objects and records are kept."""
    tracking: Tracking = Tracking()
    """Experiment trackers."""
    suspend: Suspend = False
    restart: Restart = 0
    ttl_seconds_after_finished: TTL = TTL()
    """When the Workflow of a finished run is deleted."""
    image: Image = Image()
    """Images of the steps."""
    image_pull_secrets: Annotated[list[SecretRef], Field(max_length=8)] = []
    """Secrets to pull the images with."""
    env: Annotated[list[EnvVar], Field(max_length=64)] = []
    """Environment of the steps."""
    volumes: Annotated[list[Volume], Field(max_length=16)] = []
    """Storage mounted into the steps."""
    pod_patches: Annotated[list[dict[str, Any]], Field(max_length=16)] = []
    """JSON patches of the pods, by allow-list. Cluster only."""
    queue_name: Name | None = None
    """Queue of a batch scheduler. Cluster only."""
    priority_class_name: Annotated[str, Field(max_length=253)] | None = None
    """Priority of the pods. Cluster only."""
    code_revision: Annotated[str, Field(max_length=128)] | None = None
    """Revision of your own code, kept with the run; part of no key."""

    @field_validator("stages")
    @classmethod
    def _unique(cls, stages: list[Stage]) -> list[Stage]:
        names = [stage.name for stage in stages]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"stage names must differ, found {', '.join(repeated)} twice")
        for index, stage in enumerate(stages):
            if unknown := set(stage.depends_on or ()) - set(names[:index]):
                listed = ", ".join(sorted(unknown))
                raise ValueError(f"stage {stage.name} depends on {listed}, which is not before it")
        if stages:
            check_order(names)
        return stages

    @model_validator(mode="after")
    def _shape(self) -> TrainingRunSpec:
        exactly_one(self, "dataset_ref", "dataset")
        if bool(self.stages) == (self.template is not None):
            raise ValueError("give stages, or a template")
        if self.overrides is not None and self.template is None:
            raise ValueError("overrides needs a template")
        return self


TrainingRunSpec.rules = (
    one_of_rule("dataset_ref", "dataset"),
    Rule("(has(self.stages) && size(self.stages) > 0) != has(self.template)", "give stages, or a template"),
    Rule("!has(self.overrides) || has(self.template)", "overrides needs a template"),
    *immutable_rules(
        TrainingRunSpec,
        mutable={"suspend", "restart", "ttl_seconds_after_finished", "budget", "retry"},
    ),
    Rule(
        "has(self.budget) == has(oldSelf.budget)"
        " && (!has(self.budget) || self.budget.usd >= oldSelf.budget.usd)",
        "budget.usd can only be raised",
    ),
    Rule(
        "self.retry.maxFailures == oldSelf.retry.maxFailures"
        " && self.retry.spotPreemptions == oldSelf.retry.spotPreemptions"
        " && self.retry.backoff == oldSelf.retry.backoff"
        " && has(self.retry.oomMemoryFactor) == has(oldSelf.retry.oomMemoryFactor)"
        " && (!has(self.retry.oomMemoryFactor)"
        " || self.retry.oomMemoryFactor == oldSelf.retry.oomMemoryFactor)",
        "only retry.maxPreemptions can be changed",
    ),
)


class Progress(Model):
    """How far the current attempt is."""

    percent: Annotated[int, Field(ge=0, le=100)] = 0
    """Share of the plan's work that is done."""
    stage: str | None = None
    """Step that is running."""
    eta_seconds: int | None = None
    """Estimated seconds to the end of that step."""
    updated_at: str | None = None
    """When this was seen."""


class StageStatus(Model):
    """What became of one stage."""

    name: str
    """Name of the stage."""
    phase: Literal["Pending", "Running", "Cached", "Succeeded", "Failed"] = "Pending"
    """Where it stands."""
    attempts: int = 0
    """How many times it was started."""
    metrics: dict[str, float] = {}
    """Its metrics."""


class Headline(Model):
    """The one number of the run."""

    metric: str
    """Dotted name of the metric."""
    value: float
    """Its value, to four digits."""


class Cost(Model):
    """Money."""

    estimated_usd: float | None = None
    """What training should cost, by its classes' reference throughput."""
    spent_usd: float = 0.0
    """Spent so far, over all attempts."""
    settled_usd: float = 0.0
    """The part of it that ended attempts spent."""
    cap_usd: float | None = None
    """The cap in force."""


class PinnedDataset(Model):
    """What a run trains on, fixed when it was admitted."""

    family: str | dict[str, Any]
    """Physical problem: the name of its family, or what the Dataset declares."""
    converted: str
    """Object of the converted arrays, `objects/convert/<key>` in the store."""
    validated: str
    """Object of the splits, `objects/validate/<key>` in the store."""


class TrainingRunStatus(Model):
    """What became of it."""

    observed_generation: int | None = None
    """Generation of the spec that this status is about."""
    phase: Phase = "Pending"
    """Where it stands."""
    conditions: list[Condition] = []
    """DatasetReady, Admitted, Running, Suspended, Preempted, Complete, Failed."""
    attempt: int = 0
    """Attempts so far."""
    failures: int = 0
    """Attempts that failed."""
    preemptions: int = 0
    """Attempts that were preempted."""
    out_of_memory: int = 0
    """Attempts that ran out of memory; each multiplies memory by `retry.oomMemoryFactor`."""
    observed_restart: int = 0
    """The `restart` that was acted upon."""
    retry_after: str | None = None
    """When the next attempt begins."""
    workflow: WorkflowRef | None = None
    """The Workflow of the current attempt."""
    dataset: PinnedDataset | None = None
    """What it trains on, fixed when it was admitted."""
    start_time: str | None = None
    """When the first attempt began."""
    completion_time: str | None = None
    """When the last attempt ended."""
    progress: Progress | None = None
    """How far the current attempt is."""
    stages: list[StageStatus] = []
    """What became of each stage."""
    metrics: dict[str, float] = {}
    """All metrics, by dotted name."""
    headline: Headline | None = None
    """The one number of the run."""
    cost: Cost | None = None
    """Money."""
    artifacts: list[ArtifactStatus] = []
    """Published objects."""
    dataset_key: str | None = None
    """Key of the dataset it was trained on."""
    image_digest: str | None = None
    """Digest of the torch image, where the installation or the run names one."""
    spec_hash: str | None = None
    """Hash of the spec."""
    last_failure: LastFailure | None = None
    """How the last failed attempt ended."""


class TrainingRun(Model):
    """A training run: stages, evaluation and report on one dataset."""

    api_version: Literal["ups.dev/v1alpha1"] = API_VERSION
    """Always `ups.dev/v1alpha1`."""
    kind: Literal["TrainingRun"] = "TrainingRun"
    """Always `TrainingRun`."""
    metadata: Metadata
    """Name and namespace."""
    spec: TrainingRunSpec
    """What is asked for."""
    status: TrainingRunStatus | None = None
    """What became of it."""
