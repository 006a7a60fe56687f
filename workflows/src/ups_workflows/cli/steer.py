"""``ups cancel`` and ``ups resume``: stop a run with a checkpoint, and go on from it."""

from __future__ import annotations

import typer

from ups_workflows.cli.options import (
    ContextOption,
    DatasetOption,
    DetachOption,
    EngineOption,
    NamespaceOption,
    OutputOption,
    RunArgument,
    StoreOption,
)


def cancel(
    run: RunArgument,
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    dataset: DatasetOption = False,
) -> None:
    """Suspend a run: its steps save their state and end; nothing is lost."""
    from ups_workflows.cli.runs import open_runs
    from ups_workflows.cli.show import err

    runs = open_runs(engine, store, namespace, context)
    err.print(runs.cancel(run, "Dataset" if dataset else "TrainingRun"), markup=False)


def resume(
    run: RunArgument,
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    dataset: DatasetOption = False,
    detach: DetachOption = False,
    output: OutputOption = "table",
) -> None:
    """Go on with a suspended run, or try a failed one again, from what its record says was asked."""
    from ups_workflows.cli.runs import Asked, open_runs

    runs = open_runs(engine, store, namespace, context)
    kind = "Dataset" if dataset else "TrainingRun"
    raise typer.Exit(runs.resume(run, kind, Asked(output=output, detach=detach)))
