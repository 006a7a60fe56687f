"""``resolve``: the first step of every plan. Fingerprints the sources and computes every key.

It decides, before anything expensive starts, which steps are published already, which must run and
why, and which nobody needs. Its answer lies as ``plan.json`` in the record of each resource, where
the next ``resolve`` finds what to compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ups_core.data.sources import fingerprint
from ups_core.keys import key_of, reason
from ups_core.steps import STEPS
from ups_core.steps.context import StepContext
from ups_core.store import RunRecord, Store, find

PLAN = "plan.json"


def run(ctx: StepContext) -> dict[str, Any]:
    resolved = resolve(ctx.store, ctx.options["steps"], ctx.options.get("salts", {}))
    by_record: dict[str, dict[str, Any]] = {}
    for name, step in resolved.items():
        by_record.setdefault(step["record"], {})[name] = step
    for record, steps in by_record.items():
        RunRecord(ctx.store, record).write_json(PLAN, {"steps": steps})
    states = [step["state"] for step in resolved.values()]
    return {state: states.count(state) for state in ("cached", "runs", "unneeded")}


def resolve(store: Store, steps: list[dict[str, Any]], salts: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Everything that ``run`` finds out; reads the store and the sources, writes nothing.

    ``steps`` are in topological order; ``salts`` maps the name of a step to a random string that
    makes its key new. The result maps a name to the step with its inputs as object paths and
    ``key``, ``version``, ``state`` (``cached``, ``runs`` or ``unneeded``) and ``reason``.
    """
    prints = {s["name"]: fingerprint(s["options"]["source"]) for s in steps if s["step"] == "fetch"}
    keyed = with_keys(steps, prints, salts)
    records = {step["record"] for step in steps}
    before = {r: RunRecord(store, r).read_json(PLAN, {"steps": {}})["steps"] for r in records}
    published = {
        n: s["key"] is not None and find(store, s["step"], s["key"]) is not None for n, s in keyed.items()
    }
    return with_states(keyed, published.__getitem__, before, salts)


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
        if name in salts:
            recipe["salt"] = salts[name]
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
            state, why = "runs", "forced" if name in salts else why
        states[name] = {**step, "state": state, "reason": why}
    return {name: states[name] for name in keyed}
