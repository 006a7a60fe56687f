"""Running resources on the local engine and showing how it went: ``run`` and ``resume`` share it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ups_core.api.load import Resources
from ups_core.errors import EXIT_INTERRUPTED, InvalidSpec
from ups_core.store import Store, open_store
from ups_workflows.cli.options import store_uri
from ups_workflows.cli.render import structured
from ups_workflows.cli.runs import Asked
from ups_workflows.cli.show import dataset_line, err, listener, metrics_table, out
from ups_workflows.engines.supervise import run_job
from ups_workflows.jobs import Job, jobs, named, narrowed


def run_resources(resources: Resources, store: str | None, asked: Asked) -> int:
    """Run every job of ``resources``; the exit code is that of the first that fails."""
    opened = open_store(store_uri(store, store_of(resources)))
    done: list[dict[str, Any]] = []
    code = 0
    for job in jobs(resources, opened):
        if job.main.spec.suspend:
            err.print(f"{job.main.metadata.name} is suspended by its spec and is not run")
            continue
        salts = {named(job.plan, name).name: uuid.uuid4().hex for name in asked.force}
        with listener() as listening:
            chosen = narrowed(job, only=asked.only, until=asked.until)
            ended = run_job(job, opened, listening, salts=salts, only=chosen)
        done.append(ended.resource)
        if asked.output == "table":
            _table(job, ended.attempt.results, opened)
        if ended.exit_code == EXIT_INTERRUPTED:
            err.print("stopped; the same command goes on from the last checkpoint")
        if code := ended.exit_code:
            break
    if asked.output != "table":
        structured(done[0] if len(done) == 1 else done, asked.output)
    return code


def store_of(resources: Resources) -> str | None:
    """The one store that the resources of a file name, if they name one."""
    every = (*resources.datasets.values(), *resources.runs.values())
    stores = sorted({r.spec.artifacts.store for r in every if r.spec.artifacts.store})
    if len(stores) > 1:
        raise InvalidSpec("the resources name different stores", found=", ".join(stores))
    return stores[0] if stores else None


def in_namespace(resources: Resources, namespace: str | None) -> Resources:
    """The same resources, in ``namespace`` where it is given. InvalidSpec where they name another."""
    if namespace is None:
        return resources

    def moved(resource: Any) -> Any:
        metadata = resource.metadata
        if "namespace" in metadata.model_fields_set and metadata.namespace != namespace:
            raise InvalidSpec(
                "the file names another namespace",
                where=f"{resource.kind} {metadata.name}: metadata.namespace",
                found=metadata.namespace,
                expected=namespace,
                fix=f"-n {metadata.namespace}",
            )
        return resource.model_copy(update={"metadata": metadata.model_copy(update={"namespace": namespace})})

    return Resources(
        {name: moved(dataset) for name, dataset in resources.datasets.items()},
        {name: moved(run) for name, run in resources.runs.items()},
        resources.classes,
    )


def _table(job: Job, results: Mapping[str, Mapping[str, Any]], store: Store) -> None:
    """What was published, on standard output."""
    name = job.main.metadata.name
    if data := results.get("publish-dataset"):
        dataset = job.dataset.metadata.name if job.dataset else name
        out.print(dataset_line(dataset, data["version"], data["splits"]))
    if published := results.get("publish"):
        out.print(metrics_table(published["metrics"], f"TrainingRun {name}"))
        report = store.local_path(published["report"].removeprefix(store.uri + "/"))
        out.print(f"report: {report or published['report']}")
