"""``ups doctor``: is everything there that runs need, and what mends what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ups_workflows.cli.options import ContextOption, EngineOption, NamespaceOption, OutputOption, StoreOption

if TYPE_CHECKING:
    from ups_workflows.cli.checks import Check


def doctor(
    store: StoreOption = None,
    engine: EngineOption = "local",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    output: OutputOption = "table",
) -> None:
    """Look at what runs need: versions and storage, and with argo the whole cluster.

    The exit code is the lowest of what failed; warnings leave it 0.
    """
    from dataclasses import asdict

    from ups_workflows.cli.render import structured

    found = _cluster(store, namespace, context) if engine == "argo" else _local(store)
    if output == "table":
        _print(found)
    else:
        structured([asdict(check) for check in found], output)
    raise typer.Exit(min((check.exit_code for check in found if check.level == "fail"), default=0))


def _local(store: str | None) -> list[Check]:
    from ups_workflows.cli.checks import storage, versions
    from ups_workflows.cli.options import store_uri

    return [*versions(), *storage(store_uri(store))]


def _cluster(store: str | None, namespace: str | None, context: str | None) -> list[Check]:
    from dataclasses import replace

    from ups_workflows.cli.checks import Check, storage
    from ups_workflows.cluster.checks import checks
    from ups_workflows.cluster.client import ClusterUnavailable, connect
    from ups_workflows.cluster.facts import fetch
    from ups_workflows.cluster.settings import installation, reach

    cluster = connect(context)
    cluster = replace(cluster, namespace=namespace or cluster.namespace)
    try:
        settings = installation(cluster)
    except ClusterUnavailable as error:
        return [Check.of(f"context {cluster.context}", error)]
    found = checks(fetch(cluster, settings.service_account))
    uri = store or settings.artifacts.store
    if uri is None:
        fix = "ups doctor --engine argo --store s3://bucket/prefix"
        return [*found, Check("storage", "warn", "the installation names no store that you may see", fix)]
    reach(settings.artifacts.endpoint, settings.artifacts.region)
    return [*found, *storage(uri)]


def _print(found: list[Check]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from ups_workflows.cli.show import out

    colors = {"ok": "green", "warn": "yellow", "fail": "red"}
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in found:
        table.add_row(f"[{colors[check.level]}]{check.level}[/]", check.name, escape(check.found))
        if check.level != "ok" and check.fix:
            table.add_row("", "", f"[dim]fix:[/] {escape(check.fix)}")
    out.print(table)
