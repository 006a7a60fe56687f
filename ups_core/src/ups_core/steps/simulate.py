"""``simulate``: make raw files with the family's own solver, in the layout that downloads have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any

from ups_core.data.families import family as family_of
from ups_core.errors import InvalidSpec
from ups_core.steps.context import StepContext


def shard_files(simulate: Mapping[str, Any], shard: int, suffix: str) -> list[tuple[str, range]]:
    """The files that shard number ``shard`` writes, and the indices of their samples.

    Samples are dealt out in consecutive runs; test samples are numbered after the train samples,
    and sample i is the same however many shards there are.

    >>> shard_files({"train": 4, "test": 2, "shards": 2}, 1, ".hdf5")
    [('train-1.hdf5', range(2, 4)), ('test-1.hdf5', range(5, 6))]
    """
    shards = simulate.get("shards", 1)
    if "samples" in simulate:
        groups = {"samples": range(simulate["samples"])}
    else:
        train, test = simulate["train"], simulate["test"]
        groups = {"train": range(train), "test": range(train, train + test)}
    files = []
    for name, whole in groups.items():
        part = whole[len(whole) * shard // shards : len(whole) * (shard + 1) // shards]
        if part:
            files.append((f"{name}-{shard}{suffix}", part))
    return files


def variants(params: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    """All combinations of the listed values, each with what tells its files apart.

    >>> list(variants({"nu": [0.001, 1.0], "points": 64}))
    [('-nu0.001', {'nu': 0.001, 'points': 64}), ('-nu1', {'nu': 1.0, 'points': 64})]
    """
    lists = {name: values for name, values in params.items() if isinstance(values, list)}
    for chosen in product(*lists.values()):
        one = dict(zip(lists, chosen, strict=True))
        yield "".join(f"-{name}{value:.12g}" for name, value in one.items()), {**params, **one}


def run(ctx: StepContext) -> dict[str, Any]:
    """Publishes the raw files of ``recipe["shard"]``."""
    simulate, family = ctx.recipe["source"]["simulate"], family_of(ctx.recipe["family"])
    if family.simulate is None:
        raise InvalidSpec(
            f"family {family.name} cannot be simulated",
            where="spec.source.simulate",
            expected="a family with a solver",
            fix="set spec.source.uri to downloaded files",
        )
    shard = ctx.recipe.get("shard", 0)
    files = shard_files(simulate, shard, family.layouts[0].suffixes[0])
    if not files:
        raise InvalidSpec(
            "more shards than samples",
            where="spec.source.simulate.shards",
            found=simulate["shards"],
            expected="at most one shard a sample",
            fix="lower spec.source.simulate.shards",
        )
    ways, before = list(variants(simulate.get("params", {}))), 0
    total = sum(len(indices) for _, indices in files) * len(ways)
    for (name, indices), (way, params) in product(files, ways):
        stem, dot, ending = name.partition(".")
        name = f"{stem}{way}{dot}{ending}"
        family.simulate(
            ctx.out / name,
            indices=indices,
            seed=simulate.get("seed", 0),
            params=params,
            progress=partial(_report, ctx, name, range(before, before + len(indices)), total),
        )
        before += len(indices)
    return {"files": len(files) * len(ways), "samples": total}


def _report(ctx: StepContext, name: str, samples: range, total: int, done: int, of: int) -> None:
    """A family has done so much of these ``samples``, in whatever it counts."""
    ctx.progress(samples.start + len(samples) * done // of, total, name)
