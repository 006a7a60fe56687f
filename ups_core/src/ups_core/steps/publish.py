"""``publish``: the last step. Always runs, also when all else was cached.

For a Dataset it registers the version. For a TrainingRun it collects metrics and digests, completes
the report with what no object may hold (names, times, costs), and holds the gates.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ups_core.analyze.complete import complete
from ups_core.errors import GateFailed
from ups_core.steps.context import PLAN, StepContext
from ups_core.steps.record import end
from ups_core.store import PublishedObject, RunRecord, find, open_object, register


def run(ctx: StepContext) -> dict[str, Any]:
    if "register" in ctx.options:
        published = _publish_dataset(ctx)
        if "resource" in ctx.options:
            end(ctx.record, published, phase="Ready")
        return published
    published, missed = _publish_run(ctx)
    if "resource" in ctx.options:
        end(ctx.record, published, phase="Failed" if missed else "Succeeded")
    if missed:
        raise GateFailed(
            f"{len(missed)} of {len(ctx.options['gates'])} gates not met",
            where="spec.evaluation.gates",
            found="; ".join(missed),
            fix="train longer, or change the gate",
            result=published,
        )
    return published


def _publish_dataset(ctx: StepContext) -> dict[str, Any]:
    steps = _planned(ctx)
    splits = _needed(ctx, "validate")
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
    samples = {name: split["samples"] for name, split in described["splits"].items()}
    return {
        "key": key,
        "digest": splits.digest,
        "version": version,
        "uri": ctx.store.url(f"datasets/{wanted['namespace']}/{wanted['name']}/{version}.json"),
        "splits": samples,
        "samples": sum(samples.values()),
        **_arrays(ctx, entry["data"]),
        "artifacts": _artifacts(steps),
    }


def _publish_run(ctx: StepContext) -> tuple[dict[str, Any], list[str]]:
    """What was reached, and how gates are missed."""
    steps = _planned(ctx)
    evaluations = [_needed(ctx, name) for name in ctx.spec.inputs if name.startswith("evaluate")]
    metrics = over_seeds([found.json("metrics.json") for found in evaluations])
    analysis = _needed(ctx, "analyze")
    _, namespace, _, name, uid = ctx.spec.record.split("/")
    facts = {
        "resources": ctx.options["resources"],
        "commands": [f"ups run {name}.yaml", f"ups status {name}", f"ups verify --store {ctx.store.uri}"],
        "run": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "attempt": ctx.spec.attempt,
            "seeds": seeds_told(metrics, len(evaluations)),
        },
        "store": ctx.store.uri,
        "steps": [_told(step) for step in steps],
        "cost": {**_result(evaluations[0]).get("cost", {}), "spent": spent(steps)},
    }
    for report in ("report.html", "report.md"):
        text = complete(analysis.read(report).decode(), facts).encode()
        ctx.store.put(ctx.record.path(f"report/{report}"), text)
        if report == "report.html" and "reportFile" in ctx.options:
            Path(ctx.options["reportFile"]).write_bytes(text)  # where Argo takes it from, to show it
    for name in analysis.manifest.files:
        if name.startswith("films/"):  # the report names them beside itself
            ctx.store.put(ctx.record.path(f"report/{name}"), analysis.read(name))
    published = {
        "metrics": metrics,
        "artifacts": _artifacts(steps),
        "datasetKey": analysis.manifest.inputs["splits"]["key"],
        "report": ctx.store.url(ctx.record.path("report/report.html")),
    }
    gates = ctx.options.get("gates", [])
    return published, [said for gate in gates if (said := miss(gate, metrics))]


def spent(steps: list[Planned]) -> dict[str, float]:
    """CPU-seconds that training of one surrogate, of its trained peer, and simulation of the data took."""
    found: dict[str, float] = {}
    for planned in steps:
        if planned.found is None:
            continue
        if planned.step["step"] == "train" and "-seed" not in planned.name:
            what, seconds = "fno" if planned.name == "train-fno" else "training", _result(planned.found)
            found[what] = found.get(what, 0.0) + seconds.get("cpuSeconds", 0.0)
        elif planned.step["step"] == "simulate":
            found["data"] = found.get("data", 0.0) + planned.found.manifest.provenance.get("cpuSeconds", 0.0)
    return found


def _result(found: PublishedObject) -> dict[str, Any]:
    """The small result of the step that made an object."""
    return found.manifest.provenance.get("result", {})


def over_seeds(per_seed: list[dict[str, float]]) -> dict[str, float]:
    """The metrics of one seed; of several their means, and their standard deviations as ``*.std``.

    A metric that one seed lacks, since its rollout diverged, has no mean and is left out.
    """
    if len(per_seed) == 1:
        return per_seed[0]
    together: dict[str, float] = {}
    for name in per_seed[0]:
        values = [metrics[name] for metrics in per_seed if name in metrics]
        if len(values) == len(per_seed):
            together[name] = statistics.fmean(values)
            together[f"{name}.std"] = statistics.stdev(values)
    return together


def seeds_told(metrics: dict[str, float], seeds: int) -> str | None:
    """What a report that draws one seed says of the others."""
    if seeds == 1:
        return None
    own = [name for name in ("rollout.nrmse", "rel_l2") if f"{name}.std" in metrics]
    # The classical peers are the same for every seed.
    spreads = own + [name for name in (f"fno.{o}" for o in own) if metrics.get(f"{name}.std")]
    told = ", ".join(f"{name} {metrics[name]:.3g} ± {metrics[f'{name}.std']:.1g}" for name in spreads)
    return f"{seeds}; mean and standard deviation: {told}. What is drawn below is the first seed"


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


class Planned(NamedTuple):
    """A step as ``resolve`` left it, and its object where there is one."""

    name: str
    step: dict[str, Any]
    found: PublishedObject | None


def _planned(ctx: StepContext) -> list[Planned]:
    """Every step of the plan that publishes, the dataset's too, in order."""
    steps: dict[str, dict[str, Any]] = {}
    for record in ctx.options["records"]:
        steps |= RunRecord(ctx.store, record).read_json(PLAN, {"steps": {}})["steps"]
    return [
        Planned(name, step, find(ctx.store, step["step"], step["key"]))
        for name, step in steps.items()
        if step["key"]
    ]


def _needed(ctx: StepContext, role: str) -> PublishedObject:
    return open_object(ctx.store, ctx.spec.inputs[role])


def _arrays(ctx: StepContext, path: str) -> dict[str, Any]:
    """Size of the converted data, and name, shape and dtype of each array of all files together."""
    data = open_object(ctx.store, path)
    arrays: dict[str, dict[str, Any]] = {}
    for file in data.json("index.json")["files"]:
        for name, facts in file["arrays"].items():
            if name not in arrays:
                arrays[name] = {"name": name, "dtype": facts["dtype"], "shape": list(facts["shape"])}
            elif facts["axes"].startswith("N"):
                arrays[name]["shape"][0] += facts["shape"][0]
    return {"sizeBytes": data.manifest.size, "arrays": list(arrays.values())}


def _artifacts(steps: list[Planned]) -> list[dict[str, str]]:
    """All that was published but the raw data, of which there may be a thousand shards."""
    kept = [s for s in steps if s.step["step"] not in ("simulate", "fetch")]
    return [{"name": s.name, "uri": s.found.uri, "digest": s.found.digest} for s in kept if s.found]


def _told(planned: Planned) -> dict[str, Any]:
    """A step as the report tells of it."""
    found = planned.found
    return {
        "name": planned.name,
        "key": planned.step["key"],
        "digest": found.digest if found else None,
        "cached": planned.step["state"] == "cached",
        "reason": planned.step["reason"],
        "seconds": found.manifest.provenance.get("seconds") if found else None,
        "cpuSeconds": found.manifest.provenance.get("cpuSeconds") if found else None,
    }
