"""``ups export``: a surrogate in other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ups_workflows.cli.options import (
    ContextOption,
    EngineOption,
    NamespaceOption,
    RunArgument,
    StoreOption,
)


def export(
    run: RunArgument,
    to: Annotated[Path, typer.Option(metavar="FILE", help="File or, for safetensors, folder to write.")],
    format_: Annotated[
        Literal["safetensors", "torch-export", "onnx"],
        typer.Option("--format", help="Weights with their JSON, a program of torch.export, or ONNX."),
    ] = "safetensors",
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Write the surrogate of a run in another format, with its model card beside."""
    import subprocess
    import sys

    from ups_core.runs import analysis_uri, model_uri
    from ups_workflows.cli.runs import open_runs

    record, resource = open_runs(engine, store, namespace, context).find(run)
    command = [
        sys.executable,
        "-m",
        "ups_core.export",
        model_uri(record.store, resource),
        str(to),
        "--format",
        format_,
    ]
    if analysis := analysis_uri(record.store, resource):
        command += ["--analysis", analysis]
    raise typer.Exit(subprocess.run(command, check=False).returncode)
