"""``ups predict``: use a trained surrogate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ups_workflows.cli.options import NamespaceOption, RunArgument, StoreOption, store_uri


def predict(
    run: RunArgument,
    input_: Annotated[
        Path,
        typer.Option("--input", metavar="F", help="npy file: initial states or inputs, (N,C,X[,Y]) float."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="F", help="npy file to write.")],
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Frames to predict; transient only.")
    ] = None,
    store: StoreOption = None,
    namespace: NamespaceOption = "default",
) -> None:
    """Predict with the surrogate of a run: roll out N frames, or solve a steady problem."""
    import subprocess
    import sys

    from ups_core.runs import find_run, model_uri
    from ups_core.store import open_store

    opened = open_store(store_uri(store))
    _, resource = find_run(opened, run, namespace=namespace)
    # In a process of its own, as steps are: this one imports no torch.
    command = [sys.executable, "-m", "ups_core.predict", model_uri(opened, resource), str(input_), str(out)]
    if steps is not None:
        command += ["--steps", str(steps)]
    raise typer.Exit(subprocess.run(command, check=False).returncode)
