"""``ups status``: what runs there are and how they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ups_workflows.cli.options import (
    ContextOption,
    DatasetOption,
    EngineOption,
    NamespaceOption,
    OutputOption,
    StoreOption,
)

if TYPE_CHECKING:
    from rich.table import Table


def status(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Name of a TrainingRun; all without it.")
    ] = None,
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    dataset: DatasetOption = False,
    output: OutputOption = "table",
) -> None:
    """List runs and datasets, or show one run. The columns are those of kubectl get."""
    from ups_workflows.cli.render import structured
    from ups_workflows.cli.runs import open_runs
    from ups_workflows.cli.show import out

    known = open_runs(engine, store, namespace, context)
    if run is not None:
        resource = known.get(run, "Dataset" if dataset else "TrainingRun")
        if output != "table":
            structured(resource, output)
        else:
            out.print((_datasets if dataset else _runs)([resource]))
            _details(resource)
        return
    runs, datasets = known.every("TrainingRun"), known.every("Dataset")
    if output != "table":
        structured([*datasets, *runs], output)
        return
    if datasets:
        out.print(_datasets(datasets))
    if runs:
        out.print(_runs(runs))
    if not datasets and not runs:
        out.print(f"nothing has run in {known.where}")


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.upper())
    return table


def _datasets(found: list[dict[str, Any]]) -> Table:
    table = _table("dataset", "phase", "family", "version", "key", "attempt")
    for resource in found:
        state = resource.get("status", {})
        table.add_row(
            resource["metadata"]["name"],
            state.get("phase", "Pending"),
            resource["spec"]["family"],
            state.get("version", ""),
            (state.get("key") or "")[:12],
            str(state.get("attempt", 0)),
        )
    return table


def _runs(found: list[dict[str, Any]]) -> Table:
    table = _table("run", "phase", "stage", "progress", "metric", "cost", "attempt", "preemptions", "reason")
    for resource in found:
        state = resource.get("status", {})
        headline = state.get("headline")
        progress = state.get("progress", {})
        table.add_row(
            resource["metadata"]["name"],
            state.get("phase", "Pending"),
            progress.get("stage", ""),
            f"{progress['percent']} %" if progress else "",
            f"{headline['metric']} {headline['value']:.3g}" if headline else "",
            f"${cost['spentUsd']:.2f}" if (cost := state.get("cost")) else "",
            str(state.get("attempt", 0)),
            str(state.get("preemptions", 0)),
            state.get("lastFailure", {}).get("reason", "") if state.get("phase") == "Failed" else "",
        )
    return table


def _details(resource: dict[str, Any]) -> None:
    from ups_workflows.cli.show import metrics_table, out, waited_for

    state = resource.get("status", {})
    for stage in state.get("stages", []):
        out.print(f"stage {stage['name']}: {stage['phase']}")
    if state.get("metrics"):
        out.print(metrics_table(state["metrics"], ""))
    for reason in waited_for(resource):
        out.print(f"waiting: {reason}", markup=False)
    if failure := state.get("lastFailure"):
        out.print(
            f"last failure: {failure['reason']} in {failure['stage']}: {failure['message']}", markup=False
        )
