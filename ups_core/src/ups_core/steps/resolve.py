"""``resolve``: the first step of every plan. Fingerprints the sources and computes every key.

It decides, before anything expensive starts, which steps are published already, which must run and
why, and which nobody needs. Its answer lies as ``plan.json`` in the record of each resource, where
the next ``resolve`` finds what to compare with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ups_core.data.sources import fingerprint
from ups_core.errors import InvalidSpec
from ups_core.keys import key_of, reason
from ups_core.runs import find_run, model_paths
from ups_core.steps import STEPS
from ups_core.steps.context import PLAN, StepContext
from ups_core.steps.record import begin
from ups_core.store import PublishedObject, RunRecord, Store, find, open_object


def run(ctx: StepContext) -> dict[str, Any]:
    """Returns counts, and the names of what runs: all that an engine needs to know.

    Shards are told by number, since a thousand names would not fit into a result.
    """
    resolved = resolve(ctx.store, ctx.options["steps"], ctx.options.get("salts", {}))
    by_record: dict[str, dict[str, Any]] = {}
    for name, step in resolved.items():
        by_record.setdefault(step["record"], {})[name] = step
    for record, steps in by_record.items():
        RunRecord(ctx.store, record).write_json(PLAN, {"steps": steps})
    if "resource" in ctx.options:
        begin(ctx.record, ctx.options["resource"], ctx.spec.attempt)
    states = [step["state"] for step in resolved.values()]
    running = [step for step in resolved.values() if step["state"] == "runs"]
    return {
        **{state: states.count(state) for state in ("cached", "runs", "unneeded")},
        "steps": [step["name"] for step in running if step["name"] == step["group"]],
        "shards": [step["recipe"]["shard"] for step in running if step["name"] != step["group"]],
    }


def resolve(store: Store, steps: list[dict[str, Any]], salts: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Everything that ``run`` finds out; reads the store and the sources, writes nothing.

    ``steps`` are in topological order; ``salts`` maps the name of a step to a random string that
    makes its key new. The result maps a name to the step with its inputs as object paths and
    ``key``, ``version``, ``state`` (``cached``, ``runs`` or ``unneeded``) and ``reason``.
    """
    steps = with_initial_models(store, dealt(steps))
    prints = {s["name"]: fingerprint(s["options"]["source"]) for s in steps if s["step"] == "fetch"}
    keyed = with_keys(steps, prints, salts)
    records = {step["record"] for step in steps}
    before = {r: RunRecord(store, r).read_json(PLAN, {"steps": {}})["steps"] for r in records}
    published = {
        n: s["key"] is not None and find(store, s["step"], s["key"]) is not None for n, s in keyed.items()
    }
    return with_states(keyed, published.__getitem__, before, salts)


def dealt(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every shard as a step of its own, taken by whoever takes the whole. Pure.

    ``group`` is the name that the plan has for it, and that ``--force`` and ``--only`` go by.

    >>> simulate = {"name": "simulate", "step": "simulate", "recipe": {}, "inputs": {}, "shards": 2}
    >>> convert = {"name": "convert", "step": "convert", "recipe": {}, "inputs": {"raw": "simulate"}}
    >>> [(step["name"], step["inputs"]) for step in dealt([simulate, convert])][1:]
    [('simulate-1', {}), ('convert', {'raw-0': 'simulate-0', 'raw-1': 'simulate-1'})]
    """
    shards = {step["name"]: step.get("shards", 1) for step in steps}
    out: list[dict[str, Any]] = []
    for step in steps:
        inputs: dict[str, str] = {}
        for role, giver in step["inputs"].items():
            if shards.get(giver, 1) == 1:
                inputs[role] = giver
            else:
                inputs |= {f"{role}-{i}": f"{giver}-{i}" for i in range(shards[giver])}
        whole = {name: value for name, value in step.items() if name != "shards"}
        whole |= {"group": step["name"], "inputs": inputs}
        if step["step"] != "simulate":
            out.append(whole)
            continue
        for shard in range(shards[step["name"]]):
            name = step["name"] if shards[step["name"]] == 1 else f"{step['name']}-{shard}"
            out.append({**whole, "name": name, "recipe": {**step["recipe"], "shard": shard}})
    return out


def with_initial_models(store: Store, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The model that a stage starts from, where ``spec.resumeFrom`` names one, as its input ``resume``."""
    wanted = [step for step in steps if "resumeFrom" in step["options"]]
    if not wanted:
        return steps
    models = initial_models(store, wanted[0])
    starting = {step["options"]["stage"] for step in wanted}
    if not starting & set(models):
        raise InvalidSpec(
            "no stage of this run can start from that model",
            where="spec.resumeFrom",
            found=f"a model of stage {', '.join(models) or 'none'}",
            expected=f"stage {', '.join(sorted(starting))}",
        )
    out: list[dict[str, Any]] = []
    for step in steps:
        model = models.get(step["options"].get("stage", "")) if step in wanted else None
        if model is not None:
            step = {
                **step,
                "inputs": {**step["inputs"], "resume": model.path},
                # The digest besides the key: one key may have two contents where a clock set the limit.
                "recipe": {**step["recipe"], "resumeFrom": model.digest},
            }
        out.append(step)
    return out


def initial_models(store: Store, step: Mapping[str, Any]) -> dict[str, PublishedObject]:
    """The published model that each stage starts from, by the name of the stage."""
    given = step["options"]["resumeFrom"]
    if "runRef" in given:
        namespace = step["record"].split("/")[1]
        _, resource = find_run(store, given["runRef"]["name"], namespace=namespace)
        paths = model_paths(resource)
    else:
        paths = [model_path(store, given["uri"])]
    models = [open_object(store, path) for path in paths]
    return {stage: model for model in models for stage in model.manifest.recipe.get("stages", {})}


def model_path(store: Store, uri: str) -> str:
    """``objects/train/<key>`` of a model's URI, which must be in this store."""
    matched = re.fullmatch(r"(?P<root>.*?)/?(?P<path>objects/train/[0-9a-f]{64})/?", uri)
    if not matched or matched["root"] not in ("", store.uri, store.uri.removeprefix("file://")):
        raise InvalidSpec(
            "this model cannot be resumed from",
            where="spec.resumeFrom.uri",
            found=uri,
            expected=f"{store.uri}/objects/train/<key>",
            fix=f"ups pull RUN --to {store.uri}, to have it in this store",
        )
    return matched["path"]


def with_keys(
    steps: list[dict[str, Any]], fingerprints: Mapping[str, list[dict[str, Any]]], salts: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Add keys, and turn the inputs from step names into object paths. Pure."""
    keyed: dict[str, dict[str, Any]] = {}
    for step in steps:
        name, kind = step["name"], STEPS[step["step"]]
        recipe = dict(step["recipe"])
        if name in fingerprints:
            recipe["files"] = fingerprints[name]
        if salt := salts.get(step.get("group", name)):
            recipe["salt"] = salt
        inputs = {
            role: giver
            if giver.startswith("objects/")
            else f"objects/{keyed[giver]['step']}/{keyed[giver]['key']}"
            for role, giver in step["inputs"].items()
        }
        keys = {role: path.rsplit("/", 1)[1] for role, path in inputs.items()}
        key = key_of(step["step"], kind.version, recipe, keys) if kind.version else None
        keyed[name] = {
            **step,
            "recipe": recipe,
            "inputs": inputs,
            "givers": sorted({giver for giver in step["inputs"].values() if giver in keyed}),
            "version": kind.version,
            "key": key,
        }
    return keyed


def with_states(
    keyed: Mapping[str, dict[str, Any]],
    published: Callable[[str], bool],
    before: Mapping[str, Mapping[str, Any]],
    salts: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    """Decide what runs and say why. Pure.

    A step that publishes nothing always runs. Another runs if it is not published and somebody that
    runs takes what it makes, or nobody takes it at all.
    """
    states: dict[str, dict[str, Any]] = {}
    taken_by: dict[str, list[str]] = {name: [] for name in keyed}
    for name, step in keyed.items():
        for giver in step["givers"]:
            taken_by[giver].append(name)
    for name in reversed(list(keyed)):
        step = keyed[name]
        old = before.get(step["record"], {}).get(name)
        if not step["version"]:
            state, why = "runs", "always runs"
        elif published(name):
            state, why = "cached", ""
        elif taken_by[name] and all(states[taker]["state"] != "runs" for taker in taken_by[name]):
            state, why = "unneeded", "all that is made from it is cached"
        else:
            old_inputs = old and {role: path.rsplit("/", 1)[1] for role, path in old["inputs"].items()}
            new_inputs = {role: path.rsplit("/", 1)[1] for role, path in step["inputs"].items()}
            why = reason(
                {**step, "inputs": new_inputs}, None if old is None else {**old, "inputs": old_inputs}
            )
            state, why = "runs", "forced" if step.get("group", name) in salts else why
        states[name] = {**step, "state": state, "reason": why}
    return {name: states[name] for name in keyed}
