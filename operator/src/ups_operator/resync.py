"""A look at everything, every few minutes: what an event that was lost would have led to.

It also finds orphans: Workflows of earlier attempts. One can stay when the operator is killed between the
write that moves on to the next attempt and the deletion that follows it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ups_operator.api import Api, ApiError, Conflict, Missing
from ups_operator.draft import Key
from ups_operator.metrics import Metrics
from ups_operator.reconcile import ENDED
from ups_operator.server import Health
from ups_workflows.engines.argo import ATTEMPT, UID

log = logging.getLogger(__name__)

#: Pause after a resync that failed.
RETRY_SECONDS = 10.0
#: Argo's own label, and ours: only Workflows that belong to a resource of ours.
SELECTOR = UID


class Resync:
    """Lists all, hands to ``add`` what may need a look, deletes orphans."""

    def __init__(
        self,
        api: Api,
        namespaces: tuple[str, ...],
        add: Callable[[Key], None],
        health: Health,
        metrics: Metrics,
    ) -> None:
        self._api, self._add, self._health, self._metrics = api, add, health, metrics
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)

    async def run(self, period_seconds: float) -> None:
        """Resync until cancelled. The pause varies, so that operators of many clusters fall out of step."""
        while True:
            try:
                await self.once()
            except ApiError as error:
                self._metrics.error("Resync", error)
                log.warning("resync: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._health.resynced()
            self._metrics.resynced.set_to_current_time()
            await asyncio.sleep(period_seconds * random.uniform(0.9, 1.1))

    async def once(self) -> None:
        for namespace in self._namespaces:
            resources = [
                *await self._api.list("TrainingRun", namespace),
                *await self._api.list("Dataset", namespace),
            ]
            workflows = await self._api.list("Workflow", namespace, SELECTOR)
            for key, resource in unsettled(resources, workflows):
                self._metrics.seen(key, resource)
                self._add(key)
            for workflow in orphans(resources, workflows):
                await self._delete(workflow["metadata"])

    async def _delete(self, meta: Mapping[str, Any]) -> None:
        log.warning("Workflow %s/%s is of an earlier attempt: deleted", meta["namespace"], meta["name"])
        try:
            await self._api.delete("Workflow", meta["namespace"], meta["name"], meta["uid"])
        except (Missing, Conflict):
            log.debug("Workflow %s/%s is gone already", meta["namespace"], meta["name"])


def key_of(resource: Mapping[str, Any]) -> Key:
    meta = resource["metadata"]
    return Key(resource["kind"], meta["namespace"], meta["name"])


def unsettled(
    resources: Iterable[Mapping[str, Any]], workflows: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    """What may need a look: all but what has ended, as its spec is now, and whose Workflow is gone."""
    with_workflow = {workflow["metadata"]["labels"][UID] for workflow in workflows}
    for resource in resources:
        meta, status = resource["metadata"], resource.get("status") or {}
        settled = (
            status.get("phase") in ENDED
            and status.get("observedGeneration") == meta["generation"]
            and meta["uid"] not in with_workflow
            and "deletionTimestamp" not in meta
        )
        if not settled:
            yield key_of(resource), resource


def orphans(
    resources: Iterable[Mapping[str, Any]], workflows: Iterable[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """Workflows of earlier attempts than their resource's. Those of deleted resources the collector takes.

    The resources were listed first, and their attempts only count up: one that is earlier than what the list
    says is earlier still by now.
    """
    statuses = {resource["metadata"]["uid"]: resource.get("status") or {} for resource in resources}
    for workflow in workflows:
        meta = workflow["metadata"]
        status = statuses.get(meta["labels"][UID])
        if status is None or "deletionTimestamp" in meta:
            continue
        current = status.get("workflow", {}).get("name")
        if meta["name"] != current and int(meta["labels"].get(ATTEMPT, 0)) < status.get("attempt", 0):
            yield workflow
