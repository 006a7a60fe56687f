"""``ups logs``: what the steps of a run said."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ups_workflows.cli.options import (
    ContextOption,
    DatasetOption,
    EngineOption,
    NamespaceOption,
    RunArgument,
    StoreOption,
)


def logs(
    run: RunArgument,
    step: Annotated[str | None, typer.Argument(metavar="[STEP]", help="Only this step.")] = None,
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kind: Annotated[
        Literal["logs", "events", "metrics"],
        typer.Option(help="Log lines, begin and end of steps, or curves."),
    ] = "logs",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    dataset: DatasetOption = False,
) -> None:
    """Print the log of a run, oldest line first."""
    from ups_core.errors import NotFound
    from ups_workflows.cli.runs import open_runs
    from ups_workflows.cli.show import out

    runs = open_runs(engine, store, namespace, context)
    said = False
    for line in runs.logs(run, "Dataset" if dataset else "TrainingRun", kind, step, follow):
        said = True
        out.print(line, markup=False)
    if not said:
        raise NotFound(
            f"{run} has no {kind}" + (f" of a step {step}" if step else ""),
            where=runs.where,
            fix=f"ups logs {run} --kind events" if kind != "events" else f"ups status {run}",
        )
