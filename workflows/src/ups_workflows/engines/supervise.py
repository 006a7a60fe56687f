"""What the operator is on a cluster, for one run on a laptop: attempts and retries."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ups_core.api import TrainingRun
from ups_core.errors import EXIT_INTERRUPTED
from ups_core.paths import cache_folder
from ups_core.runs import record_of
from ups_core.store import RunRecord, Store
from ups_workflows.engines.local import Attempt, Listener, LocalEngine
from ups_workflows.engines.locks import Lock, acquire, own_name
from ups_workflows.engines.status import Status
from ups_workflows.jobs import Job
from ups_workflows.outcome import TRANSIENT, Counts, Failure, after, exhausted


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
    """Run a job to its end, over as many attempts as ``spec.retry`` allows.

    The dataset's lock is let go as soon as the dataset is published: others may train on it meanwhile.
    """
    with contextlib.ExitStack() as stack:
        locks: dict[str, Lock] = {}
        for resource in reversed(job.resources):  # its own first: another run of it is refused at once
            shared = resource is not job.main
            lock = acquire(store.uri, record_of(resource), wait=listener.waiting if shared else None)
            stack.callback(lock.release)
            locks[lock.record] = lock
        return asyncio.run(_run(job, store, listener, locks, salts, only))


async def _run(
    job: Job,
    store: Store,
    listener: Listener,
    locks: dict[str, Lock],
    salts: Mapping[str, str],
    only: frozenset[str] | None,
) -> Ended:
    main = job.main
    statuses = [
        Status(resource, RunRecord(store, record_of(resource)), locks[record_of(resource)])
        for resource in job.resources
    ]
    engine = LocalEngine(
        store=store,
        work=cache_folder("work") / own_name(store.uri, record_of(main)),
        listeners=(listener, *statuses),
        locks=locks,
        env={record_of(resource): tuple(resource.spec.env) for resource in job.resources},
        threads=main.spec.threads if isinstance(main, TrainingRun) else None,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, engine.stop)
    counts, attempt = Counts(), Attempt()
    try:
        while True:
            for status in statuses:
                status.begin(counts)
            number = max(status.values["attempt"] for status in statuses)
            attempt = await engine.attempt(job.plan, number=number, salts=salts, only=only)
            if attempt.failure is None or engine.stopping:
                break
            counts, decision = after(attempt.failure, counts, main.spec.retry)
            if decision == "failed":
                attempt.failure = exhausted(attempt.failure)
                break
            # Another node would be waited for; this machine is here already, so the pause is short.
            await asyncio.sleep(0 if attempt.failure.exit_code in TRANSIENT else 1)
    except BaseException as error:
        attempt.failure = Failure("run", 1, "InternalError", f"{type(error).__name__}: {error}")
        raise
    finally:
        for status in statuses:
            status.end(attempt, counts, suspended=engine.stopping)
    failed = attempt.failure.exit_code or 1 if attempt.failure else 0
    return Ended(statuses[-1].resource, attempt, EXIT_INTERRUPTED if engine.stopping else failed)
