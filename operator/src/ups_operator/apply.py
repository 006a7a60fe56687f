"""One look at one resource: read it, decide, write.

The order makes it safe to be wrong, late, or killed in between:

1. What is read is what is stored now, not a watch's memory of it.
2. The status is written first, and only if the resource is still the version that was read. This holds also
   where the status does not change but something is made or stopped: the write is then a fence, which an
   operator that decided on stale facts does not get through.
3. Then the actions follow. What they make has a name that follows from the status, so that making it again
   finds it there; what they change or delete is told by its uid.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ups_operator.api import Api, ApiError, Conflict, Missing, Refused
from ups_operator.draft import Action, Create, Decision, Delete, Event, Facts, Key, SetFinalizers, Stop
from ups_operator.hints import Hints
from ups_operator.metrics import Metrics
from ups_operator.observe import STOP_MESSAGE, STOP_REASON, STOP_STEP, stamp
from ups_operator.reconcile import decide, reads, refused
from ups_workflows.installation import Installation

log = logging.getLogger(__name__)


class Unmakeable(Exception):
    """The API server refused what was to be created."""


class Reconciler:
    """Brings resources to where they should be, one look at a time."""

    def __init__(
        self,
        api: Api,
        installation: Installation,
        now: Callable[[], datetime],
        hints: Hints,
        metrics: Metrics,
    ) -> None:
        self._api, self._installation, self._now = api, installation, now
        self._hints, self._metrics = hints, metrics

    async def reconcile(self, key: Key) -> float | None:
        """Look at one resource and act; says in how many seconds to look again, if it is to be soon.

        Raises :class:`ApiError`: Conflict where something has changed meanwhile, and others as they come.
        """
        resource = await self._api.get(key.kind, key.namespace, key.name)
        if resource is None:
            self._hints.waits(key, None)
            self._metrics.gone(key)
            return None
        decision = decide(await self._read(key, resource), self._installation, self._now())
        self._hints.waits(key, decision.waits_for)
        try:
            await self._apply(key, resource, decision)
        except Unmakeable as error:
            # Ours or the user's, it will be refused again: say so where the user looks.
            log.error("%s %s/%s: %s", *key, error)
            resource = await self._api.get(key.kind, key.namespace, key.name)
            if resource is not None:
                verdict = refused(Facts(resource), self._installation, self._now(), str(error))
                await self._apply(key, resource, verdict)
        return decision.requeue

    async def _read(self, key: Key, resource: Mapping[str, Any]) -> Facts:
        """What the decision needs, and no more: an attempt that runs costs two requests a look."""
        wanted, get = reads(resource), self._api.get
        return Facts(
            resource=resource,
            workflow=await get("Workflow", key.namespace, wanted.workflow) if wanted.workflow else None,
            dataset=await get("Dataset", key.namespace, wanted.dataset) if wanted.dataset else None,
            classes=tuple(await self._api.list("ComputeClass", None)) if wanted.classes else (),
        )

    async def _apply(self, key: Key, resource: Mapping[str, Any], decision: Decision) -> None:
        before = resource.get("status") or {}
        fenced = any(isinstance(action, Create | Stop | SetFinalizers) for action in decision.actions)
        if fenced or decision.status != before:
            resource = await self._write_status(key, resource, decision.status)
            self._metrics.moved(key, before, decision.status)
        for action in decision.actions:
            await self._act(key, resource, action)

    async def _write_status(
        self, key: Key, resource: Mapping[str, Any], status: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Replace the status, if the resource is still the version that was read; else Conflict."""
        patch = [
            # A patch that changes the version to the one it has is how Kubernetes spells this condition.
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version_of(resource)},
            {"op": "add", "path": "/status", "value": status},
        ]
        written = await self._api.patch(key.kind, key.namespace, key.name, patch, subresource="status")
        self._hints.wrote(written)
        return written

    async def _act(self, key: Key, resource: Mapping[str, Any], action: Action) -> None:
        match action:
            case Create(manifest):
                try:
                    made = await self._api.create(manifest["kind"], key.namespace, manifest)
                except Refused as error:
                    raise Unmakeable(str(error)) from error
                if manifest["kind"] == "Workflow":  # a Dataset that was made has not been looked at yet
                    self._hints.wrote(made)
            case Stop(seen, reason, step, message):
                said = {STOP_REASON: reason, STOP_STEP: step, STOP_MESSAGE: message}
                # The version as a condition: a node that has found a place meanwhile is not stopped for
                # not having one.
                meta = {"resourceVersion": seen.resource_version, "uid": seen.uid, "annotations": said}
                patch = {"metadata": meta, "spec": {"shutdown": "Terminate"}}
                await self._api.patch("Workflow", key.namespace, seen.name, patch)
            case Delete(name, uid):
                await self._delete(key.namespace, name, uid)
            case SetFinalizers(finalizers):
                meta = {"resourceVersion": version_of(resource), "finalizers": list(finalizers)}
                await self._api.patch(key.kind, key.namespace, key.name, {"metadata": meta})
            case Event():
                await self._tell(key, resource, action)

    async def _delete(self, namespace: str, name: str, uid: str) -> None:
        try:
            await self._api.delete("Workflow", namespace, name, uid)
        except (Missing, Conflict):
            log.debug("Workflow %s/%s of uid %s is gone already", namespace, name, uid)

    async def _tell(self, key: Key, resource: Mapping[str, Any], event: Event) -> None:
        """Write an event, once: its name follows from what it says. The work never fails for want of it."""
        try:
            await self._api.create("Event", key.namespace, event_of(key, resource, event, self._now()))
        except Conflict:
            log.debug("%s %s/%s: event %s was written before", *key, event.reason)
        except ApiError as error:
            self._metrics.error(key.kind, error)
            log.warning("%s %s/%s: event %s is lost: %s", *key, event.reason, error)


def version_of(resource: Mapping[str, Any]) -> str:
    return resource["metadata"]["resourceVersion"]


def event_of(key: Key, resource: Mapping[str, Any], event: Event, now: datetime) -> dict[str, Any]:
    """An Event as ``kubectl describe`` shows it."""
    meta = resource["metadata"]
    mark = hashlib.sha256(f"{meta['uid']} {event.once}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{key.name}.{mark}", "namespace": key.namespace},
        "involvedObject": {
            "apiVersion": resource["apiVersion"],
            "kind": key.kind,
            "name": key.name,
            "namespace": key.namespace,
            "uid": meta["uid"],
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:1024],  # the API server takes no more
        "firstTimestamp": stamp(now),
        "lastTimestamp": stamp(now),
        "count": 1,
        "source": {"component": "ups-operator"},
        "reportingComponent": "ups-operator",
    }
