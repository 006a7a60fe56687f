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
    result = compared(
        [
            {"name": r["metadata"]["name"], "spec": r["spec"], "metrics": r["status"].get("metrics", {})}
            for r in found
        ]
    )
    if output != "table":
        structured(result, output)
        return
    for title, rows in (("metrics", result["metrics"]), ("configuration differences", result["differences"])):
        table = Table(title=title, title_justify="left", title_style="bold")
        table.add_column("")
        for name in runs:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(row["name"], *(_cell(value) for value in row["values"]))
        out.print(table)


def _cell(value: object, section: str) -> str:
    if value is None:
        return ""
    if section == "steps":
        return str(value)[:12]
    return f"{value:.4g}" if isinstance(value, float) else str(value)
