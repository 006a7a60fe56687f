"""``ups verify``: hash published objects again."""

from __future__ import annotations

from typing import Annotated

import typer

from ups_workflows.cli.options import StoreOption, store_uri


def verify(
    uri: Annotated[
        str | None,
        typer.Argument(metavar="[URI]", help="An object, objects/STEP/KEY; all of the store without it."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Re-hash every file of one object or of all and compare with the manifests."""
    from ups_core.errors import DataInvalid
    from ups_core.store import open_store
    from ups_core.store import verify as verify_objects
    from ups_workflows.cli.show import err, out

    root, _, path = (uri or "").partition("/objects/")
    if uri and not path and uri.startswith("objects/"):
        root, path = "", uri.removeprefix("objects/")
    opened = open_store(root or store_uri(store))
    found = verify_objects(opened, f"objects/{path}" if path else None)
    for finding in found:
        out.print(
            f"{finding.object}/{finding.file}: found {finding.found}, expected {finding.expected}",
            markup=False,
        )
    if found:
        raise DataInvalid(
            f"{len(found)} files are damaged",
            where=opened.uri,
            fix=f"ups gc --damaged --apply --store {opened.uri}",
        )
    err.print("every file has its hash")
