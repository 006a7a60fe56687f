"""``ups run``: plan and run a resource file, resuming what is unfinished."""

from __future__ import annotations

from typing import Annotated

import typer

from ups_workflows.cli.options import (
    ContextOption,
    DetachOption,
    EngineOption,
    FileArgument,
    NamespaceOption,
    OutputOption,
    SetOption,
    StoreOption,
)


def run(
    file: FileArgument,
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    detach: DetachOption = False,
    set_: SetOption = None,
    force: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP", help="Run this step or stage again, though it is published. Local only."
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Run this stage or step alone. Local only.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Stop after this stage or step. Local only.")
    ] = None,
    output: OutputOption = "table",
) -> None:
    """Run a file: a Dataset, a TrainingRun, or both. What is published already is not run again.

    On a cluster the resources are applied to it and followed to their end; Ctrl-C leaves them running.
    """
    from ups_core.api.load import load
    from ups_workflows.cli.runs import Asked, open_runs

    resources = load(file, tuple(set_ or ()))
    runs = open_runs(engine, store, namespace, context)
    asked = Asked(output, detach, tuple(force or ()), only, until)
    raise typer.Exit(runs.run(resources, asked))
