"""What a Workflow says of an attempt: Argo's status, narrowed to the facts that decisions need. Pure.

The operator reads Workflows and nothing else: no pods, no logs, no storage. What it has to know of a pod,
Argo has copied into the node's ``message``: the scheduler's words while it is pending, the kubelet's when
it failed.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ups_core.errors import UpsError
from ups_workflows.engines.argo import ATTEMPT, SPEC_HASH, UID, USD_PER_HOUR

#: Why we asked a Workflow to stop, written in the same patch as ``spec.shutdown``. A Workflow that is shut
#: down without it was stopped by somebody else.
STOP_REASON, STOP_STEP, STOP_MESSAGE = "ups.dev/stop-reason", "ups.dev/stop-step", "ups.dev/stop-message"
#: Which limit the Workflow's deadline is, ``DeadlineExceeded`` or ``BudgetExceeded``: known when it is made.
DEADLINE_LIMIT = "ups.dev/deadline-limit"

#: Phases of a node that no further word of Argo's will change.
ENDED = frozenset({"Succeeded", "Failed", "Error", "Skipped", "Omitted"})
FAILED = frozenset({"Failed", "Error"})


class NodesOffloaded(UpsError):
    """Argo keeps the nodes of this Workflow in a database, where the operator cannot read them."""

    exit_code, reason = 2, "InvalidSpec"


@dataclass(frozen=True)
class Node:
    """One container invocation, or one that was skipped because its result is published already."""

    step: str
    display: str
    phase: str
    message: str
    exit_code: int | None
    result: Mapping[str, Any]
    started: datetime | None
    finished: datetime | None
    #: Share of its work that is done, 0 to 1, as the step reports it.
    progress: float
    #: Seconds that its accelerators were held, which begin when the pod runs; None where Argo does not say.
    held_seconds: float | None
    #: Argo has started another pod in its place (``retryStrategy``), so its end is not the step's.
    superseded: bool = False

    @property
    def ended(self) -> bool:
        return self.phase in ENDED

    @property
    def failed(self) -> bool:
        return self.phase in FAILED and not self.superseded


@dataclass(frozen=True)
class Observed:
    """One attempt, as its Workflow has it."""

    name: str
    uid: str
    resource_version: str
    owner_uid: str | None
    attempt: str | None
    spec_hash: str | None
    phase: str
    message: str
    nodes: tuple[Node, ...]
    started: datetime | None
    finished: datetime | None
    deleting: bool
    #: ``spec.shutdown``, by whomever.
    shutdown: bool
    stop_reason: str | None
    stop_step: str
    stop_message: str
    deadline_seconds: int | None
    deadline_limit: str
    #: The deadlines of single steps, where they have one of their own.
    step_deadlines: Mapping[str, int]
    usd_per_hour: Mapping[str, float]

    @property
    def ended(self) -> bool:
        """Argo has nothing more to do; an empty phase is a Workflow that it has not seen yet."""
        return self.phase in ("Succeeded", "Failed", "Error")

    @property
    def live(self) -> bool:
        return not self.ended

    def of(self, step: str) -> list[Node]:
        """The nodes of a step: several where it is fanned out into shards."""
        return [node for node in self.nodes if node.step == step and not node.superseded]

    def result(self, step: str) -> Mapping[str, Any]:
        """What a step handed over; empty where it has not, or was skipped."""
        return next((node.result for node in self.of(step) if node.result), {})

    def spent_usd(self, now: datetime) -> float:
        """Money spent up to ``now``.

        A pod that has ended is charged for the time its accelerators were held. Of one that still runs, or
        was deleted, Argo knows only when it was asked for, so its wait for a node is charged too: an upper
        bound. A pod that is pending costs nothing.
        """
        spent = 0.0
        for node in self.nodes:
            rate = self.usd_per_hour.get(node.step, 0.0)
            if not rate or node.started is None or node.phase in ("Pending", "Skipped", "Omitted"):
                continue
            seconds = node.held_seconds
            if seconds is None:
                seconds = ((node.finished or now) - node.started).total_seconds()
            spent += rate * max(seconds, 0.0) / 3600
        return spent


def observe(workflow: Mapping[str, Any]) -> Observed:
    """The facts of a Workflow as the API server gives it."""
    meta, spec, status = workflow["metadata"], workflow["spec"], workflow.get("status", {})
    labels, annotations = meta.get("labels", {}), meta.get("annotations", {})
    accelerators = dict(_accelerators(spec))
    return Observed(
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        owner_uid=labels.get(UID),
        attempt=labels.get(ATTEMPT),
        spec_hash=annotations.get(SPEC_HASH),
        phase=status.get("phase", ""),
        message=status.get("message", ""),
        nodes=tuple(_nodes(meta["name"], status, accelerators)),
        started=time_of(status.get("startedAt")),
        finished=time_of(status.get("finishedAt")),
        deleting="deletionTimestamp" in meta,
        shutdown=bool(spec.get("shutdown")),
        stop_reason=annotations.get(STOP_REASON),
        stop_step=annotations.get(STOP_STEP, "workflow"),
        stop_message=annotations.get(STOP_MESSAGE, ""),
        deadline_seconds=spec.get("activeDeadlineSeconds"),
        deadline_limit=annotations.get(DEADLINE_LIMIT, "DeadlineExceeded"),
        step_deadlines={
            template["name"]: template["activeDeadlineSeconds"]
            for template in spec.get("templates", [])
            # Argo takes a string there too, for templates with parameters; ours are numbers.
            if isinstance(template.get("activeDeadlineSeconds"), int)
        },
        usd_per_hour=json.loads(annotations.get(USD_PER_HOUR, "{}")),
    )


def _nodes(
    name: str, status: Mapping[str, Any], accelerators: Mapping[str, tuple[str, float]]
) -> Iterator[Node]:
    nodes = _inflated(name, status)
    superseded = {
        child for node in nodes.values() if node["type"] == "Retry" for child in node.get("children", [])[:-1]
    }
    for identity, node in nodes.items():
        # A skipped task has no pod; its node is of a type of its own. Both carry the step's name.
        if node["type"] not in ("Pod", "Skipped"):
            continue
        outputs = node.get("outputs", {})
        step = node.get("templateName", "")
        yield Node(
            step=step,
            display=node.get("displayName", step),
            phase=node.get("phase", ""),
            message=node.get("message", ""),
            exit_code=int(outputs["exitCode"]) if "exitCode" in outputs else None,
            result=_result(outputs),
            started=time_of(node.get("startedAt")),
            finished=time_of(node.get("finishedAt")),
            progress=_share(node.get("progress", "")),
            held_seconds=_held(node.get("resourcesDuration", {}), accelerators.get(step)),
            superseded=identity in superseded,
        )


def _inflated(name: str, status: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The nodes, which Argo compresses once a Workflow is larger than a megabyte."""
    if packed := status.get("compressedNodes"):
        return json.loads(zlib.decompress(base64.b64decode(packed), wbits=zlib.MAX_WBITS | 16))
    if status.get("offloadNodeStatusVersion"):
        raise NodesOffloaded(
            "Argo keeps the nodes of this Workflow in its database",
            where=f"Workflow {name}: status.offloadNodeStatusVersion",
            expected="nodes in the Workflow itself",
            fix="set persistence.nodeStatusOffLoad: false in Argo's workflow-controller-configmap",
        )
    return status.get("nodes") or {}


def _result(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    for parameter in outputs.get("parameters", []):
        if parameter["name"] == "result":
            return json.loads(parameter.get("value") or "{}")
    return {}


def _share(progress: str) -> float:
    """Argo's ``N/M`` as a number from 0 to 1.

    >>> _share("37/100"), _share("0/1"), _share("")
    (0.37, 0.0, 0.0)
    """
    done, _, whole = progress.partition("/")
    return min(int(done) / int(whole), 1.0) if whole and int(whole) else 0.0


def _accelerators(spec: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, float]]]:
    """Step to name and number of the accelerators of its pod; extended resources have a ``/`` in theirs."""
    for template in spec.get("templates", []):
        limits = template.get("container", {}).get("resources", {}).get("limits", {})
        for name, count in limits.items():
            if "/" in name:
                yield template["name"], (name, float(count))


def _held(durations: Mapping[str, Any], accelerator: tuple[str, float] | None) -> float | None:
    """Argo's ``resourcesDuration`` counts amount times seconds, from the start of the container."""
    if accelerator is None or accelerator[0] not in durations:
        return None
    return float(durations[accelerator[0]]) / accelerator[1]


def time_of(text: str | None) -> datetime | None:
    """A time of the API server's. Go's zero time, written as null, is none."""
    return datetime.fromisoformat(text) if text else None


def stamp(when: datetime) -> str:
    """A time as the API server writes it.

    >>> from datetime import UTC
    >>> stamp(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))
    '2026-01-02T03:04:05Z'
    """
    return when.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def later(when: datetime, seconds: float) -> datetime:
    return when + timedelta(seconds=seconds)
