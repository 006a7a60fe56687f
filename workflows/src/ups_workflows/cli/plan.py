"""``ups plan``: what would run, and why."""

from __future__ import annotations

import typer

from ups_workflows.cli.options import FileArgument, OutputOption, SetOption, StoreOption


def plan(
    file: FileArgument, store: StoreOption = None, set_: SetOption = None, output: OutputOption = "table"
) -> None:
    """Show every step of a file: cached, or that it runs and for which reason. Changes nothing."""
    from ups_core.api.load import load
    from ups_core.steps.resolve import resolve
    from ups_core.store import open_store
    from ups_workflows.cli.options import store_uri
    from ups_workflows.cli.render import structured
    from ups_workflows.cli.running import store_of
    from ups_workflows.cli.show import out, plan_line
    from ups_workflows.jobs import jobs

    resources = load(file, tuple(set_ or ()))
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
    raise typer.Exit(0)
