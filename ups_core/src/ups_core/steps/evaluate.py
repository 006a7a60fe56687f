"""``evaluate``: judge a trained surrogate on samples it never saw, beside what it must beat."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np

from ups_core.data.cache import normaliser as statistics_of
from ups_core.data.families import family as family_named
from ups_core.errors import DataInvalid
from ups_core.evaluate import leaks, regimes
from ups_core.evaluate.ensemble import judge_ensemble
from ups_core.evaluate.files import write_fields, write_json, write_per_sample
from ups_core.evaluate.judgement import Judgement
from ups_core.evaluate.rollout import judge_transient
from ups_core.evaluate.split import Split, Window, open_split, window
from ups_core.evaluate.steady import judge_steady
from ups_core.keys import flatten
from ups_core.models.problem import Problem
from ups_core.steps.context import StepContext
from ups_core.store import PublishedObject
from ups_core.train.memory import keep_freed_memory


def run(ctx: StepContext) -> dict[str, Any]:
    """Evaluate the main split and every further named test set, whose metrics carry its name.

    Nothing is scored before it is certain that nothing has leaked: no initial state of a test set was learned
    from, and the model's normaliser comes from train alone. DataInvalid otherwise.
    """
    from ups_core.surrogate import Surrogate  # torch

    keep_freed_memory()
    asked = ctx.recipe["evaluation"]
    data, dataset = ctx.inputs["data"].folder(ctx.work), ctx.inputs["data"].json("dataset.json")
    family = family_named(dataset["family"])
    main = asked["split"]
    names = [main, *sorted(n for n in dataset["splits"] if n not in ("train", "val", main))]
    splits = [open_split(data, dataset, name) for name in names]
    train, val = (open_split(data, dataset, name) for name in ("train", "val"))
    problem, statistics = Problem.read(data, family), statistics_of(data / "train", family)
    for role in sorted({"model", "fno"} & ctx.inputs.keys()):
        check_normaliser(ctx.inputs[role], problem, statistics, train.parameters)
    scale = {
        key: np.array([each[key] for each in statistics["inputs" if family.steady else "fields"].values()])
        for key in ("mean", "std")
    }
    for split in splits:
        leaks.check(split, (train, val), problem, scale)
    # A test set may be held out by its parameters, and what a surrogate does there is what is asked.
    model, fno = (
        Surrogate.load(ctx.inputs[role].folder(ctx.work), extrapolate=True) if role in ctx.inputs else None
        for role in ("model", "fno")
    )
    assert model is not None

    # Surrogate twice (closed loop, one step) and each peer about as often: progress, not accounting.
    passes = (2 if not family.steady else 1) + len(asked["peers"]) * (1 if family.steady else 2)
    done, total = 0, max(1, passes * sum(len(list(split.batches())) for split in splits))

    def tick() -> None:
        nonlocal done
        done += 1
        ctx.progress(min(done, total), total, "evaluating")

    judged: dict[str, tuple[Split, Judgement]] = {}
    windows: dict[str, Window] = {}
    for split in splits:
        if family.steady:
            judgement = judge_steady(
                model, split, train, family, dataset["boundary"], names=asked["peers"], fno=fno, tick=tick
            )
        else:
            rollout = asked.get("rollout", {})
            windows[split.name] = frames = window(split, rollout)
            judgement = judge_transient(
                model,
                split,
                frames,
                family,
                train,
                asked=rollout,
                names=asked["peers"],
                conserved=[c for c, kept in enumerate(problem.conserved) if kept],
                fno=fno,
                tick=tick,
            )
        compared, notes = regimes.compare(split, train)
        judgement.metrics.update(compared)
        judgement.notes.update(notes)
        if model.stochastic:
            judgement.metrics |= judge_ensemble(model, split, windows.get(split.name))
        judged[split.name] = (split, judgement)

    metrics = {
        (name if split == main else f"{split}.{name}"): value
        for split, (_, judgement) in judged.items()
        for name, value in judgement.metrics.items()
    }
    drawn = write_fields(ctx.out / "fields", *judged[main], windows.get(main))
    write_json(ctx.out / "metrics.json", metrics)
    write_json(ctx.out / "spectra.json", {name: j.spectra for name, (_, j) in judged.items()})
    write_json(ctx.out / "over_time.json", {name: j.over_time for name, (_, j) in judged.items()})
    write_per_sample(ctx.out / "per_sample.csv", judged)
    write_json(ctx.out / "evaluation.json", _described(dataset, asked, judged, windows, drawn))
    return {"metrics": metrics, "cost": judged[main][1].cost}


def check_normaliser(
    trained: PublishedObject, problem: Problem, statistics: dict[str, Any], parameters: np.ndarray
) -> None:
    """DataInvalid where a model scales by other numbers than those of the train split, or than it says.

    ``statistics`` and ``parameters`` (N, P) are those of train, taken anew. A model on latent states scales
    fields by its codec.
    """
    from ups_core.train.normaliser import Normaliser  # torch

    name = "codec.json" if "codec.json" in trained.manifest.files else "model.json"
    facts = trained.json(name)
    # Of a declared problem training may know more than its data: that they carry themselves.
    problem = replace(problem, boost=facts["problem"]["boost"])
    model, own = Normaliser.from_dict(facts["normaliser"]), Normaliser.of(statistics, problem, parameters)
    if model.sha256 != facts["normaliserSha256"]:
        raise DataInvalid(
            "the normaliser of the model is not the one that it was trained with",
            where=f"{name}: normaliserSha256",
            found=model.sha256,
            expected=facts["normaliserSha256"],
            fix="train again",
        )
    numbers = [flatten(json.loads(json.dumps(each.to_dict()))) for each in (model, own)]
    for (key, found), (_, expected) in zip(*numbers, strict=True):
        # Another processor may sum in another order: the last digits are no sign of other data.
        if found != expected and not np.isclose(found, expected, rtol=1e-5, atol=1e-12):
            raise DataInvalid(
                "the model scales by numbers that are not those of its train split",
                where=f"{name}: normaliser.{key}",
                found=found,
                expected=expected,
                fix="train again on this dataset",
            )


def _described(
    dataset: dict[str, Any],
    asked: dict[str, Any],
    judged: dict[str, tuple[Split, Judgement]],
    windows: dict[str, Window],
    drawn: list[dict[str, Any]],
) -> dict[str, Any]:
    """What was judged, for readers of the other files."""
    sets = {}
    for name, (split, judgement) in judged.items():
        sets[name] = {"samples": len(split), "shape": list(split.u.shape[1:]), "notes": judgement.notes}
        if name in windows:
            sets[name]["given"], sets[name]["steps"] = windows[name].given, windows[name].steps
    return {
        "family": family_named(dataset["family"]).name,
        "steady": dataset["steady"],
        "split": asked["split"],
        "headline": "rel_l2" if dataset["steady"] else "rollout.nrmse",
        "sets": sets,
        "drawn": drawn,
    }
