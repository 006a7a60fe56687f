"""``ups check``: every check that needs no compute, all findings at once."""

from __future__ import annotations

import typer

from ups_workflows.cli.options import FileArgument, OutputOption, SetOption, StoreOption


def check(
    file: FileArgument, store: StoreOption = None, set_: SetOption = None, output: OutputOption = "table"
) -> None:
    """Check a file, its sources and the store. The exit code is the lowest of what was found."""
    from ups_core.api.load import load
    from ups_core.errors import UpsError
    from ups_core.preflight.checks import findings
    from ups_workflows.cli.options import store_uri
    from ups_workflows.cli.render import structured
    from ups_workflows.cli.running import store_of
    from ups_workflows.cli.show import err

    found: list[UpsError] = []
    try:
        resources = load(file, tuple(set_ or ()))
        found = findings(resources, store_uri(store, store_of(resources)))
    except UpsError as error:
        found = [error]
    if output != "table":
        structured([error.to_dict() for error in found], output)
    for error in found if output == "table" else []:
        err.print(str(error), markup=False)
    if not found and output == "table":
        err.print(f"{file}: nothing found")
    raise typer.Exit(min((error.exit_code for error in found), default=0))
