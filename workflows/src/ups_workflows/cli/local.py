"""The runs of this machine: each is a record in the store, and a lock while it runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

from ups_core.api import Dataset, TrainingRun
from ups_core.api.load import Resources
from ups_core.errors import InvalidSpec, NotFound
from ups_core.runs import RUN, find_run, resources
from ups_core.store import RunRecord, Store, open_store
from ups_core.store.record import Kind
from ups_workflows.cli.options import store_uri
from ups_workflows.cli.rows import followed, sorted_lines
from ups_workflows.cli.running import in_namespace, run_resources
from ups_workflows.cli.runs import Asked
from ups_workflows.engines.locks import acquire, holder


class LocalRuns:
    """See :class:`~ups_workflows.cli.runs.Runs`."""

    def __init__(self, store: str | None, namespace: str | None) -> None:
        self._given, self._namespace = store, namespace

    @property
    def _store(self) -> Store:
        return open_store(store_uri(self._given))

    @property
    def where(self) -> str:
        return f"{self._store.uri}, namespace {self._namespace or 'default'}"

    def run(self, resources: Resources, asked: Asked) -> int:
        if asked.detach:
            raise InvalidSpec(
                "the local engine runs in the foreground",
                where="--detach",
                fix="add --engine argo, or end the line with &",
            )
        return run_resources(in_namespace(resources, self._namespace), self._given, asked)

    def every(self, kind: str) -> list[dict[str, Any]]:
        return [resource for _, resource in resources(self._store, kind, self._namespace or "default")]

    def get(self, name: str, kind: str = "TrainingRun") -> dict[str, Any]:
        return self.find(name, kind)[1]

    def find(self, name: str, kind: str = "TrainingRun") -> tuple[RunRecord, dict[str, Any]]:
        return find_run(self._store, name, namespace=self._namespace or "default", kind=kind)

    def logs(self, name: str, kind: str, rows: Kind, step: str | None, follow: bool) -> Iterator[str]:
        record, _ = self.find(name, kind)
        if not follow:
            return sorted_lines(record, rows, step)
        return followed(record, rows, step, lambda: holder(record.store.uri, record.prefix) is not None)

    def cancel(self, name: str, kind: str) -> str:
        record, resource = self.find(name, kind)
        if (owner := holder(record.store.uri, record.prefix)) is not None:
            os.kill(owner, signal.SIGTERM)
            return f"asked process {owner} to stop with a checkpoint"
        if (phase := resource["status"]["phase"]) in ("Succeeded", "Failed", "Ready"):
            return f"{name} has ended: {phase}"
        lock = acquire(record.store.uri, record.prefix)
        resource["spec"]["suspend"], resource["status"]["phase"] = True, "Suspended"
        record.write_json(RUN, resource)
        lock.release()
        return f"{name} is suspended; ups resume {name} goes on"

    def resume(self, name: str, kind: str, asked: Asked) -> int:
        record, resource = self.find(name, kind)
        spec = {**resource["spec"], "suspend": False}
        if resource.get("status", {}).get("phase") == "Failed":
            spec["restart"] = spec.get("restart", 0) + 1
        document = {"metadata": resource["metadata"], "spec": spec}
        if kind == "Dataset":
            again = Resources({name: Dataset.model_validate(document)}, {}, {})
        else:
            run = TrainingRun.model_validate(document)
            again = Resources(self._datasets(run), {name: run}, {})
        return run_resources(again, record.store.uri, asked)

    def _datasets(self, run: TrainingRun) -> dict[str, Dataset]:
        """The Dataset of a run's ``datasetRef``, where this machine made it."""
        if run.spec.dataset_ref is None:
            return {}
        name = run.spec.dataset_ref.name
        try:
            data = self.get(name, "Dataset")
        except NotFound:
            return {}  # it is in the registry alone: another file made it
        return {name: Dataset.model_validate({"metadata": data["metadata"], "spec": data["spec"]})}
