"""Which nodes a run gets, what they cost, and how long its money lasts."""

from __future__ import annotations

from typing import Any

import pytest

from ups_core.api import ComputeClass, TrainingRun
from ups_core.errors import BudgetExceeded, InvalidSpec
from ups_workflows.engines.compute import Deadline, compute_for, deadline, estimated_usd, paid_stage
from ups_workflows.plan import RegisteredDataset, plan


def a_class(name: str = "l4", **spec: Any) -> ComputeClass:
    given = {"resource": "nvidia.com/gpu", "gpusPerNode": 1, "onDemand": {"pricePerHourUsd": 2.0}, **spec}
    return ComputeClass.model_validate({"metadata": {"name": name}, "spec": given})


BOTH = a_class(spot={"pricePerHourUsd": 0.5, "nodeSelector": {"spot": "true"}})


def a_run(stage: dict[str, Any] | None = None, **spec: Any) -> TrainingRun:
    stages = [{"name": "operator", "config": {"steps": 1}, **(stage or {})}]
    whole = {"datasetRef": {"name": "d"}, "stages": stages, **spec}
    return TrainingRun.model_validate({"metadata": {"name": "r"}, "spec": whole})


@pytest.mark.parametrize(
    ("capacity", "preemptions", "price"),
    [("OnDemand", 0, 2.0), ("Spot", 9, 0.5), ("SpotThenOnDemand", 2, 0.5), ("SpotThenOnDemand", 3, 2.0)],
)
def test_spot_gives_way_to_on_demand_after_its_preemptions(capacity: str, preemptions: int, price: float):
    run = a_run(computeClass="l4", capacity=capacity)
    compute = compute_for(run, {"l4": BOTH}, preemptions)
    assert compute.usd_per_hour(run.spec.stages[0]) == price


def test_a_stage_pays_for_its_share_of_a_node():
    run = a_run(computeClass="h100")
    eight = a_class("h100", gpusPerNode=8, onDemand={"pricePerHourUsd": 32.0})
    compute = compute_for(run, {"h100": eight}, 0)
    assert compute.usd_per_hour(run.spec.stages[0]) == 4.0
    assert compute.accelerators(run.spec.stages[0]) == {"nvidia.com/gpu": 1}
    run = a_run({"processes": 4}, computeClass="h100")
    compute = compute_for(run, {"h100": eight}, 0)
    assert compute.usd_per_hour(run.spec.stages[0]) == 16.0
    assert compute.accelerators(run.spec.stages[0]) == {"nvidia.com/gpu": 4}


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (a_run(computeClass="h100"), "no such ComputeClass"),
        (a_run({"processes": 2}, computeClass="l4"), "fewer accelerators"),
        (a_run(computeClass="l4", capacity="Spot"), "capacity"),
        (a_run(budget={"usd": 1.0}), "price"),
    ],
)
def test_what_cannot_run_is_refused(run: TrainingRun, said: str):
    with pytest.raises(InvalidSpec, match=said):
        compute_for(run, {"l4": a_class()}, 0)


@pytest.mark.parametrize(
    ("spec", "spent", "expected"),
    [
        ({}, 0.0, None),
        ({"activeDeadlineSeconds": 100}, 0.0, Deadline(100, "DeadlineExceeded")),
        # 4 USD at 2 USD an hour are two hours, less the reserve for the last checkpoint.
        ({"budget": {"usd": 4.0}}, 0.0, Deadline(7080, "BudgetExceeded")),
        ({"budget": {"usd": 4.0}}, 3.0, Deadline(1680, "BudgetExceeded")),
        ({"budget": {"usd": 4.0}, "activeDeadlineSeconds": 100}, 0.0, Deadline(100, "DeadlineExceeded")),
        # Two chains side by side spend it twice as fast.
        ({"budget": {"usd": 4.0}, "evaluation": {"seeds": 2}}, 0.0, Deadline(3480, "BudgetExceeded")),
        # And four, where each has its trained peer.
        (
            {"budget": {"usd": 4.0}, "evaluation": {"seeds": 2, "peers": ["fno"]}},
            0.0,
            Deadline(1680, "BudgetExceeded"),
        ),
    ],
)
def test_the_smaller_limit_holds(spec: dict[str, Any], spent: float, expected: Deadline | None):
    run = a_run(computeClass="l4", **spec)
    compute = compute_for(run, {"l4": a_class()}, 0)
    assert deadline(run, compute, spent, grace_seconds=120) == expected


def test_no_attempt_begins_without_money_for_it():
    run = a_run(computeClass="l4", budget={"usd": 4.0})
    with pytest.raises(BudgetExceeded, match="no time"):
        deadline(run, compute_for(run, {"l4": a_class()}, 0), 3.95, grace_seconds=120)


@pytest.mark.parametrize(
    ("step", "stage"),
    [
        ("train-operator", "operator"),
        ("train-operator-seed3", "operator"),
        ("train-fno", "operator"),
        ("train-fno-seed2", "operator"),
        ("evaluate", "operator"),
        ("evaluate-seed1", "operator"),
        ("cache", None),
        ("analyze", None),
    ],
)
def test_training_and_evaluation_run_on_the_class(step: str, stage: str | None):
    found = paid_stage(a_run(), step)
    assert (found.name if found else None) == stage


@pytest.mark.parametrize(
    ("config", "usd"),
    [
        # 9,000 steps of 32 samples at 40 a second are two hours, at two dollars; for both seeds.
        ({"steps": 9000, "architecture": {"name": "unet"}}, 8.0),
        ({"steps": 9000, "architecture": {"name": "conv"}}, None),
        ({"epochs": 3, "architecture": {"name": "unet"}}, None),
    ],
)
def test_training_is_estimated_by_the_reference_throughput(config: dict[str, Any], usd: float | None):
    run = a_run({"config": config}, computeClass="l4", evaluation={"seeds": 2})
    planned = plan(run, RegisteredDataset("burgers1d", "objects/convert/k", "objects/validate/k"))
    compute = compute_for(run, {"l4": a_class(reference={"unet": 40.0})}, 0)
    assert estimated_usd(run, planned, compute) == usd
    with_peer = a_run({"config": config}, computeClass="l4", evaluation={"seeds": 2, "peers": ["fno"]})
    planned = plan(with_peer, RegisteredDataset("burgers1d", "objects/convert/k", "objects/validate/k"))
    assert estimated_usd(with_peer, planned, compute) == (usd and 2 * usd)
