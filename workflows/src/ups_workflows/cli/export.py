"""``ups export``: a surrogate in other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ups_workflows.cli.options import NamespaceOption, RunArgument, StoreOption, store_uri


def export(
    run: RunArgument,
    to: Annotated[Path, typer.Option(metavar="FILE", help="File or, for safetensors, folder to write.")],
    format_: Annotated[
        Literal["safetensors", "torch-export"],
        typer.Option("--format", help="Weights with their JSON, or a program of torch.export (.pt2)."),
    ] = "safetensors",
    store: StoreOption = None,
    namespace: NamespaceOption = "default",
) -> None:
    """Write the surrogate of a run to a file of another format."""
    import subprocess
    import sys

    from ups_core.runs import find_run, model_uri
    from ups_core.store import open_store

    opened = open_store(store_uri(store))
    _, resource = find_run(opened, run, namespace=namespace)
    command = [
        sys.executable,
        "-m",
        "ups_core.export",
        model_uri(opened, resource),
        str(to),
        "--format",
        format_,
    ]
    raise typer.Exit(subprocess.run(command, check=False).returncode)
