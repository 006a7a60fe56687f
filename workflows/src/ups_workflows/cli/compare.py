"""``ups compare``: runs beside each other, with what was configured differently."""

from __future__ import annotations

from typing import Annotated

import typer

from ups_workflows.cli.options import NamespaceOption, OutputOption, StoreOption, store_uri


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="A B...", help="Names of two or more TrainingRuns.")],
    store: StoreOption = None,
    namespace: NamespaceOption = "default",
    output: OutputOption = "table",
) -> None:
    """Compare runs: their metrics side by side, and the fields of their specs that differ."""
    from rich.table import Table

    from ups_core.analyze.compare import compare as compared
    from ups_core.errors import InvalidSpec
    from ups_core.runs import find_run
    from ups_core.store import open_store
    from ups_workflows.cli.render import structured
    from ups_workflows.cli.show import out

    if len(runs) < 2:
        raise InvalidSpec("compare needs two runs or more", found=runs[0], fix=f"ups compare {runs[0]} OTHER")
    opened = open_store(store_uri(store))
    found = [find_run(opened, name, namespace=namespace)[1] for name in runs]
    rows = compared(
        [
            {
                "name": resource["metadata"]["name"],
                "spec": resource["spec"],
                "metrics": resource["status"].get("metrics", {}),
                "steps": resource["status"].get("artifacts", []),
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
