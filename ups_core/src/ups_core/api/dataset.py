"""The ``Dataset`` resource: where data come from, how they are converted, and how they are split."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ups_core.api.common import (
    API_VERSION,
    Artifacts,
    ArtifactStatus,
    Condition,
    EnvVar,
    Image,
    LastFailure,
    Metadata,
    Resources,
    Restart,
    Retry,
    SecretRef,
    Suspend,
    Volume,
    WorkflowRef,
)
from ups_core.api.declaration import Declaration
from ups_core.api.model import (
    Model,
    PositiveFloat,
    PositiveInt,
    Rule,
    exactly_one,
    immutable_rules,
    one_of_rule,
)

Fraction = Annotated[float, Field(gt=0, lt=1)]
Url = Annotated[str, Field(max_length=2048)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
SplitName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]


#: Parts of metric names; a further test set leads the names of its metrics.
RESERVED = frozenset({"persistence", "mean", "solver", "fno", "truth", "rollout", "one_step", "rel_l2"})


class SimulateSource(Model):
    """Make the data with the family's own solver."""

    samples: PositiveInt | None = None
    """Number of samples."""
    train: PositiveInt | None = None
    """Number of samples written to files named `train-*`, instead of `samples`."""
    test: PositiveInt | None = None
    """Number of samples written to files named `test-*`, instead of `samples`."""
    params: Annotated[
        dict[str, float | Annotated[list[float], Field(min_length=1, max_length=64)]], Field(max_length=32)
    ] = {}
    """Physical and numerical parameters of the family's solver, e.g. `nu`. A list: all samples under each of
    its values, in files of their own; of several lists, under all combinations."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the initial states. Sample i depends on the seed, i and the parameters alone."""
    shards: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of steps among which the samples are dealt out."""

    rules = (
        Rule(
            "has(self.samples) != (has(self.train) && has(self.test)) && has(self.train) == has(self.test)",
            "give samples, or train and test",
        ),
    )

    @model_validator(mode="after")
    def _count(self) -> SimulateSource:
        if (self.samples is None) == (self.train is None) or (self.train is None) != (self.test is None):
            raise ValueError("give samples, or train and test")
        return self


class Source(Model):
    """Where the raw files come from: exactly one of `uri`, `urls` and `simulate`."""

    uri: Annotated[str, Field(max_length=2048)] | None = None
    """A file, a folder or an `s3://` prefix; a relative path counts from the resource file's folder."""
    pattern: Annotated[str, Field(max_length=256)] | None = None
    """Which files under `uri`, e.g. `*_Nu0.01.hdf5`. Default: all that the family can read."""
    urls: (
        Annotated[list[Annotated[str, Field(max_length=2048)]], Field(min_length=1, max_length=256)] | None
    ) = None
    """Files to download by http(s)."""
    sha256: Annotated[dict[str, Sha256], Field(max_length=256)] | Sha256 | None = None
    """SHA-256 the file must have; for several files a map from file name to hash."""
    md5: Annotated[dict[str, Md5], Field(max_length=256)] | Md5 | None = None
    """MD5 the file must have, where the publisher gives no better; for several files a map."""
    simulate: SimulateSource | None = None
    """Simulate the data."""
    secret_ref: SecretRef | None = None
    """Secret with the credentials of the source. Cluster only: locally the environment has them."""

    rules = (one_of_rule("uri", "urls", "simulate"),)

    @model_validator(mode="after")
    def _one_source(self) -> Source:
        exactly_one(self, "uri", "urls", "simulate")
        return self


class Convert(Model):
    """How raw files become arrays."""

    format: Literal["hdf5", "zarr"] = "hdf5"
    """File format of the converted arrays; `zarr` is Zarr v3 with shards."""
    stride: Annotated[dict[Literal["t", "x", "y", "z"], PositiveInt], Field(max_length=4)] = {}
    """Keep every n-th node of an axis, from the first."""
    limit: PositiveInt | None = None
    """Keep at most this many samples of each file, from the first that `samples` leaves."""
    samples: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)] | None = None
    """Keep the samples [start, stop) of each file."""
    chunks: PositiveInt | None = None
    """Samples a chunk. Default: one contiguous block (hdf5), about 8 MiB of raw data a chunk (zarr)."""
    dtype: Literal["float32", "float64"] = "float32"
    """Type of the state arrays; coordinates and parameters stay float64."""
    compression: Literal["gzip", "zstd"] | None = None
    """Compression of the chunks; `zstd` with zarr, `gzip` with hdf5."""


class SplitRule(Model):
    """A split by file, by parameter value or by what is extreme."""

    pattern: Annotated[str, Field(max_length=256)] | None = None
    """Only samples of raw files whose names match."""
    where: Annotated[dict[str, float | list[float]], Field(max_length=16)] | None = None
    """Only samples whose physical parameters have these values, e.g. `{Nu: 0.02}`."""
    count: PositiveInt | None = None
    """This many initial states. Default: all that the rule admits."""
    fraction: Fraction | None = None
    """This share of the initial states, instead of `count`."""
    largest: Literal["rms", "gradient"] | None = None
    """For a further test set: not a random draw, but the initial states (inputs, where steady) that have the
    largest root mean square, of the fields or of their gradients; each field in units of its own over all
    initial states. No other split has a state that reaches the least of these."""


Split = PositiveInt | Fraction | SplitRule

NEEDED_SPLITS = {
    "train": "What is learned from, and what normalisers see.",
    "val": "What the best model is chosen on.",
    "test": "What is reported, once.",
}


class Validation(Model):
    """What converted data must satisfy, beyond the family's own laws."""

    min: float | None = None
    """Smallest value the state may take."""
    max: float | None = None
    """Largest value the state may take."""
    conservation: PositiveFloat = 1e-3
    """Largest drift of a conserved mean over a trajectory, relative to the state's standard deviation."""


class DatasetSpec(Model):
    """What the data are. All but `suspend`, `restart` and `reclaimPolicy` is immutable."""

    family: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=40)]
    """Physical problem, e.g. `burgers1d`; see the list of families. With `declaration` a name of your own."""
    declaration: Declaration | None = None
    """A problem that is not in that list: its fields, its files and, as far as they are known, its symmetries
    and conserved sums."""
    source: Source
    """Where the raw files come from."""
    convert: Convert = Convert()
    """How they become arrays."""
    splits: Annotated[
        dict[SplitName, Split],
        Field(
            min_length=1,
            max_length=16,
            json_schema_extra={
                "properties": {name: {"description": said} for name, said in NEEDED_SPLITS.items()},
                "required": list(NEEDED_SPLITS),
            },
        ),
    ] = {
        "train": 0.8,
        "val": 0.1,
        "test": 0.1,
    }
    """Name to count, fraction or rule, of initial states. `train`, `val` and `test` are needed; further test
    sets may follow. Counts and fractions draw from what no rule of another split claims."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the split."""
    validation: Validation = Validation()
    """What the data must satisfy."""
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=63)] | None = None
    """Version in the registry. Default: the first 12 characters of the key."""
    artifacts: Artifacts = Artifacts()
    """Where objects and records are kept."""
    image: Image = Image()
    """Images of the steps."""
    image_pull_secrets: Annotated[list[SecretRef], Field(max_length=8)] = []
    """Secrets to pull the images with."""
    env: Annotated[list[EnvVar], Field(max_length=64)] = []
    """Environment of the steps."""
    volumes: Annotated[list[Volume], Field(max_length=16)] = []
    """Storage mounted into the steps."""
    resources: Resources = Resources()
    """What the steps ask for."""
    retry: Retry = Retry()
    """How often to try again."""
    suspend: Suspend = False
    restart: Restart = 0
    reclaim_policy: Literal["Retain", "Delete"] = "Retain"
    """`Delete`: deleting the resource removes its registry entry. Objects go by `ups gc`. Mutable."""

    @property
    def described(self) -> str | dict[str, Any]:
        """The family as recipes have it: its name, or its declaration with the name."""
        return self.family if self.declaration is None else self.declaration.named(self.family)

    @property
    def of_arrays(self) -> str | dict[str, Any]:
        """The same, without what conversion does not depend on."""
        return self.family if self.declaration is None else self.declaration.of_arrays().named(self.family)

    @model_validator(mode="after")
    def _needed_splits(self) -> DatasetSpec:
        if taken := RESERVED & set(self.splits):
            raise ValueError(f"no split can be called {', '.join(sorted(taken))}: metrics have these names")
        missing = set(NEEDED_SPLITS) - set(self.splits)
        if missing:
            raise ValueError(f"splits lacks {', '.join(sorted(missing))}: train, val and test are needed")
        for name, rule in self.splits.items():
            if not isinstance(rule, SplitRule) or rule.largest is None:
                continue
            if name in NEEDED_SPLITS:
                raise ValueError(f"splits.{name} cannot be the largest: that is for further test sets")
            if rule.count is None and rule.fraction is None:
                raise ValueError(f"splits.{name} needs a count or a fraction: all states are not the largest")
        return self


DatasetSpec.rules = immutable_rules(DatasetSpec, mutable={"suspend", "restart", "reclaim_policy"})


class DatasetStatus(Model):
    """What became of it."""

    observed_generation: int | None = None
    """Generation of the spec that this status is about."""
    phase: Literal["Pending", "Running", "Suspended", "Ready", "Failed"] = "Pending"
    """Where it stands."""
    attempt: int = 0
    """Attempts so far."""
    failures: int = 0
    """Attempts that failed."""
    preemptions: int = 0
    """Attempts that were preempted."""
    observed_restart: int = 0
    """The `restart` that was acted upon."""
    retry_after: str | None = None
    """When the next attempt begins."""
    start_time: str | None = None
    """When the first attempt began."""
    completion_time: str | None = None
    """When the last attempt ended."""
    last_failure: LastFailure | None = None
    """How the last failed attempt ended."""
    conditions: list[Condition] = []
    """Fetched, Converted, Validated, Ready."""
    key: str | None = None
    """Key of the validated object: the hash of its recipe."""
    digest: str | None = None
    """Digest of the validated object: the hash of its content."""
    uri: str | None = None
    """URI of the registry entry."""
    size_bytes: int | None = None
    """Size of the converted data."""
    samples: int | None = None
    """Number of samples."""
    splits: dict[str, int] = {}
    """Number of samples in each split."""
    arrays: list[dict[str, Any]] = []
    """Name, shape and dtype of each converted array."""
    version: str | None = None
    """Version in the registry."""
    artifacts: list[ArtifactStatus] = []
    """Published objects."""
    workflow: WorkflowRef | None = None
    """The Workflow of the current attempt."""


class Dataset(Model):
    """Simulation data, fetched or simulated, converted, validated, split and registered."""

    api_version: Literal["ups.dev/v1alpha1"] = API_VERSION
    """Always `ups.dev/v1alpha1`."""
    kind: Literal["Dataset"] = "Dataset"
    """Always `Dataset`."""
    metadata: Metadata
    """Name and namespace."""
    spec: DatasetSpec
    """What is asked for."""
    status: DatasetStatus | None = None
    """What became of it."""
