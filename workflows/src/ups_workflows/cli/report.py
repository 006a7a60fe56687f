"""``ups report``: the report of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from ups_workflows.cli.options import NamespaceOption, RunArgument, StoreOption, store_uri


def report(
    run: RunArgument,
    store: StoreOption = None,
    namespace: NamespaceOption = "default",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown, to paste.")] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Say where it is, and open no browser.")] = False,
) -> None:
    """Open the report in a browser, or print it as Markdown."""
    import webbrowser
    from pathlib import Path

    from ups_core.runs import find_run
    from ups_core.store import open_store
    from ups_workflows.cli.show import out

    opened = open_store(store_uri(store))
    record, _ = find_run(opened, run, namespace=namespace)
    if markdown:
        out.print(opened.get(record.path("report/report.md")).decode(), markup=False)
        return
    path = opened.local_path(record.path("report/report.html"))
    if path is None:
        path = Path.cwd() / f"{run}-report.html"
        opened.get_file(record.path("report/report.html"), path)
    elif not path.exists():
        opened.get(record.path("report/report.html"))  # raises what a person should read
    out.print(str(path), markup=False)
    if not no_open:
        webbrowser.open(path.as_uri())
