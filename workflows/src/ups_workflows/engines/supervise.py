"""What the operator is on a cluster, for one run on a laptop: attempts, retries and status.

The status lies in ``run.json`` of the record, as the resource that ``kubectl get -o json`` would
print. Whoever holds the record's lock is the one that writes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ups_core.api import Dataset, TrainingRun
from ups_core.errors import EXIT_INTERRUPTED, EXIT_TRANSIENT
from ups_core.paths import cache_folder
from ups_core.runs import RUN, record_of
from ups_core.store import RunRecord, Store
from ups_workflows.engines.local import Attempt, Listener, LocalEngine
from ups_workflows.engines.locks import exclusive, own_name
from ups_workflows.jobs import Job
from ups_workflows.outcome import Counts, Failure, after


@dataclass(frozen=True)
class Ended:
    """How a job ended: the resource with its status filled in, the last attempt, an exit code."""

    resource: dict[str, Any]
    attempt: Attempt
    exit_code: int


def run_job(
    job: Job,
    store: Store,
    listener: Listener,
    *,
    salts: Mapping[str, str],
    only: frozenset[str] | None = None,
) -> Ended:
    """Run a job to its end, over as many attempts as ``spec.retry`` allows."""
    with contextlib.ExitStack() as stack:
        locks = tuple(
            stack.enter_context(exclusive(store.uri, record_of(resource))) for resource in job.resources
        )
        return asyncio.run(_run(job, store, listener, locks, salts, only))


async def _run(
    job: Job,
    store: Store,
    listener: Listener,
    locks: tuple[int, ...],
    salts: Mapping[str, str],
    only: frozenset[str] | None,
) -> Ended:
    main = job.main
    statuses = [_Status(resource, RunRecord(store, record_of(resource))) for resource in job.resources]
    engine = LocalEngine(
        store=store,
        work=cache_folder("work") / own_name(store.uri, record_of(main)),
        listeners=(listener, *statuses),
        env=tuple(main.spec.env),
        threads=main.spec.threads if isinstance(main, TrainingRun) else None,
        lock_fds=locks,
    )
    signals: list[int] = []
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda n=number: (signals.append(n), engine.stop()))
    counts = Counts()
    while True:
        for status in statuses:
            status.begin(counts)
        number = max(status.values["attempt"] for status in statuses)
        attempt = await engine.attempt(
            job.plan,
            number=number,
            salts=salts,
            only=only,
        )
        if attempt.failure is None or engine.stopping:
            break
        counts, decision = after(attempt.failure, counts, main.spec.retry)
        if decision == "failed":
            break
        # Another node would be waited for; this machine is here already, so the pause is short.
        await asyncio.sleep(0 if attempt.failure.exit_code == EXIT_TRANSIENT else 1)
    for status in statuses:
        status.end(attempt, counts, suspended=engine.stopping)
    failed = attempt.failure.exit_code if attempt.failure else 0
    code = EXIT_INTERRUPTED if engine.stopping else failed
    return Ended(statuses[-1].resource, attempt, code)


class _Status(Listener):
    """Keeps ``run.json`` of one resource up to date."""

    def __init__(self, resource: TrainingRun | Dataset, record: RunRecord) -> None:
        before = record.read_json(RUN, {}).get("status", {})
        self._record, self._steps = record, {}
        self._is_run = isinstance(resource, TrainingRun)
        self.resource = resource.to_dict()
        self.resource["spec"]["suspend"] = False
        self.values: dict[str, Any] = {
            "attempt": before.get("attempt", 0),
            "startTime": before.get("startTime"),
        }
        self.resource["status"] = self.values

    def begin(self, counts: Counts) -> None:
        self.values.update(
            phase="Running",
            attempt=self.values["attempt"] + 1,
            failures=counts.failures,
            preemptions=counts.preemptions,
        )
        if self._is_run:
            self.values["startTime"] = self.values.get("startTime") or _now()
        else:
            self.values.pop("startTime", None)
        self._write()

    def planned(self, steps: Mapping[str, Mapping[str, Any]]) -> None:
        self._steps = {n: s for n, s in steps.items() if s["record"] == self._record.prefix}
        if self._is_run:
            self.values["stages"] = [
                {
                    "name": s["options"]["stage"],
                    "phase": "Cached" if s["state"] == "cached" else "Pending",
                    "attempts": 0,
                }
                for s in self._steps.values()
                if s["step"] == "train"
            ]
            self._write()

    def started(self, name: str) -> None:
        self._stage(name, "Running")

    def finished(self, name: str, result: Mapping[str, Any]) -> None:
        self._stage(name, "Succeeded", metrics=result.get("metrics"))

    def failed(self, failure: Failure) -> None:
        self._stage(failure.step, "Failed")

    def end(self, attempt: Attempt, counts: Counts, *, suspended: bool) -> None:
        """Copy the final facts."""
        self.values.update(failures=counts.failures, preemptions=counts.preemptions)
        published = attempt.results.get("publish" if self._is_run else "publish-dataset", {})
        mine = attempt.failure is not None and (attempt.failure.step in self._steps or not self._steps)
        if published:
            self._copy(published)
            self.values["phase"] = "Succeeded" if self._is_run else "Ready"
        elif suspended:
            self.values["phase"], self.resource["spec"]["suspend"] = "Suspended", True
        elif attempt.failure and (mine or self._is_run):
            self.values["phase"] = "Failed"
        else:
            self.values["phase"] = "Pending"  # some steps alone were asked for, or another resource failed
        if attempt.failure and mine and not suspended:
            self.values["lastFailure"] = attempt.failure.to_dict()
        if self._is_run and self.values["phase"] in ("Succeeded", "Failed"):
            self.values["completionTime"] = _now()
        self._write()

    def _copy(self, published: Mapping[str, Any]) -> None:
        if self._is_run:
            metrics = published["metrics"]
            self.values |= {"metrics": metrics, "artifacts": published["artifacts"]}
            name = "rollout.nrmse" if "rollout.nrmse" in metrics else "rel_l2"
            if name in metrics:
                self.values["headline"] = {"metric": name, "value": metrics[name]}
        else:
            self.values |= {name: published[name] for name in ("key", "digest", "version", "uri")}

    def _stage(self, name: str, phase: str, metrics: Mapping[str, float] | None = None) -> None:
        step = self._steps.get(name)
        if step is None or step["step"] != "train":
            return
        for stage in self.values["stages"]:
            if stage["name"] == step["options"]["stage"]:
                stage["phase"] = phase
                stage["attempts"] += phase == "Running"
                if metrics:
                    stage["metrics"] = dict(metrics)
        self._write()

    def _write(self) -> None:
        self._record.write_json(RUN, self.resource)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
