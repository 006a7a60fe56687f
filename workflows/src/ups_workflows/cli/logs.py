"""``ups logs``: what the steps of a run said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from ups_workflows.cli.options import NamespaceOption, RunArgument, StoreOption, store_uri


def logs(
    run: RunArgument,
    step: Annotated[str | None, typer.Argument(metavar="[STEP]", help="Only this step.")] = None,
    store: StoreOption = None,
    namespace: NamespaceOption = "default",
    kind: Annotated[
        Literal["logs", "events", "metrics"],
        typer.Option(help="Log lines, begin and end of steps, or curves."),
    ] = "logs",
    dataset: Annotated[bool, typer.Option("--dataset", help="RUN is the name of a Dataset.")] = False,
) -> None:
    """Print the log of a run, oldest line first."""
    from ups_core.errors import NotFound
    from ups_core.runs import find_run
    from ups_core.store import open_store
    from ups_workflows.cli.show import out

    resource_kind = "Dataset" if dataset else "TrainingRun"
    record, _ = find_run(open_store(store_uri(store)), run, namespace=namespace, kind=resource_kind)
    rows = sorted(record.rows(kind, step), key=lambda row: row.get("time", 0))
    if not rows:
        raise NotFound(f"{run} has no {kind}" + (f" of a step {step}" if step else ""), where=record.prefix)
    for row in rows:
        out.print(_line(row), markup=False)


def _line(row: dict[str, Any]) -> str:
    row = dict(row)
    at = row.pop("time", None)
    stamp = (
        datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        if isinstance(at, float)
        else at or ""
    )
    rest = " ".join(
        f"{name}={value}" for name, value in row.items() if name not in ("step", "event", "level")
    )
    return f"{stamp} {row.get('step', '')} {row.get('event', '')} {rest}".rstrip()
