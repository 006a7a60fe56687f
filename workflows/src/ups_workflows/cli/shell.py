"""``ups shell``: look around where a step runs."""

from __future__ import annotations

from typing import Annotated

import typer

from ups_workflows.cli.options import ContextOption, DatasetOption, NamespaceOption, RunArgument


def shell(
    run: RunArgument,
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step whose pod is meant.")],
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    dataset: DatasetOption = False,
) -> None:
    """Open a shell in a pod like that of a step: its image, volumes, environment, secrets and security.

    On a cluster only. The pod is deleted when the shell ends.
    """
    from ups_workflows.cluster.client import connect
    from ups_workflows.cluster.runs import ClusterRuns
    from ups_workflows.cluster.shell import shell as opened

    runs = ClusterRuns(connect(context), None, namespace)
    resource = runs.get(run, "Dataset" if dataset else "TrainingRun")
    raise typer.Exit(opened(runs.cluster, resource, step))
