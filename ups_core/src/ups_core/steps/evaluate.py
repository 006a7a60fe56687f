"""``evaluate``: judge a trained surrogate on samples it never saw, beside what it must beat."""

from __future__ import annotations

from typing import Any

from ups_core.data.families import family as family_named
from ups_core.evaluate.ensemble import judge_ensemble
from ups_core.evaluate.files import write_fields, write_json, write_per_sample
from ups_core.evaluate.judgement import Judgement
from ups_core.evaluate.rollout import judge_transient
from ups_core.evaluate.split import Split, Window, open_split, window
from ups_core.evaluate.steady import judge_steady
from ups_core.steps.context import StepContext


def run(ctx: StepContext) -> dict[str, Any]:
    """Evaluate the main split and every further named test set, whose metrics carry its name."""
    from ups_core.surrogate import Surrogate  # torch

    asked = ctx.recipe["evaluation"]
    data, dataset = ctx.inputs["data"].folder(ctx.work), ctx.inputs["data"].json("dataset.json")
    model = Surrogate.load(ctx.inputs["model"].folder(ctx.work))
    fno = Surrogate.load(ctx.inputs["fno"].folder(ctx.work)) if "fno" in ctx.inputs else None
    family = family_named(dataset["family"])
    main = asked["split"]
    names = [main, *sorted(n for n in dataset["splits"] if n not in ("train", "val", main))]
    splits = [open_split(data, dataset, name) for name in names]
    train = open_split(data, dataset, "train") if family.steady else None

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
        if train is not None:
            judgement = judge_steady(
                model, split, train, family, dataset["boundary"], names=asked["peers"], fno=fno, tick=tick
            )
        else:
            windows[split.name] = window(split, asked.get("rollout", {}))
            judgement = judge_transient(
                model, split, windows[split.name], family, names=asked["peers"], fno=fno, tick=tick
            )
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
        "family": dataset["family"],
        "steady": dataset["steady"],
        "split": asked["split"],
        "headline": "rel_l2" if dataset["steady"] else "rollout.nrmse",
        "sets": sets,
        "drawn": drawn,
    }
