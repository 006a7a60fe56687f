"""``ups-operator``: runs the operator, or does one thing for the chart."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

import kopf

from ups_core.errors import UpsError
from ups_operator import crds
from ups_operator.api import ApiError, KubernetesApi
from ups_operator.service import Operator
from ups_operator.settings import Settings
from ups_workflows.installation import Installation


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="ups-operator", description="The operator of UPS.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("run", help="serve TrainingRuns and Datasets until stopped")
    verbs.add_parser("crds", help="create or update the CustomResourceDefinitions")
    test = verbs.add_parser(
        "selftest", help="make a small Dataset and wait until it is ready, and gone again"
    )
    test.add_argument("--namespace", required=True, help="a namespace that runs are made in")
    test.add_argument("--timeout", type=float, default=300, help="seconds")
    args = parser.parse_args(argv)
    kopf.configure(log_format=kopf.LogFormat.PLAIN if sys.stderr.isatty() else kopf.LogFormat.JSON)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    try:
        if args.verb == "run":
            run(Settings.read())
        elif args.verb == "crds":
            asyncio.run(_crds())
        else:
            from ups_operator.selftest import selftest

            selftest(args.namespace, args.timeout)
    except UpsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except ApiError as error:
        print(f"the API server did not do what was asked: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def run(settings: Settings) -> None:
    """Serve until SIGTERM."""
    import ups_operator.main  # noqa: F401 - its decorators register the handlers

    operator = Operator(settings, Installation.read(settings.installation))
    kopf.run(
        memo=kopf.Memo(operator=operator),
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
    )


async def _crds() -> None:
    api = await KubernetesApi.connect()
    try:
        await crds.update(api)
    finally:
        await api.close()
