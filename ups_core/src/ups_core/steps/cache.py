"""``cache``: the splits as memory-mapped arrays, and the statistics that training normalises by."""

from __future__ import annotations

from typing import Any

import numpy as np

from ups_core.data.cache import normaliser, write_split
from ups_core.data.canonical import read_json, write_json
from ups_core.data.families import family as family_of
from ups_core.errors import DataInvalid
from ups_core.steps.context import StepContext
from ups_core.store import sha256_file

#: What ``dataset.json`` says of particles beside that.
OF_PARTICLES = ("positions", "velocities", "box")


def run(ctx: StepContext) -> dict[str, Any]:
    """Publishes ``dataset.json``, ``normaliser.json`` and one folder of ``.npy`` files for each split."""
    validated, folder = ctx.inputs["splits"], ctx.inputs["data"].folder(ctx.work)
    described, splits = validated.json("dataset.json"), validated.json("splits.json")
    family, index = family_of(described["family"]), read_json(folder / "index.json")
    if not family.steady:
        _check_frames(splits, index, ctx.inputs["data"].manifest.recipe.get("convert", {}))
    shapes = {entry["name"]: entry["arrays"]["u"]["shape"][1:] for entry in index["files"]}
    per_sample = 4 * (2 if family.inputs else 1)
    total = sum(
        per_sample * int(np.prod(shapes[part["file"]])) * len(part["indices"])
        for parts in splits.values()
        for part in parts
    )
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        ctx.progress(done, max(total, done), "cache")

    written = {
        name: write_split(folder, index, parts, family, ctx.out / name, advance)
        for name, parts in splits.items()
    }
    dt = _one_time_step({name: facts.pop("dt") for name, facts in written.items()})
    write_json(ctx.out / "normaliser.json", normaliser(ctx.out / "train", family))
    keep = ("family", "kind", "steady", "space", "fields", "inputs", "parameters", "boundary")
    dataset = {
        **{name: described[name] for name in (*keep, *OF_PARTICLES) if name in described},
        "dt": dt,
        "splits": written,
        "normaliser_sha256": sha256_file(ctx.out / "normaliser.json"),
    }
    write_json(ctx.out / "dataset.json", dataset)
    return {"splits": {name: facts["samples"] for name, facts in written.items()}}


def _check_frames(splits: dict[str, list[Any]], index: dict[str, Any], convert: dict[str, Any]) -> None:
    """A surrogate learns from pairs of frames; one frame alone makes none."""
    entries = {entry["name"]: entry for entry in index["files"]}
    stride = convert.get("stride", {}).get("t", 1)
    for name, parts in splits.items():
        for part in parts:
            entry = entries[part["file"]]
            frames = entry["arrays"]["u"]["shape"][1]
            if frames < 2:
                raise DataInvalid(
                    "a trajectory has too few frames to learn from",
                    where=f"{entry['source']}, in split {name}",
                    found=f"{frames} frame at convert.stride.t = {stride}",
                    expected="at least 2 frames",
                    fix="lower spec.convert.stride.t" if stride > 1 else "give data of more frames",
                )


def _one_time_step(steps: dict[str, float | None]) -> float | None:
    """A surrogate advances by one frame, whatever that is: it must be the same in every split."""
    first = next(iter(steps))
    for name, dt in steps.items():
        if (dt is None) != (steps[first] is None) or (
            dt and not np.isclose(dt, steps[first] or 0, rtol=1e-3)
        ):
            raise DataInvalid(
                "two splits advance by different time steps",
                where=f"spec.splits.{name}",
                found=f"{name} {dt}, {first} {steps[first]}",
                expected="one time step",
                fix="convert files of different time steps as two data sets",
            )
    return steps[first]
