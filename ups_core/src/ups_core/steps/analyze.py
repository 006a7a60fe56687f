"""``analyze``: from the numbers of an evaluation to a report that can be shown."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from ups_core.analyze import card
from ups_core.analyze.films import film
from ups_core.analyze.report import Material, film_of, render
from ups_core.data.families import family as family_named
from ups_core.steps.context import StepContext


def run(ctx: StepContext) -> dict[str, Any]:
    """Publishes the report, with places left for what belongs to a run, films, and ``MODEL_CARD.md``."""
    evaluation, model, splits = (ctx.inputs[role] for role in ("evaluation", "model", "splits"))
    dataset = ctx.inputs["data"].json("dataset.json")
    fields = [name for name in evaluation.manifest.files if name.startswith("fields/")]
    material = Material(
        metrics=evaluation.json("metrics.json"),
        evaluation=evaluation.json("evaluation.json"),
        over_time=evaluation.json("over_time.json"),
        spectra=evaluation.json("spectra.json"),
        per_sample=evaluation.read("per_sample.csv").decode(),
        fields={Path(name).stem: np.load(io.BytesIO(evaluation.read(name))) for name in fields},
        model=model.json("model.json"),
        model_recipe=model.manifest.recipe,
        verdicts=model.json("verdicts.json"),
        curve=[json.loads(line) for line in model.read("curve.jsonl").decode().splitlines()],
        dataset=dataset,
        described=splits.json("dataset.json"),
        validated=splits.json("report.json"),
        provenance=[[role, o.manifest.key, o.digest] for role, o in sorted(ctx.inputs.items())],
        codec=model.json("codec.json") if "codec.json" in model.manifest.files else None,
        reference=family_named(dataset["family"]).reference,
    )
    count = ctx.recipe["analysis"]["samples"]
    for name, content in (render(material, count) | {"MODEL_CARD.md": card.render(material)}).items():
        (ctx.out / name).write_text(content, encoding="utf-8")
    if not material.evaluation["steady"]:
        (ctx.out / "films").mkdir()
        for one, drawn in zip(material.samples(count), material.evaluation["drawn"], strict=False):
            film(ctx.out / film_of(drawn), one)
    made = sorted(path for path in ctx.out.rglob("*") if path.is_file())
    return {"bytes": {str(path.relative_to(ctx.out)): path.stat().st_size for path in made}}
