"""``ups plan``: what would run, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ups_workflows.cli.options import (
    ContextOption,
    EngineOption,
    FileArgument,
    NamespaceOption,
    Output,
    OutputOption,
    SetOption,
    StoreOption,
)

if TYPE_CHECKING:
    from ups_core.api.load import Resources


def plan(
    file: FileArgument,
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    installation: Annotated[
        Path | None,
        typer.Option(
            metavar="F", help="Settings of the installation, instead of the cluster's. With argo only."
        ),
    ] = None,
    set_: SetOption = None,
    output: OutputOption = "table",
) -> None:
    """Show every step of a file: cached, or that it runs and for which reason. Changes nothing.

    With argo it prints the Workflows that the operator would create. Given the installation's settings,
    no cluster is asked.
    """
    from ups_core.api.load import load
    from ups_workflows.cli.running import in_namespace

    resources = in_namespace(load(file, tuple(set_ or ())), namespace)
    if engine == "argo":
        from ups_workflows.cluster.planned import print_workflows

        print_workflows(resources, store, context, installation, output)
    else:
        _print_steps(resources, store, output)


def _print_steps(resources: Resources, store: str | None, output: Output) -> None:
    from ups_core.steps.resolve import resolve
    from ups_core.store import open_store
    from ups_workflows.cli.options import store_uri
    from ups_workflows.cli.render import structured
    from ups_workflows.cli.running import store_of
    from ups_workflows.cli.show import out, plan_line
    from ups_workflows.jobs import jobs

    opened = open_store(store_uri(store, store_of(resources)))
    plans = []
    for job in jobs(resources, opened):
        steps = resolve(opened, [step.to_dict() for step in job.plan.steps], {})
        plans.append({"kind": job.main.kind, "name": job.main.metadata.name, "steps": list(steps.values())})
        if output == "table":
            out.print(f"[bold]{job.main.kind} {job.main.metadata.name}[/]")
            for name, step in steps.items():
                out.print("  " + plan_line(name, step))
    if output != "table":
        structured(plans, output)
