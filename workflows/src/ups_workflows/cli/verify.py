"""``ups verify``: hash published objects again."""

from __future__ import annotations

from typing import Annotated

import typer

from ups_workflows.cli.options import StoreOption, store_uri


def verify(
    uri: Annotated[
        str | None,
        typer.Argument(metavar="[URI]", help="A store, or STORE/objects/STEP/KEY. Default: --store."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Re-hash every file of one object or of all and compare with the manifests."""
    from ups_core.errors import DataInvalid, NotFound
    from ups_core.store import open_store
    from ups_core.store import verify as verify_objects
    from ups_workflows.cli.show import err, out

    given = uri or ""
    root, _, path = given.rpartition("objects/") if "objects/" in given else (given, "", "")
    opened = open_store(root.rstrip("/") or store_uri(store))
    if not any(True for _ in opened.list("objects/" + path if path else "objects")):
        raise NotFound("nothing is published there", where=f"{opened.uri}/objects/{path}", fix="ups status")
    found = verify_objects(opened, f"objects/{path.rstrip('/')}" if path else None)
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
