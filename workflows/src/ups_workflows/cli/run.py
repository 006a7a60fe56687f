"""``ups run``: plan and run a resource file, resuming what is unfinished."""

from __future__ import annotations

from typing import Annotated

import typer

from ups_workflows.cli.options import FileArgument, OutputOption, SetOption, StoreOption


def run(
    file: FileArgument,
    store: StoreOption = None,
    set_: SetOption = None,
    force: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP", help="Run this step or stage again, though it is published."),
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="STAGE", help="Run this stage or step alone.")] = None,
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage or step.")] = None,
    output: OutputOption = "table",
) -> None:
    """Run a file: a Dataset, a TrainingRun, or both. What is published already is not run again."""
    from ups_core.api.load import load
    from ups_workflows.cli.running import run_resources

    resources = load(file, tuple(set_ or ()))
    code = run_resources(resources, store, force=force or [], only=only, until=until, output=output)
    raise typer.Exit(code)
