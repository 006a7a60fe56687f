"""``ups pull``: a local copy of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ups_workflows.cli.options import (
    ContextOption,
    EngineOption,
    NamespaceOption,
    RunArgument,
    StoreOption,
)


def pull(
    run: RunArgument,
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the copy goes; may be a store itself.")],
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    data: Annotated[bool, typer.Option("--data", help="The dataset's objects too.")] = False,
) -> None:
    """Copy a run's record, model, evaluation and analysis into a local store, hashes checked."""
    from ups_core.store import copy_object, open_store
    from ups_workflows.cli.runs import open_runs
    from ups_workflows.cli.show import err

    record, resource = open_runs(engine, store, namespace, context).find(run)
    source, target = record.store, open_store(str(to))
    wanted = ("train", "evaluate", "analyze") if not data else ("",)
    for item in resource.get("status", {}).get("artifacts", []):
        if item["name"].startswith(wanted):
            copy_object(source, target, "objects/" + item["uri"].rpartition("objects/")[2])
            err.print(f"{item['name']}: {item['digest'][:12]}")
    count = 0
    for entry in source.list(record.prefix + "/"):
        if "/checkpoints/" not in entry.path:
            target.put(entry.path, source.get(entry.path))
            count += 1
    where = "" if engine == "local" else f" --engine local -n {resource['metadata']['namespace']}"
    err.print(f"record: {count} files; look at it with: ups status {run}{where} --store {to}")
