"""Parts that several resources share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ups_core.api.model import Model, Name, NonNegativeInt, Quantity

GROUP = "ups.dev"
VERSION = "v1alpha1"
API_VERSION: Literal["ups.dev/v1alpha1"] = "ups.dev/v1alpha1"

#: Why a run or a dataset failed: closed, so that alerts and scripts can rely on it.
Reason = Literal[
    "InvalidSpec",
    "DatasetNotFound",
    "DataInvalid",
    "CredentialsInvalid",
    "StorageUnavailable",
    "PreflightFailed",
    "PendingTimeout",
    "OutOfMemory",
    "StageFailed",
    "GateFailed",
    "BudgetExceeded",
    "DeadlineExceeded",
    "PreemptionBudgetExhausted",
    "WorkflowLost",
    "InternalError",
]


class Metadata(Model):
    """The part of Kubernetes' ObjectMeta that UPS reads; the rest is the API server's."""

    name: Name
    """Name of the resource: a DNS-1123 label of at most 48 characters."""
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)] = "default"
    """Namespace; the local engine keeps it as a folder name."""
    labels: dict[str, str] | None = None
    """Labels for selection; UPS does not read them."""
    annotations: dict[str, str] | None = None
    """Annotations; UPS does not read them."""
    uid: str | None = None
    """Identity given by the API server; the local engine derives one from kind and name."""
    generation: int | None = None
    """Counts edits of the spec; the API server's."""
    resource_version: str | None = None
    """Version of the stored object; the API server's."""
    creation_timestamp: str | None = None
    """When the resource was created; the API server's."""
    deletion_timestamp: str | None = None
    """When deletion was asked for; the API server's."""
    finalizers: list[str] | None = None
    """What must be done before the resource goes; the API server's."""
    owner_references: list[dict[str, Any]] | None = None
    """Owners whose deletion deletes this resource; the API server's."""
    managed_fields: list[dict[str, Any]] | None = None
    """Who set which field; the API server's."""


class SecretRef(Model):
    """A Secret in the same namespace. Its keys become environment variables of the steps."""

    name: Annotated[str, Field(max_length=253)]
    """Name of the Secret."""


class Artifacts(Model):
    """Where objects and records are kept."""

    store: Annotated[str, Field(pattern=r"^(s3|file)://", max_length=1024)] | None = None
    """Root of the store, `s3://bucket/prefix` or `file:///path`. Default: the installation's."""
    endpoint: Annotated[str, Field(max_length=1024)] | None = None
    """Endpoint URL of an S3-compatible storage. Cluster only: locally AWS_ENDPOINT_URL has it."""
    region: Annotated[str, Field(max_length=64)] | None = None
    """Region of the bucket. Cluster only: locally AWS_REGION has it."""
    secret_ref: SecretRef | None = None
    """Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Default: workload identity. Cluster only."""
    retention: Literal["Keep", "Collect"] = "Keep"
    """`Keep`: the run's objects are reachable for ever. `Collect`: `ups gc` may free them."""


class Image(Model):
    """Container images of the steps. Cluster only."""

    data: Annotated[str, Field(max_length=512)] | None = None
    """Image without torch, for data, analysis and bookkeeping steps."""
    torch: Annotated[str, Field(max_length=512)] | None = None
    """Image with torch, for training and evaluation."""


class EnvVar(Model):
    """An environment variable of every step; never a secret, since recipes and logs are readable."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=4096)]
    """Its value."""


class PersistentVolumeClaim(Model):
    """A claim in the same namespace."""

    claim_name: Annotated[str, Field(max_length=253)]
    """Name of the claim."""
    read_only: bool = True
    """Mount without write access."""


class NFS(Model):
    """An NFS export."""

    server: Annotated[str, Field(max_length=253)]
    """Host name or address."""
    path: Annotated[str, Field(max_length=1024)]
    """Exported path."""
    read_only: bool = True
    """Mount without write access."""


class Volume(Model):
    """Storage mounted into the steps, for sources that lie on a file system. Cluster only."""

    name: Name
    """Name of the volume."""
    mount_path: Annotated[str, Field(pattern=r"^/", max_length=1024)]
    """Where the steps see it."""
    persistent_volume_claim: PersistentVolumeClaim | None = None
    """The claim that provides it."""
    nfs: NFS | None = None
    """The NFS export that provides it."""


class Resources(Model):
    """What a step's container asks for and is held to. Cluster only."""

    cpu: Quantity | None = None
    """CPU cores, e.g. `4` or `500m`."""
    memory: Quantity | None = None
    """Memory, e.g. `16Gi`."""
    ephemeral_storage: Quantity | None = None
    """Scratch disk, e.g. `50Gi`."""


class Backoff(Model):
    """Pause before another attempt; it doubles up to the cap."""

    seconds: NonNegativeInt = 30
    """First pause."""
    max_seconds: NonNegativeInt = 600
    """Longest pause."""


class Retry(Model):
    """How often to try again. Preemptions are counted apart from failures."""

    max_failures: NonNegativeInt = 1
    """Failures of our own (a bug, an unknown exit code, out of memory) before the run is Failed."""
    max_preemptions: NonNegativeInt = 20
    """Preemptions before the run is Failed; no progress is lost by one."""
    spot_preemptions: NonNegativeInt = 3
    """With SpotThenOnDemand: preemptions before the next attempt runs on demand."""
    oom_memory_factor: Annotated[float, Field(gt=1, le=8)] | None = None
    """After OutOfMemory try again with memory times this; without it the run is Failed. Cluster only."""
    backoff: Backoff = Backoff()
    """Pause before another attempt. Cluster only."""


class Condition(Model):
    """A condition as Kubernetes has them."""

    type: Annotated[str, Field(max_length=64)]
    """Name of the condition."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, Field(max_length=128)] | None = None
    """Why, in one word."""
    message: Annotated[str, Field(max_length=4096)] | None = None
    """Why, in a sentence."""
    last_transition_time: str | None = None
    """When the status changed last."""


class WorkflowRef(Model):
    """The Argo Workflow of the current attempt."""

    name: str
    """Name of the Workflow."""
    requests: int | None = None
    """How often it was asked for, until it was seen."""
    uid: str | None = None
    """Its UID."""


class LastFailure(Model):
    """How the last failed attempt ended."""

    reason: Reason
    """Why, from a closed list."""
    stage: str | None = None
    """Step or stage that failed."""
    exit_code: int | None = None
    """Its exit code."""
    message: Annotated[str, Field(max_length=8192)] | None = None
    """What it said."""


class ArtifactStatus(Model):
    """A published object."""

    name: str
    """Step that made it."""
    uri: str
    """Where it lies."""
    digest: str
    """Hash of its content."""


Phase = Literal["Pending", "Running", "Suspended", "Succeeded", "Failed"]
Suspend = Annotated[
    bool, Field(description="Stop with a checkpoint, and stay stopped until cleared. Mutable.")
]
Restart = Annotated[
    int, Field(ge=0, description="Count up to try again: zeroes failures and preemptions. Mutable.")
]
