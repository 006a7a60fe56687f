"""Running resources on the local engine and showing how it went: ``run`` and ``resume`` share it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ups_core.api.load import Resources
from ups_core.errors import InvalidSpec
from ups_core.store import Store, open_store
from ups_workflows.cli.options import Output, store_uri
from ups_workflows.cli.render import structured
from ups_workflows.cli.show import err, listener, metrics_table, out
from ups_workflows.engines.supervise import Ended, run_job
from ups_workflows.jobs import Job, jobs, named, narrowed


def run_resources(
    resources: Resources,
    store: str | None,
    *,
    force: list[str],
    only: str | None,
    until: str | None,
    output: Output,
) -> int:
    """Run every job of ``resources``; the exit code is that of the first that fails."""
    opened = open_store(store_uri(store, store_of(resources)))
    for job in jobs(resources, opened):
        salts = {named(job.plan, name).name: uuid.uuid4().hex for name in force}
        with listener() as listening:
            chosen = narrowed(job, only=only, until=until)
            ended = run_job(job, opened, listening, salts=salts, only=chosen)
        show(job, ended, opened, output)
        if ended.exit_code:
            return ended.exit_code
    return 0


def store_of(resources: Resources) -> str | None:
    """The one store that the resources of a file name, if they name one."""
    stores = {r.spec.artifacts.store for r in (*resources.datasets.values(), *resources.runs.values())} - {
        None
    }
    if len(stores) > 1:
        raise InvalidSpec("the resources name different stores", found=", ".join(sorted(map(str, stores))))
    return next(iter(stores), None)


def show(job: Job, ended: Ended, store: Store, output: Output) -> None:
    """The result, on standard output."""
    if output != "table":
        structured(ended.resource, output)
    elif ended.exit_code == 0:
        _table(job, ended.resource["status"], ended.attempt.results, store)
    if ended.exit_code == 130:
        err.print(f"stopped; ups resume {job.main.metadata.name} goes on from the last checkpoint")


def _table(
    job: Job, status: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]], store: Store
) -> None:
    name = job.main.metadata.name
    if data := results.get("publish-dataset"):
        splits = ", ".join(f"{count} {split}" for split, count in data["splits"].items())
        dataset = job.dataset.metadata.name if job.dataset else name
        out.print(f"Dataset {dataset} is ready, version {data['version']}: {splits}")
    if (published := results.get("publish")) is not None:
        out.print(metrics_table(status["metrics"], f"TrainingRun {name}"))
        report = store.local_path(published["report"].removeprefix(store.uri + "/"))
        out.print(f"report: {report or published['report']}")
