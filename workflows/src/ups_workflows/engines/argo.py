"""The Argo engine: a plan as one Workflow, built with Hera. Pure: nothing here talks to a cluster.

The Workflow is a DAG of containers that run ``ups-step``. Its first task, ``resolve``, leaves the plan with
all keys in the run's record, and the names of the steps that must run as its one output; each other task
has a condition on that output alone, so a cached step schedules no pod. A step reads its own spec from the
record (``--spec plan:RECORD#STEP``): arguments stay small and hold no secret.

There is no ``retryStrategy``. Argo counts one kind of failure, and a run has two, so the operator counts,
and starts another attempt: a Workflow in which everything that was finished is found cached.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785
from hera.workflows import DAG, Container, Parameter, S3Artifact, Task, Workflow
from hera.workflows import models as argo

from ups_core.api import Dataset, TrainingRun
from ups_core.api.common import Artifacts
from ups_core.api.templates import expanded
from ups_core.errors import InvalidSpec
from ups_core.runs import FOLDERS, record_of
from ups_core.steps.context import StepSpec
from ups_workflows.engines.compute import Compute, paid_stage
from ups_workflows.engines.pods import Pod, pod_patch
from ups_workflows.installation import Installation
from ups_workflows.plan import Plan, PlannedStep

#: Labels and annotations that the operator finds and reads Workflows by.
KIND, NAME, UID, ATTEMPT = "ups.dev/kind", "ups.dev/name", "ups.dev/uid", "ups.dev/attempt"
SPEC_HASH, USD_PER_HOUR = "ups.dev/spec-hash", "ups.dev/usd-per-hour"

#: A Workflow that nobody deletes goes this long after its ttl: only if the operator is gone for good.
BACKSTOP_SECONDS = 24 * 3600
#: Kept for a Dataset, which has no ttl of its own.
DATASET_TTL_SECONDS = 7 * 24 * 3600

#: Where a step writes its result and, for Argo's UI, its report.
RESULT, REPORT = "/work/result.json", "/work/report.html"

_RESULT = "tasks.resolve.outputs.parameters.result"


@dataclass(frozen=True)
class Storage:
    """The store of a resource and how to reach it, with the installation's defaults put into place."""

    uri: str
    artifacts: Artifacts

    @property
    def bucket(self) -> str:
        return self.uri.removeprefix("s3://").partition("/")[0]

    def key(self, path: str) -> str:
        """The key in the bucket of a path in the store."""
        prefix = self.uri.removeprefix("s3://").partition("/")[2].strip("/")
        return f"{prefix}/{path}" if prefix else path


def storage(resource: TrainingRun | Dataset, installation: Installation) -> Storage:
    """The store in force: the resource's own, else the installation's. InvalidSpec where there is none."""
    default, own = installation.artifacts, resource.spec.artifacts
    merged = own.model_copy(
        update={
            name: getattr(default, name)
            for name in ("store", "endpoint", "region", "secret_ref")
            if getattr(own, name) is None
        }
    )
    if merged.store is None:
        raise InvalidSpec(
            "no store is named",
            where=f"{resource.kind} {resource.metadata.name}: spec.artifacts.store",
            expected="s3://bucket/prefix, here or in the installation's values",
            fix="set spec.artifacts.store",
        )
    return Storage(merged.store.rstrip("/"), merged)


def workflow_name(resource: TrainingRun | Dataset, attempt: int) -> str:
    """One name an attempt, so that the API server itself refuses a second Workflow of it."""
    return f"{FOLDERS[resource.kind]}-{resource.metadata.name}-{attempt}"


def spec_hash(resource: TrainingRun | Dataset) -> str:
    """What a Workflow was made from; suspending or raising a limit makes no other Workflow."""
    changing = {"suspend", "restart", "ttlSecondsAfterFinished", "budget", "retry", "reclaimPolicy"}
    kept = {name: value for name, value in resource.to_dict()["spec"].items() if name not in changing}
    return hashlib.sha256(rfc8785.dumps(kept)).hexdigest()


def workflow(
    resource: TrainingRun | Dataset,
    plan: Plan,
    *,
    attempt: int,
    installation: Installation,
    compute: Compute | None = None,
    deadline_seconds: int | None = None,
    memory_factor: float = 1.0,
) -> dict[str, Any]:
    """The Workflow of one attempt, as the manifest that is created.

    ``deadline_seconds`` ends it, and is given to the kubelet too, for every step that costs money: it holds
    when no controller is left. ``memory_factor`` multiplies the memory of the stages.
    """
    run = expanded(resource) if isinstance(resource, TrainingRun) else None
    store = storage(resource, installation)
    pod = Pod(resource, installation, store.artifacts)
    templates: list[Any] = [_resolve(resource, plan, pod, store, attempt)]
    tasks: list[Any] = [Task(name="resolve", template="resolve")]
    prices: dict[str, float] = {}
    for step in plan.steps:
        stage = paid_stage(run, step.name) if run is not None else None
        price = compute.usd_per_hour(stage) if compute and stage else 0.0
        if price:
            prices[step.name] = price
        limits = [step.timeout_seconds, deadline_seconds if price else None]
        templates.append(
            _container(
                pod,
                step,
                store,
                attempt,
                active_deadline_seconds=min((limit for limit in limits if limit), default=None),
                **pod.placed(stage, compute, memory_factor),
            )
        )
        tasks.append(_task(step, {step.name for step in plan.steps}))
    return _manifest(
        resource, [DAG(name="main", tasks=tasks), *templates], pod, attempt, deadline_seconds, prices
    )


def _resolve(
    resource: TrainingRun | Dataset, plan: Plan, pod: Pod, store: Storage, attempt: int
) -> Container:
    """The step that all others wait for. Its spec holds the plan, and the resource for ``run.json``."""
    document = {"apiVersion": resource.api_version, "kind": resource.kind, **resource.to_dict()}
    document.pop("status", None)
    steps = [step.to_dict() for step in plan.steps]
    # The last step, publish, completes what resolve begins; it and no other knows of the resource.
    steps[-1]["options"] |= {"resource": True}
    if isinstance(resource, TrainingRun):
        steps[-1]["options"]["reportFile"] = REPORT
    spec = StepSpec(
        step="resolve",
        name="resolve",
        record=plan.steps[-1].record,
        options={"steps": steps, "resource": document},
        attempt=attempt,
    )
    # Argo would take "{{" in somebody's string for a tag of its own; outside strings JSON has none.
    text = json.dumps(spec.to_dict(), sort_keys=True).replace("{{", "{\\u007b")
    return _ups_step(pod, "resolve", "resolve", ["--spec", text], store, **pod.placed(None, None, 1.0))


def _container(pod: Pod, step: PlannedStep, store: Storage, attempt: int, **placed: Any) -> Container:
    """The template of one step; of its shards, where it has some."""
    fanned = step.shards > 1
    name = f"{step.name}-{{{{inputs.parameters.shard}}}}" if fanned else step.name
    args = ["--spec", f"plan:{step.record}#{name}", "--attempt", str(attempt)]
    outputs: list[Any] = []
    if step.name == "publish" and store.uri.startswith("s3://"):
        outputs.append(_report(step.record, store))
    inputs = [Parameter(name="shard")] if fanned else None
    return _ups_step(pod, step.step, step.name, args, store, inputs=inputs, artifacts=outputs, **placed)


def _ups_step(
    pod: Pod,
    step: str,
    name: str,
    args: list[str],
    store: Storage,
    *,
    inputs: list[Any] | None = None,
    artifacts: list[Any] | None = None,
    **placed: Any,
) -> Container:
    result = Parameter(name="result", value_from=argo.ValueFrom(path=RESULT, default="{}"))
    return Container(
        name=name,
        command=["ups-step"],
        args=[step, *args, "--store", store.uri, "--work", "/work", "--result", RESULT],
        inputs=inputs or [],
        outputs=[result, *(artifacts or [])],
        labels={"ups.dev/step": name},
        **pod.container(step),
        **placed,
    )


def _report(record: str, store: Storage) -> S3Artifact:
    """The report as an artifact, which Argo's UI shows; it lies where the run's record has it anyway."""
    return S3Artifact(
        name="report",
        path=REPORT,
        key=store.key(f"{record}/report/report.html"),
        archive=argo.ArchiveStrategy(none=argo.NoneStrategy()),
        optional=True,  # a run that failed before its report has none
        **s3_access(store),
    )


def s3_access(store: Storage) -> dict[str, Any]:
    """Bucket, endpoint and credentials as Argo's executor wants them."""
    endpoint = store.artifacts.endpoint
    secret = store.artifacts.secret_ref
    host = endpoint.partition("://")[2].rstrip("/") if endpoint else "s3.amazonaws.com"
    access: dict[str, Any] = {"bucket": store.bucket, "endpoint": host}
    if endpoint and endpoint.startswith("http://"):
        access["insecure"] = True
    if store.artifacts.region:
        access["region"] = store.artifacts.region
    if secret is None:
        return {**access, "use_sdk_creds": True}
    for field, key in (
        ("access_key_secret", "AWS_ACCESS_KEY_ID"),
        ("secret_key_secret", "AWS_SECRET_ACCESS_KEY"),
    ):
        access[field] = argo.SecretKeySelector(name=secret.name, key=key)
    return access


def _task(step: PlannedStep, planned: set[str]) -> Task:
    """Waits for ``resolve`` and for whoever makes its inputs; a skipped one counts as done."""
    givers = [giver for giver in dict.fromkeys(step.inputs.values()) if giver in planned]
    task = Task(name=step.name, template=step.name, dependencies=["resolve", *givers])
    if step.shards > 1:
        task.arguments = {"shard": "{{item}}"}
        task.with_param = f"{{{{=toJson(jsonpath({_RESULT}, '$.shards'))}}}}"
    else:
        task.when = f"{{{{='{step.name}' in jsonpath({_RESULT}, '$.steps')}}}}"
    return task


def _manifest(
    resource: TrainingRun | Dataset,
    templates: list[Any],
    pod: Pod,
    attempt: int,
    deadline_seconds: int | None,
    prices: Mapping[str, float],
) -> dict[str, Any]:
    meta = resource.metadata
    succeeded = failed = DATASET_TTL_SECONDS
    queue = priority = None
    patches: list[dict[str, Any]] = []
    if isinstance(resource, TrainingRun):
        run = resource.spec
        ttl = run.ttl_seconds_after_finished
        succeeded, failed = ttl.succeeded, ttl.failed
        queue, priority, patches = run.queue_name, run.priority_class_name, run.pod_patches
    labels = {
        KIND: FOLDERS[resource.kind],
        NAME: meta.name,
        ATTEMPT: str(attempt),
        **({UID: meta.uid} if meta.uid else {}),
    }
    patch = pod_patch(patches, pod.installation.grace_seconds)
    return Workflow(
        name=workflow_name(resource, attempt),
        namespace=meta.namespace,
        labels=labels,
        annotations={
            SPEC_HASH: spec_hash(resource),
            **({USD_PER_HOUR: json.dumps(prices, sort_keys=True)} if prices else {}),
        },
        owner_references=[owner(resource)] if meta.uid else None,
        entrypoint="main",
        volumes=[volume for volume, _ in pod.volumes()],
        templates=templates,
        active_deadline_seconds=deadline_seconds,
        service_account_name=pod.installation.service_account,
        automount_service_account_token=False,  # the executor has its own, from a Secret; steps have none
        executor=argo.ExecutorConfig(service_account_name=pod.installation.service_account),
        security_context=pod.security(),
        image_pull_secrets=pod.image_pull_secrets(),
        pod_metadata=argo.Metadata(
            labels={
                **labels,
                **patch.labels,
                **({"kueue.x-k8s.io/queue-name": queue} if queue else {}),
            },
            annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", **patch.annotations},
        ),
        pod_priority_class_name=priority,
        pod_spec_patch=json.dumps(patch.spec, sort_keys=True),
        pod_gc=argo.PodGC(strategy="OnPodSuccess"),
        ttl_strategy=argo.TTLStrategy(
            seconds_after_success=succeeded + BACKSTOP_SECONDS,
            seconds_after_failure=failed + BACKSTOP_SECONDS,
        ),
        template_defaults=argo.Template(archive_location=_archive(resource, pod, attempt)),
    ).to_dict()


def _archive(resource: TrainingRun | Dataset, pod: Pod, attempt: int) -> argo.ArtifactLocation | None:
    """Where Argo keeps the logs of containers; the steps' own logs lie beside them in the record."""
    store = Storage((pod.artifacts.store or "").rstrip("/"), pod.artifacts)
    if not store.uri.startswith("s3://"):
        return None
    key = store.key(f"{record_of(resource)}/logs/containers/{attempt}/{{{{pod.name}}}}")
    return argo.ArtifactLocation(archive_logs=True, s3=argo.S3Artifact(key=key, **s3_access(store)))


def owner(resource: TrainingRun | Dataset) -> argo.OwnerReference:
    """Deleting the resource deletes its Workflows, and so their pods."""
    return argo.OwnerReference(
        api_version=resource.api_version,
        kind=resource.kind,
        name=resource.metadata.name,
        uid=resource.metadata.uid or "",
        controller=True,
        block_owner_deletion=False,  # would need the right to set finalizers on the owner
    )


def reclaim_workflow(dataset: Dataset, installation: Installation, version: str) -> dict[str, Any]:
    """The Workflow that removes a deleted dataset's registry entry, for ``reclaimPolicy: Delete``."""
    step = PlannedStep(
        name="reclaim",
        step="reclaim",
        record=record_of(dataset),
        options={
            "namespace": dataset.metadata.namespace,
            "name": dataset.metadata.name,
            "version": version,
        },
    )
    store = storage(dataset, installation)
    pod = Pod(dataset, installation, store.artifacts)
    spec = {name: value for name, value in step.to_dict().items() if name != "shards"}
    text = json.dumps(spec, sort_keys=True).replace("{{", "{\\u007b")
    template = _ups_step(pod, "reclaim", "reclaim", ["--spec", text], store, **pod.placed(None, None, 1.0))
    main = DAG(name="main", tasks=[Task(name="reclaim", template="reclaim")])
    manifest = _manifest(dataset, [main, template], pod, 0, None, {})
    manifest["metadata"]["name"] = f"ds-{dataset.metadata.name}-reclaim"
    return manifest
