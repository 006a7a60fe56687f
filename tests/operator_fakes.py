"""A cluster in a dictionary: an API server with versions and unique names, and Argo's side of a Workflow.

The operator's own code runs against it, down to each single request, any of which can be made to fail.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from ups_core.api import TrainingRun
from ups_core.api.dataset import DatasetSpec
from ups_core.api.trainingrun import TrainingRunSpec
from ups_operator.api import Conflict, Missing, Unavailable
from ups_operator.apply import Reconciler
from ups_operator.draft import Key
from ups_operator.hints import Hints
from ups_operator.metrics import Metrics
from ups_operator.observe import stamp
from ups_workflows.installation import Installation

API_VERSION = "ups.dev/v1alpha1"
INSTALLATION = Installation.model_validate({"artifacts": {"store": "s3://bucket/ups"}, "graceSeconds": 60})
DATASET = {
    "family": "burgers1d",
    "source": {"simulate": {"samples": 160, "params": {"nu": 0.01}}},
    "splits": {"train": 116, "val": 12, "test": 32},
}
RUN = {
    "datasetRef": {"name": "data"},
    "stages": [{"name": "operator", "config": {"architecture": "default", "steps": 10}}],
}
#: What `publish` hands over of a run and of a Dataset.
PUBLISHED_RUN = {
    "metrics": {"rollout.nrmse": 0.01, "one_step.nrmse": 0.001},
    "artifacts": [{"name": "train-operator", "uri": "s3://bucket/ups/objects/train/k", "digest": "d"}],
    "datasetKey": "k",
}
PUBLISHED_DATASET = {
    "key": "k",
    "digest": "d",
    "version": "v1",
    "uri": "s3://bucket/ups/datasets/default/data/v1.json",
    "samples": 160,
    "splits": {"train": 116, "val": 12, "test": 32},
    "artifacts": [
        {"name": name, "uri": f"s3://bucket/ups/objects/{name}/k", "digest": "d"}
        for name in ("convert", "validate")
    ],
}


def a_run(name: str = "run", status: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A TrainingRun as the API server gives it: with the defaults of its CRD."""
    return _resource("TrainingRun", name, TrainingRunSpec.model_validate({**RUN, **spec}).to_dict(), status)


def a_dataset(name: str = "data", status: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return _resource("Dataset", name, DatasetSpec.model_validate({**DATASET, **spec}).to_dict(), status)


def a_ready_dataset(name: str = "data", **spec: Any) -> dict[str, Any]:
    return a_dataset(name, {"phase": "Ready", "attempt": 1, **PUBLISHED_DATASET}, **spec)


def _resource(kind: str, name: str, spec: Any, status: Mapping[str, Any] | None) -> dict[str, Any]:
    meta = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "generation": 1,
        "resourceVersion": "1",
    }
    whole = {"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": spec}
    return whole | ({"status": dict(status)} if status is not None else {})


def a_node(
    step: str,
    phase: str = "Running",
    message: str = "",
    *,
    exit_code: int | None = None,
    result: Mapping[str, Any] | None = None,
    type: str = "Pod",
    display: str | None = None,
    started: datetime | None = None,
    finished: datetime | None = None,
    progress: str = "0/1",
    **more: Any,
) -> dict[str, Any]:
    """A node of a Workflow's status, as Argo writes it."""
    outputs: dict[str, Any] = {}
    if exit_code is not None:
        outputs["exitCode"] = str(exit_code)
    if result is not None:
        outputs["parameters"] = [{"name": "result", "value": json.dumps(result)}]
    return {
        "id": f"id-{display or step}",
        "type": type,
        "templateName": step,
        "displayName": display or step,
        "phase": phase,
        "message": message,
        "startedAt": stamp(started) if started else None,
        "finishedAt": stamp(finished) if finished else None,
        "progress": progress,
        **({"outputs": outputs} if outputs else {}),
        **more,
    }


def with_status(
    workflow: Mapping[str, Any],
    phase: str,
    *nodes: Mapping[str, Any],
    message: str = "",
    finished: datetime | None = None,
) -> dict[str, Any]:
    """A Workflow as Argo has left it."""
    status: dict[str, Any] = {"phase": phase, "nodes": {node["id"]: dict(node) for node in nodes}}
    if message:
        status["message"] = message
    if finished:
        status["finishedAt"] = stamp(finished)
    return {**workflow, "status": status}


class Killed(BaseException):
    """The operator's process is gone, between two instructions."""


@dataclass
class Fault:
    """What goes wrong with the first request of a look that begins like this: ``CREATE Workflow``."""

    #: ``late``: no answer comes, and what was asked for happens only when the next write arrives.
    kind: Literal["killed before", "killed after", "answer lost", "late", "unreachable"]
    at: str


@dataclass
class FakeApi:
    """An API server. ``lag`` makes reads of resources and Workflows answer as of so many writes ago."""

    now: Callable[[], datetime]
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    version: int = 1
    requests: list[str] = field(default_factory=list)
    fault: Fault | None = None
    lag: int = 0
    down: bool = False
    #: Called with the old and the new object of every write that took effect.
    watch: Callable[[dict[str, Any] | None, dict[str, Any] | None], None] = lambda old, new: None
    _past: list[tuple[int, tuple[str, str], dict[str, Any] | None]] = field(default_factory=list)
    _uids: int = 0
    _late: Callable[[], Any] | None = None

    # What the operator asks. A namespace is not modelled: all objects are in one.

    async def get(self, kind: str, namespace: str | None, name: str) -> dict[str, Any] | None:
        return self._request(f"GET {kind}", lambda: self._as_of_then((kind, name)))

    async def list(self, kind: str, namespace: str | None, selector: str = "") -> list[dict[str, Any]]:
        return self._request(
            f"LIST {kind}",
            lambda: [copy.deepcopy(o) for (k, _), o in self.objects.items() if k == kind],
        )

    async def create(self, kind: str, namespace: str | None, manifest: Mapping[str, Any]) -> dict[str, Any]:
        return self._request(f"CREATE {kind}", lambda: self.put_new(manifest))

    async def patch(
        self, kind: str, namespace: str | None, name: str, patch: Any, *, subresource: str = ""
    ) -> dict[str, Any]:
        verb = f"PATCH {kind}" + (f"/{subresource}" if subresource else "")
        return self._request(verb, lambda: self._patch((kind, name), patch))

    async def delete(self, kind: str, namespace: str | None, name: str, uid: str) -> None:
        self._request(f"DELETE {kind}", lambda: self._delete((kind, name), uid))

    def _request(self, what: str, do: Callable[[], Any]) -> Any:
        self.requests.append(what)
        fault = None
        if self.fault is not None and what.startswith(self.fault.at):
            fault, self.fault = self.fault.kind, None
        if self.down or fault == "unreachable":
            raise Unavailable(what)
        if fault == "killed before":
            raise Killed(what)
        if not what.startswith(("GET", "LIST")):
            self.arrive()
            if fault == "late":
                self._late = do
                raise Unavailable(what)
        done = do()
        if fault == "killed after":
            raise Killed(what)
        if fault in ("answer lost", "late"):
            raise Unavailable(what)
        return done

    def arrive(self) -> None:
        """A request that was under way takes effect, if it still can."""
        do, self._late = self._late, None
        if do is not None:
            with contextlib.suppress(Conflict, Missing):
                do()

    def _as_of_then(self, key: tuple[str, str]) -> dict[str, Any] | None:
        if not self.lag:
            return copy.deepcopy(self.objects.get(key))
        then = self.version - self.lag
        found = None
        for version, name, obj in self._past:
            if version > then:
                break
            if name == key:
                found = obj
        return copy.deepcopy(found)

    # What anybody does to the cluster.

    def put_new(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        key = (manifest["kind"], manifest["metadata"]["name"])
        if key in self.objects:
            raise Conflict(f"{key} exists")
        new = copy.deepcopy(dict(manifest))
        self._uids += 1
        new["metadata"] |= {
            "uid": f"u{self._uids}",
            "generation": 1,
            "namespace": "default",
            "creationTimestamp": stamp(self.now()),
        }
        return self._store(key, new)

    def change(self, kind: str, name: str, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """An update, as of a user or of Argo."""
        new = copy.deepcopy(self.objects[kind, name])
        change(new)
        return self._store((kind, name), new)

    def remove(self, kind: str, name: str) -> None:
        """A deletion, which waits for finalizers."""
        obj = self.objects[kind, name]
        if obj["metadata"].get("finalizers"):
            if "deletionTimestamp" not in obj["metadata"]:
                self.change(kind, name, lambda o: o["metadata"].update(deletionTimestamp=stamp(self.now())))
            return
        self._store((kind, name), None)

    def collect(self) -> bool:
        """The garbage collector: what has an owner that is gone goes too. Says if anything went."""
        uids = {obj["metadata"]["uid"] for obj in self.objects.values()}
        lost = [
            key
            for key, obj in self.objects.items()
            if (owners := obj["metadata"].get("ownerReferences"))
            and not any(owner["uid"] in uids for owner in owners)
        ]
        for key in lost:
            self.remove(*key)
        return bool(lost)

    def _patch(self, key: tuple[str, str], patch: Any) -> dict[str, Any]:
        if key not in self.objects:
            raise Missing(str(key))
        old = self.objects[key]
        new = copy.deepcopy(old)
        if isinstance(patch, list):
            wanted = next(op["value"] for op in patch if op["path"] == "/metadata/resourceVersion")
            new["status"] = copy.deepcopy(dict(next(op["value"] for op in patch if op["path"] == "/status")))
        else:
            meta = patch["metadata"]
            wanted = meta["resourceVersion"]
            if meta.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
                raise Conflict(str(key))
            new = merged(new, patch)
        if wanted != old["metadata"]["resourceVersion"]:
            raise Conflict(f"{key}: {wanted} is not {old['metadata']['resourceVersion']}")
        gone = "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers")
        self._store(key, None if gone else new)
        return copy.deepcopy(new)

    def _delete(self, key: tuple[str, str], uid: str) -> None:
        if key not in self.objects:
            raise Missing(str(key))
        if self.objects[key]["metadata"]["uid"] != uid:
            raise Conflict(str(key))
        self.remove(*key)

    def _store(self, key: tuple[str, str], new: dict[str, Any] | None) -> dict[str, Any]:
        old = self.objects.get(key)
        if new is None:
            del self.objects[key]
        elif new == old:
            return copy.deepcopy(new)  # a write that changes nothing makes no version
        self.version += 1
        if new is not None:
            new["metadata"]["resourceVersion"] = str(self.version)
            if old is not None and old.get("spec") != new.get("spec"):
                new["metadata"]["generation"] += 1
            self.objects[key] = new
        self._past.append((self.version, key, copy.deepcopy(new)))
        self.watch(old, new)
        return copy.deepcopy(new or {})


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    out = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = merged(out.get(name), value)
    return out


@dataclass
class FakeCluster:
    """The API server, a clock, and an operator that looks at one resource at a time."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.api = FakeApi(lambda: self.time)
        self.restart_operator()

    def restart_operator(self) -> None:
        self.hints, self.metrics = Hints(), Metrics()
        self.reconciler = Reconciler(self.api, INSTALLATION, lambda: self.time, self.hints, self.metrics)

    def look(self, kind: str, name: str) -> float | None:
        """One look of the operator; what goes wrong comes out."""
        self.api.requests.clear()
        return finished(self.reconciler.reconcile(Key(kind, "default", name)))

    def settle(self, kind: str, name: str, looks: int = 20) -> None:
        """Look until nothing changes, waiting as long as the operator asks to wait for a new attempt."""
        for _ in range(looks):
            before = self.api.version
            try:
                again = self.look(kind, name)
            except Conflict:
                continue  # as the queue does
            if before == self.api.version and not again:
                return
            if again and again < 3600:
                self.wait(again)
            elif before == self.api.version:
                return
        raise AssertionError(f"{kind} {name} does not come to rest: {self.status(kind, name)}")

    def wait(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def put(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        return self.api.put_new(obj)

    def status(self, kind: str, name: str) -> dict[str, Any]:
        return self.api.objects[kind, name].get("status", {})

    def workflows(self) -> list[dict[str, Any]]:
        return [obj for (kind, _), obj in self.api.objects.items() if kind == "Workflow"]

    def argo(self, name: str, phase: str, *nodes: Mapping[str, Any], message: str = "") -> None:
        """Argo brings a Workflow to a phase."""
        ended = self.time if phase in ("Succeeded", "Failed", "Error") else None

        def change(workflow: dict[str, Any]) -> None:
            workflow["status"] = with_status({}, phase, *nodes, message=message, finished=ended)["status"]

        self.api.change("Workflow", name, change)

    def events(self) -> list[tuple[str, str]]:
        """Reason and message of every event, in order."""
        return [(o["reason"], o["message"]) for (kind, _), o in self.api.objects.items() if kind == "Event"]


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits, since the API server beneath it is a dictionary."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits for something that is not there")


def parsed(run: Mapping[str, Any]) -> TrainingRun:
    return TrainingRun.model_validate({"metadata": {"name": "x"}, "spec": run["spec"]})
