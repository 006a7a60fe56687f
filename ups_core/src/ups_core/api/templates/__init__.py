"""Templates: whole resource files that run as they are, written by ``ups init``.

A run may also name one, ``spec.template``, and say only what it wants otherwise in
``spec.overrides``, a JSON merge patch (RFC 7396) whose stages are matched by name.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

from ups_core.errors import InvalidSpec

if TYPE_CHECKING:
    from ups_core.api.trainingrun import TrainingRun

#: What a template gives to a run that names it.
GIVES = ("stages", "evaluation", "analysis")


def template_names() -> list[str]:
    """Names of the shipped templates."""
    return sorted(
        f.name.removesuffix(".yaml")
        for f in files("ups_core.api.templates").iterdir()
        if f.name.endswith(".yaml")
    )


def template_text(name: str) -> str:
    """The resource file of a template. Raises :class:`InvalidSpec` (2) for an unknown name."""
    if name not in template_names():
        known = ", ".join(template_names())
        raise InvalidSpec("there is no such template", found=name, expected=known, fix="ups init --list")
    return files("ups_core.api.templates").joinpath(f"{name}.yaml").read_text()


@cache
def _given(name: str) -> dict[str, Any]:
    documents = yaml.safe_load_all(template_text(name))
    spec = next(d["spec"] for d in documents if d["kind"] == "TrainingRun")
    return {part: spec[part] for part in GIVES if part in spec}


def expanded(run: TrainingRun) -> TrainingRun:
    """A run with its template and overrides put into place; the run itself where it names none."""
    if run.spec.template is None:
        return run
    return type(run).model_validate({**run.to_dict(), "spec": expand(run.to_dict()["spec"])})


def expand(spec: dict[str, Any]) -> dict[str, Any]:
    """A run's spec with its template and overrides put into place."""
    if "template" not in spec:
        return spec
    rest = {name: value for name, value in spec.items() if name not in ("template", "overrides", *GIVES)}
    return {**rest, **merge(_given(spec["template"]), spec.get("overrides", {}))}


def merge(value: Any, patch: Any) -> Any:
    """RFC 7396, but lists of named items are merged by name.

    >>> merge({"a": 1, "stages": [{"name": "x", "n": 1}]}, {"a": None, "stages": [{"name": "x", "n": 2}]})
    {'stages': [{'name': 'x', 'n': 2}]}
    """
    if isinstance(value, list) and isinstance(patch, list) and _named(value) and _named(patch):
        by_name = {item["name"]: item for item in patch}
        kept = [merge(item, by_name.pop(item["name"], {})) for item in value]
        return [*kept, *by_name.values()]
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, item in patch.items():
        if item is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), item)
    return merged


def _named(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, dict) and "name" in item for item in items)
