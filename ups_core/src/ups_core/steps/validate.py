"""``validate``: refuse what is not physics, and deal the initial states out to the splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ups_core.data import extremes
from ups_core.data.canonical import open_arrays, read_json, write_json
from ups_core.data.families import family as family_of
from ups_core.data.families.base import Family
from ups_core.data.splits import Sample, Splits, check_where, shared_states, split
from ups_core.data.validate import Findings, check_file, parameter_values
from ups_core.errors import DataInvalid
from ups_core.steps.context import StepContext


def run(ctx: StepContext) -> dict[str, Any]:
    """Publishes ``report.json``, ``splits.json`` and ``dataset.json`` of the converted data ``data``."""
    family = family_of(ctx.recipe["family"])
    check_where(ctx.recipe["splits"], family)
    folder = ctx.inputs["data"].folder(ctx.work)
    index, states = read_json(folder / "index.json"), read_json(folder / "states.json")
    if index["family"] != family.name:
        raise DataInvalid(
            "the converted data are of another family",
            found=index["family"],
            expected=family.name,
            fix="convert again",
        )
    findings, files, samples = Findings(), {}, []
    statistics = extremes.asked(ctx.recipe["splits"])
    initial = extremes.InitialStates(family, statistics) if statistics else None
    total = sum(_size(entry) for entry in index["files"])
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        ctx.progress(done, max(total, done), "validate")

    for entry in index["files"]:
        files[entry["name"]] = check_file(
            folder, entry, family, ctx.recipe.get("validation", {}), findings, advance, initial
        )
        with open_arrays(folder, entry) as arrays:
            parameters = parameter_values(arrays, entry, family)
        samples += [
            Sample(
                entry["name"],
                entry["source"],
                i,
                state,
                {name: float(v[i]) for name, v in parameters.items()},
            )
            for i, state in enumerate(states[entry["name"]])
        ]
    findings.raise_if_any()
    if initial is not None:
        values = initial.values()
        samples = [each._replace(statistics=own) for each, own in zip(samples, values, strict=True)]
    splits = split(samples, ctx.recipe["splits"], ctx.recipe.get("seed", 0))
    if shared := shared_states(splits.samples):  # a bug of ours, but one that must never be trained on
        raise DataInvalid("splits share initial states", found=sorted(shared), expected="none")
    report = {
        "files": files,
        "splits": {
            name: {
                "samples": len(each),
                "states": len({sample.state for sample in each}),
                "dropped": splits.dropped[name],
                **_how_far(ctx.recipe["splits"][name], each, splits.samples["train"]),
            }
            for name, each in splits.samples.items()
        },
        "initial_states": len({sample.state for sample in samples}),
        "shared_initial_states": 0,
    }
    write_json(ctx.out / "report.json", report)
    write_json(ctx.out / "splits.json", splits.to_json())
    described = {"family": ctx.recipe["family"], **describe(family, index, splits)}
    write_json(ctx.out / "dataset.json", described)
    return {"samples": len(samples), "splits": {name: len(each) for name, each in splits.samples.items()}}


def _how_far(rule: Any, samples: list[Sample], train: list[Sample]) -> dict[str, Any]:
    """Of a test set of extreme states: how they compare with those of train."""
    statistic = rule.get("largest") if isinstance(rule, Mapping) else None
    return {"extreme": extremes.how_far(statistic, samples, train)} if statistic else {}


def describe(family: Family, index: dict[str, Any], splits: Splits) -> dict[str, Any]:
    """``dataset.json``: what the data set is, in one small file."""
    entries = {entry["name"]: entry for entry in index["files"]}

    def of_split(samples: list[Sample]) -> dict[str, Any]:
        shapes = {tuple(entries[sample.file]["arrays"]["u"]["shape"][1:]) for sample in samples}
        values = {
            name: np.unique([sample.parameters[name] for sample in samples]).tolist()
            for name in family.parameters
        }
        return {
            "samples": len(samples),
            "shapes": sorted(map(list, shapes)),
            "parameters": {
                name: each if len(each) <= 32 else [each[0], each[-1]] for name, each in values.items()
            },
            "files": sorted({entries[sample.file]["source"] for sample in samples}),
        }

    return {
        "title": family.title,
        "kind": family.kind,
        "steady": family.steady,
        "space": family.space,
        "fields": [{"name": f.name, "unit": f.unit, "label": f.label} for f in family.fields],
        "inputs": [{"name": f.name, "unit": f.unit, "label": f.label} for f in family.inputs],
        "parameters": list(family.parameters),
        "boundary": dict(family.boundary),
        **_of_particles(family),
        "files": [
            {"name": e["name"], "source": e["source"], "samples": e["samples"], "arrays": e["arrays"]}
            for e in index["files"]
        ],
        "splits": {name: of_split(samples) for name, samples in splits.samples.items()},
        "dropped": dict(splits.dropped),
    }


def _of_particles(family: Family) -> dict[str, Any]:
    """What only they have."""
    if not family.positions:
        return {}
    return {
        "positions": list(family.positions),
        "velocities": list(family.velocities),
        "box": {axis: list(ends) for axis, ends in family.box.items()},
    }


def _size(entry: dict[str, Any]) -> int:
    return sum(
        int(np.prod(entry["arrays"][key]["shape"])) * np.dtype(entry["arrays"][key]["dtype"]).itemsize
        for key in ("a", "u")
        if key in entry["arrays"]
    )
