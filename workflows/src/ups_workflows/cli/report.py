"""``ups report``: the report of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from ups_workflows.cli.options import (
    ContextOption,
    EngineOption,
    NamespaceOption,
    RunArgument,
    StoreOption,
)


def report(
    run: RunArgument,
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown, to paste.")] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Say where it is, and open no browser.")] = False,
) -> None:
    """Open the report in a browser, or print it as Markdown.

    From a bucket it is downloaded with its films, into the folder NAME-report where you are.
    """
    import webbrowser
    from pathlib import Path

    from ups_workflows.cli.runs import open_runs
    from ups_workflows.cli.show import out

    record, _ = open_runs(engine, store, namespace, context).find(run)
    opened = record.store
    if markdown:
        out.print(opened.get(record.path("report/report.md")).decode(), markup=False)
        return
    opened.head(record.path("report/report.html"))  # raises what a person should read
    path = opened.local_path(record.path("report/report.html"))
    if path is None:
        path = Path.cwd() / f"{run}-report" / "report.html"
        root = record.path("report/")
        for entry in opened.list(root):
            opened.get_file(entry.path, path.parent / entry.path.removeprefix(root))
    out.print(str(path), markup=False)
    if not no_open:
        webbrowser.open(path.as_uri())
