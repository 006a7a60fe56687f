"""Progress and money: one scenario a test."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from operator_fakes import FakeCluster, a_node
from operator_scenes import Run, begun, ends, spec, succeeds


def test_stages_and_progress_are_those_of_the_workflow(cluster):
    begun(cluster)
    cluster.wait(100)
    node = a_node("train-operator", started=cluster.time - timedelta(seconds=100), progress="25/100")
    cluster.argo("tr-run-1", "Running", a_node("cache", "Skipped", type="Skipped"), node)
    cluster.look(Run, "run")
    status = cluster.status(Run, "run")
    assert {k: status["progress"][k] for k in ("stage", "percent", "etaSeconds")} == {
        "stage": "train-operator",
        "percent": 25,
        "etaSeconds": 300,
    }
    assert status["stages"] == [{"name": "operator", "phase": "Running", "attempts": 1}]
    version = cluster.api.version
    cluster.wait(7)
    cluster.look(Run, "run")
    assert cluster.api.version == version  # the clock alone is no news


def test_a_stage_is_counted_each_time_it_starts(cluster):
    begun(cluster)
    ends(cluster, "tr-run-1", "main: Error (exit code 75)", 75)
    cluster.settle(Run, "run")
    succeeds(cluster, "tr-run-2")
    stage = cluster.status(Run, "run")["stages"][0]
    assert stage == {
        "name": "operator",
        "phase": "Succeeded",
        "attempts": 2,
        "metrics": {"train.steps": 10},
    }


def paid(cluster: FakeCluster, **spec: Any) -> FakeCluster:
    """A run on spot nodes at 36 dollars an hour, a cent a second."""
    capacity = {"pricePerHourUsd": 36.0}
    cluster.put(
        {
            "apiVersion": "ups.dev/v1alpha1",
            "kind": "ComputeClass",
            "metadata": {"name": "gpu"},
            "spec": {
                "resource": "nvidia.com/gpu",
                "gpusPerNode": 1,
                "spot": {**capacity, "nodeSelector": {"spot": "yes"}},
                "onDemand": {**capacity, "nodeSelector": {"spot": "no"}},
            },
        }
    )
    return begun(cluster, computeClass="gpu", **spec)


def test_spend_accrues_while_it_runs_and_is_settled_when_it_ends(cluster):
    paid(cluster, budget={"usd": 10.0})
    begin = cluster.time
    cluster.wait(119)
    cluster.look(Run, "run")
    assert cluster.status(Run, "run")["cost"] == {"settledUsd": 0.0, "spentUsd": 0.6, "capUsd": 10.0}
    node = a_node(
        "train-operator",
        "Failed",
        "main: Error (exit code 75)",
        exit_code=75,
        started=begin,
        finished=begin + timedelta(seconds=119),
        resourcesDuration={"nvidia.com/gpu": 100, "cpu": 9},
    )
    cluster.argo("tr-run-1", "Failed", node)
    cluster.look(Run, "run")
    # 119 s since it was asked for, of which it held its node for 100
    assert cluster.status(Run, "run")["cost"] == {"settledUsd": 1.0, "spentUsd": 1.0, "capUsd": 10.0}
    cluster.settle(Run, "run")
    second = cluster.api.objects["Workflow", "tr-run-2"]["spec"]
    assert second["activeDeadlineSeconds"] == 900 - 60  # nine dollars, less the reserve for a checkpoint


def test_a_budget_that_is_spent_ends_the_run(cluster):
    paid(cluster, budget={"usd": 3.0})
    begin = cluster.time
    cluster.wait(240)
    node = a_node(
        "train-operator", "Failed", "Step exceeded its deadline", started=begin, finished=cluster.time
    )
    cluster.argo("tr-run-1", "Failed", node)
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["phase"], status["lastFailure"]["reason"]) == ("Failed", "BudgetExceeded")
    spec(cluster, restart=1)
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (
        status["lastFailure"]["reason"] == "BudgetExceeded"
    )  # 60 cents are left, not enough for a checkpoint
    assert status["attempt"] == 2
    spec(cluster, restart=2, budget={"usd": 9.0})
    cluster.settle(Run, "run")
    assert (cluster.status(Run, "run")["attempt"], len(cluster.workflows())) == (2, 1)


def test_after_enough_preemptions_a_run_leaves_spot_nodes(cluster):
    paid(cluster, capacity="SpotThenOnDemand", retry={"spotPreemptions": 2, "backoff": {"seconds": 0}})
    found = []
    for attempt in (1, 2, 3):
        templates = cluster.api.objects["Workflow", f"tr-run-{attempt}"]["spec"]["templates"]
        found.append(next(t for t in templates if t["name"] == "train-operator")["nodeSelector"]["spot"])
        ends(cluster, f"tr-run-{attempt}", "main: Error (exit code 75)", 75)
        cluster.settle(Run, "run")
    assert found == ["yes", "yes", "no"]
