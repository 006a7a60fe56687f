"""Runs beside each other: what they were asked, what they reached, which steps they share. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ups_core.analyze.complete import markdown_table
from ups_core.analyze.numbers import number
from ups_core.keys import flatten

#: Metrics of which less is better end in one of these.
ERRORS = ("nrmse", "rel_l2", "max_error", "conservation_drift", "diverged", "undefined")


class Row(TypedDict):
    """One line of the comparison; ``values`` are in the order of the runs, None where a run has none.

    ``section`` is ``metrics``, ``configuration`` (only what differs) or ``steps`` (digests). ``best``
    is the index of the smallest value of an error, None for all else and where all are equal.
    """

    section: str
    name: str
    values: list[Any]
    best: int | None


def compare(runs: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Compare runs, each ``{name, spec, metrics, steps}``.

    ``spec`` is the resource's spec as plain data, or several under their kinds; ``metrics`` is flat;
    ``steps`` are ``{name, key, digest}``. Configuration paths are dotted; an item of a list is called
    by its name where it has one (``stages.operator.config.lr``), else by its place (``peers[0]``).
    """
    rows: list[Row] = []
    for name in _union(run.get("metrics", {}) for run in runs):
        values = [run.get("metrics", {}).get(name) for run in runs]
        rows.append({"section": "metrics", "name": name, "values": values, "best": _best(name, values)})
    flat = [dict(flatten(run.get("spec", {}))) for run in runs]
    for name in sorted(_union(flat)):
        values = [one.get(name) for one in flat]
        if any(value != values[0] or type(value) is not type(values[0]) for value in values):
            rows.append({"section": "configuration", "name": name, "values": values, "best": None})
    digests = [{step["name"]: step.get("digest") for step in run.get("steps", [])} for run in runs]
    for name in _union(digests):
        rows.append(
            {"section": "steps", "name": name, "values": [d.get(name) for d in digests], "best": None}
        )
    return rows


def to_markdown(runs: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> str:
    """The comparison as tables to paste."""
    names = [str(run["name"]) for run in runs]
    out = []
    for section in ("metrics", "configuration", "steps"):
        lines = [
            [row["name"], *(_cell(row, i) for i in range(len(names)))]
            for row in rows
            if row["section"] == section
        ]
        if lines:
            out.append(markdown_table([section.capitalize(), *names], lines))
    return "\n\n".join(out) + "\n"


def _cell(row: Row, i: int) -> str:
    value = row["values"][i]
    if value is None:
        return "–"
    if row["section"] == "steps":
        return str(value)[:12]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return number(value) if row["section"] == "metrics" else f"{value:g}"


def _best(name: str, values: Sequence[float | None]) -> int | None:
    given = [value for value in values if value is not None]
    if not name.endswith(ERRORS) or len(given) < 2 or min(given) == max(given):
        return None
    return values.index(min(given))


def _union(maps: Any) -> list[str]:
    return list(dict.fromkeys(name for one in maps for name in one))
