"""Keys: what a step's result depends on, as one hash.

A step's *recipe* is the part of the resources that it reads, laid out as in the spec, so that a
difference between two recipes is a path a person can find in a file. Its *key* is the SHA-256 of
the RFC 8785 canonical JSON of recipe, recipe version and the keys of its inputs: a Merkle chain,
known before anything runs. Equal keys mean equal work, on whatever engine and store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import rfc8785


def key_of(step: str, version: int, recipe: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """The key of one step.

    >>> key_of("convert", 1, {"family": "burgers1d"}, {"raw": "00"})[:12]
    '090622d81ee2'
    """
    described = {"step": step, "version": version, "recipe": dict(recipe), "inputs": dict(inputs)}
    return hashlib.sha256(rfc8785.dumps(described)).hexdigest()


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested JSON with their dotted paths; an item of a list goes by its name if it has one.

    >>> dict(flatten({"stages": [{"name": "operator", "lr": 0.1}], "dilations": [1, 2]}))
    {'dilations[0]': 1, 'dilations[1]': 2, 'stages.operator.lr': 0.1}
    """
    if isinstance(value, Mapping) and value:
        for name in sorted(value):
            yield from flatten(value[name], f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            if isinstance(item, Mapping) and isinstance(item.get("name"), str):
                rest = {name: inner for name, inner in item.items() if name != "name"}
                yield from flatten(rest, f"{path}.{item['name']}")
            else:
                yield from flatten(item, f"{path}[{index}]")
    elif path:
        yield path, value


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Each leaf that differs, with both values.

    >>> differences({"config": {"lr": 0.001}}, {"config": {"lr": 0.0005}})
    ['config.lr 0.001 -> 0.0005']
    """
    before, after = dict(flatten(old)), dict(flatten(new))
    absent = object()

    def shown(value: Any) -> str:
        return "(none)" if value is absent else str(value)

    return [
        f"{path} {shown(before.get(path, absent))} -> {shown(after.get(path, absent))}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path, absent) != after.get(path, absent)
    ]


def reason(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> str:
    """Why a step runs, given what it was when this resource was last resolved.

    ``new`` and ``old`` hold ``key``, ``version``, ``recipe`` and ``inputs`` (role to key), ``old`` its
    ``state`` too; it is None where the step is new to the resource.
    """
    if old is None:
        return "first run"
    if old["key"] == new["key"]:
        return "its object is gone" if old["state"] == "cached" else "not finished before"
    if changes := differences(old["recipe"], new["recipe"]):
        shown = "; ".join(changes[:3])
        return shown if len(changes) <= 3 else f"{shown}; and {len(changes) - 3} more"
    if old["version"] != new["version"]:
        return f"recipe version {old['version']} -> {new['version']}"
    changed = sorted(
        role
        for role in new["inputs"].keys() | old["inputs"].keys()
        if new["inputs"].get(role) != old["inputs"].get(role)
    )
    return f"input {', '.join(changed)} changed"
