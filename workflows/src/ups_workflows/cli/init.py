"""``ups init``: a commented resource file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    template: Annotated[
        str, typer.Argument(metavar="[TEMPLATE]", help="Which template; see --list.")
    ] = "burgers1d",
    to: Annotated[Path | None, typer.Option(help="File to write. Default: TEMPLATE.yaml.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the templates and end.")] = False,
) -> None:
    """Write a commented resource file that runs as it is."""
    from ups_core.api.templates import template_names, template_text
    from ups_core.errors import InvalidSpec
    from ups_workflows.cli.show import err, out

    if list_:
        for name in template_names():
            out.print(name, template_text(name).splitlines()[0].removeprefix("# "), sep="  ")
        return
    path = to or Path(f"{template}.yaml")
    text = template_text(template)
    try:
        with path.open("x") as file:
            file.write(text)
    except OSError as error:
        raise InvalidSpec(
            "the file cannot be written",
            where=path,
            found=error.strerror,
            fix=f"ups init {template} --to OTHER.yaml",
        ) from error
    err.print(f"wrote {path}; run it with: ups run {path}")
