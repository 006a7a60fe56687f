"""``run.json``: a resource with its status, as ``kubectl get -o json`` would print it.

Whoever holds the lock of the record writes it. A dataset lets go of its lock, and of this file, as soon
as it is published.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ups_core.api import Dataset, TrainingRun
from ups_core.runs import RUN, headline
from ups_core.store import RunRecord
from ups_workflows.engines.local import Attempt, Listener
from ups_workflows.engines.locks import Lock
from ups_workflows.outcome import Counts, Failure

#: Seconds between two writes of nothing but progress.
INTERVAL = 2.0


class Status(Listener):
    """Keeps the status of one resource up to date while a plan runs."""

    def __init__(self, resource: TrainingRun | Dataset, record: RunRecord, lock: Lock) -> None:
        before = record.read_json(RUN, {}).get("status", {})
        self._record, self._lock, self._written = record, lock, 0.0
        self._is_run = isinstance(resource, TrainingRun)
        self._steps: Mapping[str, Mapping[str, Any]] = {}
        self._stages: dict[str, dict[str, Any]] = {}
        self.resource = resource.to_dict()
        self.values: dict[str, Any] = {"attempt": before.get("attempt", 0)}
        if self._is_run:
            self.values["startTime"] = before.get("startTime") or _now()
        self.resource["status"] = self.values

    def begin(self, counts: Counts) -> None:
        self.values.update(
            phase="Running",
            attempt=self.values["attempt"] + 1,
            failures=counts.failures,
            preemptions=counts.preemptions,
        )
        self._write()

    def planned(self, steps: Mapping[str, Mapping[str, Any]]) -> None:
        self._steps = {n: s for n, s in steps.items() if s["record"] == self._record.prefix}
        if not self._is_run:
            return
        # Of several seeds the first stands for the stage; the others have steps of their own names.
        self._stages = {
            name: {
                "name": step["options"]["stage"],
                "phase": "Cached" if step["state"] == "cached" else "Pending",
                "attempts": 0,
            }
            for name, step in self._steps.items()
            if name == f"train-{step['options'].get('stage')}"
        }
        self.values["stages"] = list(self._stages.values())
        self._write()

    def started(self, name: str) -> None:
        if stage := self._stages.get(name):
            stage["attempts"] += 1
            stage["phase"] = "Running"
            self._write()

    def progress(self, name: str, percent: int, text: str) -> None:
        if self._is_run and name in self._steps:
            self.values["progress"] = {"percent": percent, "stage": name, "updatedAt": _now()}
            if time.monotonic() - self._written > INTERVAL:
                self._write()

    def finished(self, name: str, result: Mapping[str, Any]) -> None:
        if stage := self._stages.get(name):
            stage["phase"], stage["metrics"] = "Succeeded", dict(result.get("metrics", {}))
            self._write()
        if name == "publish-dataset" and not self._is_run:
            self._copy(result)
            self.values["phase"] = "Ready"
            self._write()
            self._lock.release()

    def failed(self, failure: Failure) -> None:
        if stage := self._stages.get(failure.step):
            stage["phase"] = "Failed"
            self._write()

    def end(self, attempt: Attempt, counts: Counts, *, suspended: bool) -> None:
        """Write the final facts."""
        self.values.update(failures=counts.failures, preemptions=counts.preemptions)
        published = attempt.results.get("publish", {}) if self._is_run else {}
        mine = attempt.failure is not None and (self._is_run or attempt.failure.step in self._steps)
        if published:
            self._copy(published)
        if suspended:
            self.values["phase"], self.resource["spec"]["suspend"] = "Suspended", True
            for stage in self._stages.values():
                stage["phase"] = "Pending" if stage["phase"] == "Failed" else stage["phase"]
        elif mine and attempt.failure:
            self.values["phase"], self.values["lastFailure"] = "Failed", attempt.failure.to_dict()
        elif published:
            self.values["phase"] = "Succeeded"
        else:
            self.values["phase"] = "Pending"  # some steps alone were asked for, or another resource failed
        if self._is_run and self.values["phase"] in ("Succeeded", "Failed"):
            self.values["completionTime"] = _now()
            self.values.pop("progress", None)
        self._write()

    def _copy(self, published: Mapping[str, Any]) -> None:
        taken = (
            ("metrics", "artifacts", "datasetKey")
            if self._is_run
            else ("key", "digest", "version", "uri", "samples")
        )
        self.values |= {name: published[name] for name in taken}
        if best := headline(self.values.get("metrics", {})):
            self.values["headline"] = best

    def _write(self) -> None:
        if self._lock.descriptor is not None:
            self._record.write_json(RUN, self.resource)
            self._written = time.monotonic()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
