"""``ups compare``: runs beside each other, with what was configured differently."""

from __future__ import annotations

from typing import Annotated

import typer

from ups_workflows.cli.options import (
    ContextOption,
    EngineOption,
    NamespaceOption,
    OutputOption,
    StoreOption,
)


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="A B...", help="Names of two or more TrainingRuns.")],
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    output: OutputOption = "table",
) -> None:
    """Compare runs: their metrics side by side, and the fields of their specs that differ."""
    from rich.table import Table

    from ups_core.analyze.compare import compare as compared
    from ups_core.errors import InvalidSpec
    from ups_workflows.cli.render import structured
    from ups_workflows.cli.runs import open_runs
    from ups_workflows.cli.show import out

    if len(runs) < 2:
        raise InvalidSpec("compare needs two runs or more", found=runs[0], fix=f"ups compare {runs[0]} OTHER")
    known = open_runs(engine, store, namespace, context)
    found = [known.get(name) for name in runs]
    rows = compared(
        [
            {
                "name": resource["metadata"]["name"],
                "spec": resource["spec"],
                "metrics": resource.get("status", {}).get("metrics", {}),
                "steps": resource.get("status", {}).get("artifacts", []),
            }
            for resource in found
        ]
    )
    if output != "table":
        structured(rows, output)
        return
    for section in ("metrics", "configuration", "steps"):
        mine = [row for row in rows if row["section"] == section]
        if not mine:
            continue
        table = Table(title=section, title_justify="left", title_style="bold")
        table.add_column("")
        for name in runs:
            table.add_column(name, justify="right")
        for row in mine:
            cells = [_cell(value, section) for value in row["values"]]
            if row["best"] is not None:
                cells[row["best"]] = f"[bold]{cells[row['best']]}[/]"
            table.add_row(row["name"], *cells)
        out.print(table)


def _cell(value: object, section: str) -> str:
    if value is None:
        return ""
    if section == "steps":
        return str(value)[:12]
    return f"{value:.4g}" if isinstance(value, float) else str(value)
