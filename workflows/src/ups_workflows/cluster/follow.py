"""Following a resource on the cluster: what a local engine would tell, told from outside.

The operator writes the resource's status, Argo the Workflow's. Both are looked at every second, and what
is new since the last look goes to the same listener that hears the local engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ups_core.errors import EXIT_INTERRUPTED, EXIT_TRANSIENT, CredentialsInvalid, NotFound
from ups_workflows.cli.show import waited_for
from ups_workflows.cluster.client import Cluster, ClusterUnavailable, path_of, workflow_path
from ups_workflows.cluster.nodes import Node, nodes
from ups_workflows.engines.local import Listener
from ups_workflows.outcome import Failure

#: Seconds between two looks.
INTERVAL = 1.0
#: Seconds for which an API server that does not answer is waited for.
PATIENCE = 300.0

#: What a pod says that has its node and waits for nothing but itself.
STARTING = frozenset({"", "PodInitializing", "ContainerCreating"})

#: Exit code of a reason whose failure has none: no container of ours ended.
CODES = {
    "InvalidSpec": 2,
    "PreflightFailed": 2,
    "DataInvalid": 3,
    "CredentialsInvalid": 4,
    "DatasetNotFound": 5,
    "BudgetExceeded": 6,
    "StageFailed": 7,
    "GateFailed": 7,
    "DeadlineExceeded": 7,
    "StorageUnavailable": 8,
    "PendingTimeout": EXIT_TRANSIENT,
    "PreemptionBudgetExhausted": EXIT_TRANSIENT,
    "OutOfMemory": 137,
}


def ended(resource: Mapping[str, Any]) -> bool:
    """Whether nothing more happens to it, unless somebody changes its spec."""
    spec, status = resource["spec"], resource.get("status", {})
    if status.get("observedRestart", 0) < spec.get("restart", 0):
        return False  # the operator has not seen yet that it is to try again
    phase = status.get("phase", "Pending")
    return phase in ("Succeeded", "Ready", "Failed") or (phase == "Suspended" and spec.get("suspend", False))


def exit_code(resource: Mapping[str, Any]) -> int:
    """The exit code that a local run which ended so would have."""
    status = resource.get("status", {})
    if status.get("phase") == "Suspended":
        return EXIT_INTERRUPTED
    if status.get("phase") != "Failed":
        return 0
    failure = status.get("lastFailure", {})
    return failure.get("exitCode") or CODES.get(failure.get("reason", ""), 1)


class Follower:
    """Tells a listener what is new about one resource, look by look."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._told: set[tuple[str, str]] = set()
        self._attempt: int | None = None
        self._percents: dict[str, int] = {}
        listener.planned({})

    def look(self, resource: Mapping[str, Any], workflow: Mapping[str, Any] | None) -> None:
        """``workflow`` is that of the current attempt, where there is one and it may be seen."""
        name, status = resource["metadata"]["name"], resource.get("status", {})
        if not status:
            self._say(name, f"{resource['kind']} {name} waits for the operator")
        for reason in waited_for(resource):
            self._say(name, f"{name} waits: {reason}")
        attempt = status.get("attempt", 0)
        if attempt != self._attempt:
            if attempt > 1:
                counted = f"{status.get('failures', 0)} failed, {status.get('preemptions', 0)} preempted"
                self._listener.said(name, f"{name}: attempt {attempt}; so far {counted}")
            self._attempt = attempt
        for node in nodes(workflow or {}):
            self._look_at(node)

    def failed(self, resource: Mapping[str, Any]) -> None:
        """Tell the failure that ended it."""
        name, failure = resource["metadata"]["name"], resource["status"].get("lastFailure", {})
        if message := failure.get("message"):
            self._listener.said(name, f"{name}: {message}")
        reason = failure.get("reason", "InternalError")
        step = failure.get("stage") or name
        self._listener.failed(Failure(step, exit_code(resource), reason, failure.get("message", "")))

    def _look_at(self, node: Node) -> None:
        if node.phase == "Pending" and node.message not in STARTING:
            self._say(node.name, f"{node.name} waits: {node.message}")
        if node.phase in ("Running", "Succeeded") and self._first(node.id, "started"):
            self._listener.started(node.name)
        if node.percent is not None and node.percent > self._percents.get(node.id, 0):
            self._percents[node.id] = node.percent
            self._listener.progress(node.name, node.percent, "")
        if node.phase == "Succeeded" and self._first(node.id, "finished"):
            if node.step == "resolve":
                self._planned(node.result)
            elif "digest" in node.result:
                self._listener.finished(node.name, node.result)

    def _planned(self, resolved: Mapping[str, Any]) -> None:
        running = [name for name in resolved.get("steps", []) if not name.startswith("publish")]
        step = {"version": 1, "state": "runs", "key": None, "reason": ""}
        self._listener.planned(dict.fromkeys(running, step))
        if cached := resolved.get("cached"):
            self._listener.said("resolve", f"{cached} steps are cached")

    def _say(self, name: str, line: str) -> None:
        if self._first(name, line):
            self._listener.said(name, line)

    def _first(self, about: str, what: str) -> bool:
        if (about, what) in self._told:
            return False
        self._told.add((about, what))
        return True


def follow(
    cluster: Cluster,
    kind: str,
    name: str,
    listener: Listener,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Follow a resource until it has ended, and return it.

    A run that waits for its Dataset cannot end when that has failed or is suspended: then the Dataset is
    returned. An API server that is away is waited for, with an end.
    """
    run, data = Follower(listener), Follower(listener)
    seen_at, away = clock(), False
    while True:
        try:
            resource = cluster.get(path_of(kind, cluster.namespace, name))
            run.look(resource, _workflow(cluster, resource, listener))
            if ended(resource):
                if resource["status"]["phase"] == "Failed":
                    run.failed(resource)
                return resource
            if kind == "TrainingRun" and not resource.get("status", {}).get("attempt"):
                dataset = dataset_of(cluster, resource)
                if dataset is not None:
                    data.look(dataset, _workflow(cluster, dataset, listener))
                    if ended(dataset) and dataset["status"]["phase"] != "Ready":
                        if dataset["status"]["phase"] == "Failed":
                            data.failed(dataset)
                        return dataset
            seen_at, away = clock(), False
        except ClusterUnavailable:
            if clock() - seen_at > PATIENCE:
                raise
            if not away:
                listener.said(name, "the API server does not answer and is asked again; what runs goes on")
            away = True
        sleep(INTERVAL)


def dataset_of(cluster: Cluster, run: Mapping[str, Any]) -> dict[str, Any] | None:
    """The Dataset that a run trains on; an inline one is made by the operator and bears the run's name."""
    ref = run["spec"].get("datasetRef")
    try:
        return cluster.get(path_of("Dataset", cluster.namespace, (ref or run["metadata"])["name"]))
    except NotFound:
        return None


def _workflow(cluster: Cluster, resource: Mapping[str, Any], listener: Listener) -> dict[str, Any] | None:
    """The Workflow of the current attempt; none before it is made, and once it is deleted."""
    name = resource.get("status", {}).get("workflow", {}).get("name")
    if name is None:
        return None
    try:
        return cluster.get(workflow_path(cluster.namespace, name))
    except (NotFound, CredentialsInvalid):
        return None  # who may not see Workflows follows the phases alone
