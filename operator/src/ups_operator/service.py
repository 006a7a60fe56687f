"""The parts of the operator, put together: events fill a queue, workers empty it, a resync does the rest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ups_operator.api import ApiError, Conflict, KubernetesApi, Missing
from ups_operator.apply import Reconciler
from ups_operator.draft import Key
from ups_operator.hints import Hints
from ups_operator.metrics import Metrics
from ups_operator.queue import WorkQueue
from ups_operator.resync import Resync, key_of
from ups_operator.server import Health, serve
from ups_operator.settings import Settings
from ups_workflows.engines.argo import KIND, NAME
from ups_workflows.installation import Installation

log = logging.getLogger(__name__)

_KINDS = {"tr": "TrainingRun", "ds": "Dataset"}


class Operator:
    """One operator process, from ``start`` to ``stop``."""

    def __init__(self, settings: Settings, installation: Installation) -> None:
        self.settings, self.installation = settings, installation
        self.metrics, self.hints = Metrics(), Hints()
        self.health = Health(settings.resync_seconds)
        self.queue: WorkQueue[Key] = WorkQueue(self._look, self._failed)
        self.metrics.queue.set_function(lambda: len(self.queue))

    async def start(self) -> None:
        """Connect, and begin to work. ApiError where a kind that we need is not served."""
        self._api = await KubernetesApi.connect()
        try:
            await self._begin()
        except BaseException:
            await self._api.close()
            raise

    async def _begin(self) -> None:
        self._reconciler = Reconciler(
            self._api, self.installation, lambda: datetime.now(UTC), self.hints, self.metrics
        )
        resync = Resync(self._api, self.settings.namespaces, self.queue.add, self.health, self.metrics)
        await resync.once()
        self._server = serve(self.settings.http_port, self.metrics.registry, self.health)
        self._task = asyncio.create_task(self._run(resync))

    async def _run(self, resync: Resync) -> None:
        """Workers and resync end together: without the one, the other's age is what /healthz tells."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.queue.work(self.settings.workers))
            group.create_task(resync.run(self.settings.resync_seconds))

    async def stop(self) -> None:
        """Let go. Nothing has to be finished: whoever comes next decides from what is stored."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._server.shutdown()
        await self._api.close()

    def resource_event(self, type_: str | None, resource: Mapping[str, Any]) -> None:
        """A TrainingRun or a Dataset was listed, or has changed."""
        key = key_of(resource)
        deleted = type_ == "DELETED"
        if deleted:
            self.metrics.gone(key)
            self.hints.is_gone(resource)
        else:
            self.metrics.seen(key, resource)
        if key.kind == "Dataset":
            phase = None if deleted else (resource.get("status") or {}).get("phase", "Pending")
            for run in self.hints.woken_by(key, phase):
                self.queue.add(run)
        if not self.hints.is_echo(resource):
            self.queue.add(key)

    def workflow_event(self, type_: str | None, workflow: Mapping[str, Any]) -> None:
        """A Workflow of ours was listed, or has changed."""
        meta = workflow["metadata"]
        if type_ == "DELETED":
            self.hints.is_gone(workflow)
        elif self.hints.is_echo(workflow):
            return  # it was made just now; Argo's first word about it will be news
        kind, name = meta["labels"].get(KIND), meta["labels"].get(NAME)
        if kind in _KINDS and name:
            self.queue.add(Key(_KINDS[kind], meta["namespace"], name))

    async def _look(self, key: Key) -> float | None:
        with self.metrics.seconds.labels(key.kind).time():
            return await self._reconciler.reconcile(key)

    def _failed(self, key: Key, error: Exception) -> None:
        self.metrics.error(key.kind, error)
        if isinstance(error, Conflict | Missing):
            log.debug("%s %s/%s: has changed meanwhile: %s", *key, error)
        elif isinstance(error, ApiError):
            log.warning("%s %s/%s: %s: %s", *key, type(error).__name__, error)
        else:
            log.error("%s %s/%s", *key, exc_info=error)
