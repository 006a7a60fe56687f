"""``ups gc``: free what nothing reaches."""

from __future__ import annotations

from typing import Annotated

import typer

from ups_workflows.cli.options import StoreOption, store_uri


def gc(
    store: StoreOption = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Delete. Without it, only say what would go.")
    ] = False,
    damaged: Annotated[
        bool,
        typer.Option(
            "--damaged", help="Remove the manifests of damaged objects, so that they are made again."
        ),
    ] = False,
    older_than_days: Annotated[float, typer.Option(min=0, help="Keep what is younger.")] = 7,
) -> None:
    """Free objects that no registered dataset and no kept run reaches. Dry without --apply."""
    import time

    from ups_core.runs import reached
    from ups_core.store import gc as collect
    from ups_core.store import open_store
    from ups_workflows.cli.show import err, out

    opened = open_store(store_uri(store))
    removals = collect(
        opened,
        live=reached(opened),
        older_than_days=older_than_days,
        damaged=damaged,
        apply=apply,
        now=time.time(),
    )
    for removal in removals:
        out.print(f"{removal.path}  {removal.reason}", markup=False)
    verb = "removed" if apply else "would be removed; add --apply"
    err.print(f"{len(removals)} {verb}")
