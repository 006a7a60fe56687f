"""``ups``: plan, run and judge surrogates of physics.

A module a verb. At the top a verb imports typer alone; what it works with is imported when it is
called, so that ``ups --help`` costs nothing.
"""

from __future__ import annotations

import sys

import typer

from ups_workflows.cli import (
    check,
    compare,
    doctor,
    export,
    gc,
    init,
    logs,
    plan,
    predict,
    pull,
    report,
    run,
    shell,
    status,
    steer,
    verify,
)

app = typer.Typer(
    name="ups",
    help="Turn physics data into trained, judged surrogates: on this machine, or on Kubernetes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: the rich one costs as much time as all the rest
)
for verb in (
    init.init,
    check.check,
    plan.plan,
    run.run,
    status.status,
    logs.logs,
    steer.cancel,
    steer.resume,
    compare.compare,
    report.report,
    predict.predict,
    pull.pull,
    export.export,
    verify.verify,
    gc.gc,
    doctor.doctor,
    shell.shell,
):
    app.command()(verb)


def main() -> None:
    """Run the command; every expected error is one message and its documented exit code."""
    from ups_core.errors import EXIT_INTERRUPTED, UpsError

    try:
        app()
    except UpsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.exit(0)
