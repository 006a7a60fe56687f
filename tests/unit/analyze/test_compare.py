"""Runs beside each other, and the sentences about one of them."""

from __future__ import annotations

from typing import Any

import pytest

from ups_core.analyze.compare import compare, to_markdown
from ups_core.analyze.verdict import relation, verdict


def run(name: str, lr: float, error: float | None, **spec: Any) -> dict[str, Any]:
    metrics = {"persistence.rollout.nrmse": 1.2} | ({} if error is None else {"rollout.nrmse": error})
    stages = [{"name": "operator", "config": {"lr": lr, "steps": 10}}]
    steps = [{"name": "cache", "digest": "c" * 64}, {"name": "train-operator", "digest": name * 64}]
    return {"name": name, "spec": {"seed": 0, "stages": stages, **spec}, "metrics": metrics, "steps": steps}


def test_only_differing_configuration_is_listed_and_the_best_error_marked() -> None:
    rows = compare([run("a", 0.001, 0.02), run("b", 0.0005, 0.01, threads=1), run("d", 0.001, None)])
    found = {(row["section"], row["name"]): row for row in rows}
    assert found["metrics", "rollout.nrmse"]["values"] == [0.02, 0.01, None]
    assert found["metrics", "rollout.nrmse"]["best"] == 1
    assert found["metrics", "persistence.rollout.nrmse"]["best"] is None
    different = [row["name"] for row in rows if row["section"] == "configuration"]
    assert different == ["stages.operator.config.lr", "threads"]
    assert found["configuration", "threads"]["values"] == [None, 1, None]
    assert len(set(found["steps", "cache"]["values"])) == 1


def test_values_that_compare_equal_but_are_not_alike_differ() -> None:
    rows = compare([run("a", 1, 0.1, flag=True), run("b", 1, 0.1, flag=1)])
    assert [row["name"] for row in rows if row["section"] == "configuration"] == ["flag"]


def test_markdown_has_a_table_a_section() -> None:
    runs = [run("a", 0.001, 0.02), run("b", 0.0005, 0.01)]
    text = to_markdown(runs, compare(runs))
    assert "| rollout.nrmse | 0.0200 | 0.0100 |" in text
    assert "| stages.operator.config.lr | 0.001 | 0.0005 |" in text
    assert "| train-operator | aaaaaaaaaaaa | bbbbbbbbbbbb |" in text


EVALUATION = {"steady": False, "split": "test", "headline": "rollout.nrmse",
              "sets": {"test": {"samples": 32, "given": 1, "steps": 40}}}  # fmt: skip


def test_the_verdict_says_what_is_better_and_what_is_worse() -> None:
    metrics = {"rollout.nrmse": 0.006, "persistence.rollout.nrmse": 1.2, "solver.rollout.nrmse": 0.00075}
    found = verdict(metrics, EVALUATION, [0.001, 0.002, 0.015])
    assert found.headline == "Rollout nRMSE 0.00600"
    assert "200 times below persistence (1.20)" in found.sentence
    assert "8 times above the classical solver on the same grid (7.50×10⁻⁴)" in found.sentence
    assert "Half of the samples are below 0.00200; the worst is at 0.0150." in found.sentence


def test_a_solver_that_diverged_has_a_row_but_no_number() -> None:
    metrics = {"rollout.nrmse": 0.006, "solver.rollout.diverged": 3.0}
    assert ("solver", "solver", None) in verdict(metrics, EVALUATION).scores


@pytest.mark.parametrize(
    ("own", "other", "said"),
    [(1.0, 2.0, "2 times below"), (3.0, 2.0, "1.5 times above"), (1.0, 1.0, "equal to"), (0.0, 1.0, "below"),
     (1.0, 6812.0, "6800 times below"), (1.0, 1.02, "1.02 times below")],
)  # fmt: skip
def test_relations(own: float, other: float, said: str) -> None:
    assert relation(own, other) == said
