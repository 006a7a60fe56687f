"""The card of a model: what it predicts, from what, how well, and what it must not be asked.

Made of published objects alone, as the report is, and of facts alone: what nobody measured is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ups_core.analyze import captions, tables
from ups_core.analyze.report import Material, templates
from ups_core.models.domain import Domain
from ups_core.models.limits import limits
from ups_core.models.problem import Problem


def render(material: Material) -> str:
    """``MODEL_CARD.md``; the same material gives the same text."""
    model, dataset = material.model, material.dataset
    domain = Domain.from_dict(model["domain"])
    problem = Problem.from_dict((material.codec or model)["problem"])
    context = {
        "title": material.described["title"],
        "predicts": [*_predicts(problem, frames_in_a_step(material), dataset), *_keeps(material)],
        "limits": [list(row) for row in limits(domain, problem)],
        "tables": tables.metric_tables(
            material.metrics, material.evaluation, material.validated, dataset["kind"]
        ),
        "training": tables.training_facts(model, material.model_recipe, material.codec),
        "splits": tables.split_table(material.validated, dataset),
        "data": domain.data,
        "problem": problem,
        "points": dataset["kind"] == "mesh",
        "varying": [p for p in domain.parameters if p.name in problem.varying],
        "provenance": material.provenance,
        "reference": material.reference,
    }
    return templates().get_template("model_card.md.j2").render(context)


def frames_in_a_step(material: Material) -> str | None:
    """How long the steps of a rollout can be, if not of single frames alone, in which samples are drawn."""
    kept = {verdict["stage"] for verdict in material.verdicts if verdict["decision"] == "kept"}
    more = [] if "diffusion" in kept else material.model["problem"]["leads"][1:]
    return f"1, or every={' or '.join(map(str, more))}" if more else None


def _predicts(problem: Problem, step: str | None, dataset: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What goes in and comes out, in words."""
    axes = ", ".join(problem.axes)
    facts = [("Family", problem.family)]
    if problem.steady:
        facts += [("Input", _named(dataset["inputs"])), ("Solution", _named(dataset["fields"]))]
        facts.append(
            ("Arrays", f"float32, (N, {len(problem.inputs)}, {axes}) to (N, {len(problem.fields)}, {axes})")
        )
    else:
        between = "not always the same" if problem.dt is None else f"{problem.dt:.6g}"
        facts += [("State", _named(dataset["fields"])), ("Time between frames", between)]
        if step is not None:
            facts.append(("Frames in a step", step))
        facts.append(
            (
                "Arrays",
                f"float32, (N, {len(problem.fields)}, {axes}) to (N, T, {len(problem.fields)}, {axes})",
            )
        )
    if dataset["kind"] == "particles":
        many = dataset["splits"]["train"]["shape"][-1]
        facts.append(("Particles", f"{many} in training, {_kinds(problem)}"))
        return facts
    if dataset["kind"] == "mesh":
        facts.append(("Points", f"{problem.shape[0]} in training, {_kinds(problem)}"))
        return facts
    for letter, n, spacing, boundary in zip(
        problem.space, problem.shape, problem.spacing, problem.boundary, strict=True
    ):
        facts.append((f"Grid along {letter.lower()}", f"{n} nodes, {spacing:.6g} apart, {boundary}"))
    return facts


def _keeps(material: Material) -> list[tuple[str, str]]:
    """Whose mean no rollout changes, and who said so."""
    problem, config = Problem.from_dict(material.model["problem"]), material.model["config"]
    kept = [name for name, whether in zip(problem.fields, problem.conserved, strict=True) if whether]
    holds = problem.motion is not None or problem.periodic
    if not kept or not holds or config.get("conserve") == "none":
        return []
    who = "declared" if material.declares_conserved else "seen in the training data, not declared"
    what = f"the {'mean over particles' if problem.motion else 'spatial mean'} of {captions.listed(kept)}"
    if material.carries_averages:
        what += ", as averages of cells have it, not values at points"
    return [("Keeps exactly", f"{what}; {who}")]


def _kinds(problem: Problem) -> str:
    pairs = zip(problem.space.lower(), problem.boundary, strict=True)
    return ", ".join(f"{kind} along {axis}" for axis, kind in pairs)


def _named(fields: list[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{f['name']}{' (' + f['label'] + ')' if f['label'] and f['label'] != f['name'] else ''}, "
        f"{'no unit' if f['unit'] == '1' else 'in ' + f['unit']}"
        for f in fields
    )
