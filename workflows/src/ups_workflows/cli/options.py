"""Options that verbs share, so that they have one spelling and one help text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

Output = Literal["table", "json", "yaml"]
Engine = Literal["local", "argo"]

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="Resource file, the one kubectl apply takes.")
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Name of a TrainingRun.")]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", envvar="UPS_STORE", help="Store: s3://bucket/prefix, file:///path or a folder."),
]
EngineOption = Annotated[
    Engine, typer.Option("--engine", envvar="UPS_ENGINE", help="Where it runs: this machine, or a cluster.")
]
NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace. Default: default, or the one of the context."),
]
ContextOption = Annotated[
    str | None,
    typer.Option("--context", help="Context of the kubeconfig. Default: its current one. With argo only."),
]
DatasetOption = Annotated[bool, typer.Option("--dataset", help="RUN is the name of a Dataset.")]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Do not wait for the end of it. With argo only.")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Form of what goes to standard output.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="spec.PATH=VALUE",
        help="Change a field of the run; dataset.spec.PATH of the dataset.",
    ),
]

DEFAULT_STORE = "./ups-store"


def store_uri(given: str | None, spec: str | None = None) -> str:
    """The store in force: the option, else the resource's, else a folder here."""
    return given or spec or os.environ.get("UPS_STORE") or DEFAULT_STORE
