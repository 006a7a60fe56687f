"""``publish``: the last step. Always runs, also when all else was cached.

For a Dataset it registers the version. For a TrainingRun it collects metrics and digests, completes
the report with what no object may hold (names, times, costs), and holds the gates.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ups_core.analyze.complete import complete
from ups_core.errors import GateFailed, NotFound
from ups_core.steps.context import StepContext
from ups_core.store import PublishedObject, Store, find, register


def run(ctx: StepContext) -> dict[str, Any]:
    objects = {name: found for name, path in ctx.spec.inputs.items() if (found := _find(ctx.store, path))}
    if "register" in ctx.options:
        return _publish_dataset(ctx, objects)
    return _publish_run(ctx, objects)


def _publish_dataset(ctx: StepContext, objects: Mapping[str, PublishedObject]) -> dict[str, Any]:
    splits = _needed(objects, "validate")
    wanted = ctx.options["register"]
    key = splits.manifest.key
    version = wanted.get("version") or key[:12]
    described = splits.json("dataset.json")
    entry = {
        "key": key,
        "digest": splits.digest,
        "object": splits.path,
        "data": f"objects/convert/{splits.manifest.inputs['data']['key']}",
        "family": described["family"],
        "registered": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    register(ctx.store, wanted["namespace"], wanted["name"], version, entry)
    return {
        "key": key,
        "digest": splits.digest,
        "version": version,
        "uri": ctx.store.url(f"datasets/{wanted['namespace']}/{wanted['name']}/{version}.json"),
        "splits": {name: split["samples"] for name, split in described["splits"].items()},
        "artifacts": _artifacts(objects),
    }


def _publish_run(ctx: StepContext, objects: Mapping[str, PublishedObject]) -> dict[str, Any]:
    evaluations = [found for name, found in objects.items() if found.manifest.step == "evaluate"]
    metrics = over_seeds([found.json("metrics.json") for found in evaluations])
    analysis = _needed(objects, "analyze")
    facts = {
        **ctx.options["facts"],
        "store": ctx.store.uri,
        "steps": _steps(ctx, objects),
        "cost": _cost(evaluations),
    }
    for name in ("report.html", "report.md"):
        text = complete(analysis.read(name).decode(), facts)
        ctx.store.put(ctx.record.path(f"report/{name}"), text.encode())
    result = {
        "metrics": metrics,
        "artifacts": _artifacts(objects),
        "report": ctx.store.url(ctx.record.path("report/report.html")),
    }
    if missed := [said for gate in ctx.options.get("gates", []) if (said := miss(gate, metrics))]:
        raise GateFailed(
            f"{len(missed)} of {len(ctx.options['gates'])} gates not met",
            where="spec.evaluation.gates",
            found="; ".join(missed),
            fix="train longer, or lower the threshold under a new name",
        )
    return result


def over_seeds(per_seed: list[dict[str, float]]) -> dict[str, float]:
    """The metrics of one seed; of several their means, and their standard deviations as ``*.std``."""
    if len(per_seed) == 1:
        return per_seed[0]
    together: dict[str, float] = {}
    for name in per_seed[0]:
        values = [metrics[name] for metrics in per_seed]
        together[name] = statistics.fmean(values)
        together[f"{name}.std"] = statistics.stdev(values)
    return together


def miss(gate: Mapping[str, Any], metrics: Mapping[str, float]) -> str | None:
    """How a gate is missed, or None where it is met."""
    for name in (gate["metric"], gate.get("relativeTo") or gate["metric"]):
        if name not in metrics:
            return f"no metric is called {name}; there are {', '.join(sorted(metrics))}"
    value, said = metrics[gate["metric"]], gate["metric"]
    if gate.get("relativeTo"):
        value, said = value / metrics[gate["relativeTo"]], f"{said} / {gate['relativeTo']}"
    if gate.get("max") is not None and not value <= gate["max"]:
        return f"{said} = {value:.4g}, at most {gate['max']:g} passes"
    if gate.get("min") is not None and not value >= gate["min"]:
        return f"{said} = {value:.4g}, at least {gate['min']:g} passes"
    return None


def _artifacts(objects: Mapping[str, PublishedObject]) -> list[dict[str, str]]:
    return [{"name": name, "uri": found.uri, "digest": found.digest} for name, found in objects.items()]


def _steps(ctx: StepContext, objects: Mapping[str, PublishedObject]) -> list[dict[str, Any]]:
    states = ctx.options.get("states", {})
    return [
        {
            "name": name,
            "key": found.manifest.key,
            "digest": found.digest,
            "cached": states.get(name, {}).get("state") == "cached",
            "reason": states.get(name, {}).get("reason", ""),
            "seconds": found.manifest.provenance.get("seconds"),
            "cpuSeconds": found.manifest.provenance.get("cpuSeconds"),
        }
        for name, found in objects.items()
    ]


def _cost(evaluations: list[PublishedObject]) -> dict[str, Any]:
    return evaluations[0].manifest.provenance.get("result", {}).get("cost", {})


def _find(store: Store, path: str) -> PublishedObject | None:
    _, step, key = path.split("/")
    return find(store, step, key)


def _needed(objects: Mapping[str, PublishedObject], step: str) -> PublishedObject:
    found = next((o for o in objects.values() if o.manifest.step == step), None)
    if found is None:
        raise NotFound(f"nothing was published by {step}", fix="run the plan again")
    return found
