"""``ups cancel`` and ``ups resume``: stop a run with a checkpoint, and go on from it."""

from __future__ import annotations

import typer

from ups_workflows.cli.options import NamespaceOption, OutputOption, RunArgument, StoreOption, store_uri


def cancel(run: RunArgument, store: StoreOption = None, namespace: NamespaceOption = "default") -> None:
    """Suspend a run: its steps save their state and end; nothing is lost."""
    import os
    import signal

    from ups_core.runs import RUN, find_run
    from ups_core.store import open_store
    from ups_workflows.cli.show import err
    from ups_workflows.engines.locks import acquire, holder

    opened = open_store(store_uri(store))
    record, resource = find_run(opened, run, namespace=namespace)
    if (owner := holder(opened.uri, record.prefix)) is not None:
        os.kill(owner, signal.SIGTERM)
        err.print(f"asked process {owner} to stop with a checkpoint")
        return
    if resource["status"]["phase"] in ("Succeeded", "Failed"):
        err.print(f"{run} has ended: {resource['status']['phase']}")
        return
    lock = acquire(opened.uri, record.prefix)
    resource["spec"]["suspend"], resource["status"]["phase"] = True, "Suspended"
    record.write_json(RUN, resource)
    lock.release()
    err.print(f"{run} is suspended; ups resume {run} goes on")


def resume(
    run: RunArgument,
    store: StoreOption = None,
    namespace: NamespaceOption = "default",
    output: OutputOption = "table",
) -> None:
    """Go on with a suspended run, or try a failed one again, from what its record says was asked."""
    from ups_core.api import Dataset, TrainingRun
    from ups_core.api.load import Resources
    from ups_core.errors import NotFound
    from ups_core.runs import find_run
    from ups_core.store import open_store
    from ups_workflows.cli.running import run_resources

    opened = open_store(store_uri(store))
    _, resource = find_run(opened, run, namespace=namespace)
    spec = {**resource["spec"], "suspend": False}
    if resource.get("status", {}).get("phase") == "Failed":
        spec["restart"] = spec.get("restart", 0) + 1
    resumed = TrainingRun.model_validate({"metadata": resource["metadata"], "spec": spec})
    datasets = {}
    if resumed.spec.dataset_ref is not None:
        name = resumed.spec.dataset_ref.name
        try:
            _, data = find_run(opened, name, namespace=namespace, kind="Dataset")
            datasets[name] = Dataset.model_validate({"metadata": data["metadata"], "spec": data["spec"]})
        except NotFound:
            pass  # it is in the registry alone: another file made it
    code = run_resources(
        Resources(datasets, {run: resumed}, {}),
        opened.uri,
        force=[],
        only=None,
        until=None,
        output=output,
    )
    raise typer.Exit(code)
