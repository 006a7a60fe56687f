"""``ups predict``: use a trained surrogate."""

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


def predict(
    run: RunArgument,
    input_: Annotated[
        Path,
        typer.Option(
            "--input", metavar="F", help="npy, npz, HDF5 or Zarr: initial states or inputs, (N,C,X[,Y])."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="F", help="npy file to write.")],
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Frames to predict; transient only.")
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(metavar="K", min=1, help="Frames in a step: those in between are not predicted."),
    ] = None,
    extrapolate: Annotated[
        bool,
        typer.Option("--extrapolate", help="Answer parameters and values far outside of training, too."),
    ] = False,
    members: Annotated[
        int | None,
        typer.Option(
            metavar="M", min=2, help="Draw M members: their mean, and their standard deviation in F.std.npy."
        ),
    ] = None,
    search: Annotated[
        bool | None,
        typer.Option(
            "--search/--no-search",
            help="Search among the samples, or take their mean. Default: search where that stage was kept.",
        ),
    ] = None,
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Predict with the surrogate of a run: roll out N frames, or solve a steady problem."""
    import subprocess
    import sys

    from ups_core.runs import model_uri
    from ups_workflows.cli.runs import open_runs

    record, resource = open_runs(engine, store, namespace, context).find(run)
    model = model_uri(record.store, resource)
    # In a process of its own, as steps are: this one imports no torch.
    command = [sys.executable, "-m", "ups_core.predict", model, str(input_), str(out)]
    if steps is not None:
        command += ["--steps", str(steps)]
    if every is not None:
        command += ["--every", str(every)]
    if extrapolate:
        command.append("--extrapolate")
    if members is not None:
        command += ["--members", str(members)]
    if search is not None:
        command.append("--search" if search else "--no-search")
    raise typer.Exit(subprocess.run(command, check=False).returncode)
