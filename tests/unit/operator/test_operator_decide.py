"""What the operator does about a run, a Dataset and their Workflows: one scenario a test, on a fake cluster.

The whole path is run, from the request that reads to the one that writes, so that ``decide``, ``apply`` and
the status are held together.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from operator_fakes import (
    PUBLISHED_DATASET,
    PUBLISHED_RUN,
    FakeCluster,
    a_dataset,
    a_node,
    a_ready_dataset,
    a_run,
)

from ups_operator.reclaim import FINALIZER, RECLAIM_SECONDS
from ups_workflows.engines import argo

Run = "TrainingRun"
PINNED = {"family": "burgers1d", "converted": "objects/convert/k", "validated": "objects/validate/k"}


@pytest.fixture
def cluster() -> FakeCluster:
    cluster = FakeCluster()
    cluster.put(a_ready_dataset())
    return cluster


def begun(cluster: FakeCluster, **spec: Any) -> FakeCluster:
    """A run whose first attempt Argo has taken up."""
    cluster.put(a_run(**spec))
    cluster.settle(Run, "run")
    cluster.argo("tr-run-1", "Running", a_node("train-operator", started=cluster.time))
    cluster.settle(Run, "run")
    return cluster


def ends(cluster: FakeCluster, name: str, message: str, code: int | None = None, **more: Any) -> None:
    """The training pod fails, and so the Workflow; the operator looks."""
    phase = more.pop("phase", "Failed")
    node = a_node(
        "train-operator", phase, message, exit_code=code, started=cluster.time, finished=cluster.time, **more
    )
    cluster.argo(name, "Failed", node)
    cluster.look(Run, "run")


def succeeds(cluster: FakeCluster, name: str) -> None:
    done = [
        a_node("train-operator", "Succeeded", result={"metrics": {"train.steps": 10}}, started=cluster.time),
        a_node("publish", "Succeeded", result=PUBLISHED_RUN, started=cluster.time),
    ]
    cluster.argo(name, "Succeeded", *done)
    cluster.look(Run, "run")


def condition(cluster: FakeCluster, name: str, kind: str = Run, of: str = "run") -> tuple[str, str] | None:
    found = [c for c in cluster.status(kind, of).get("conditions", []) if c["type"] == name]
    return (found[0]["status"], found[0]["reason"]) if found else None


def spec(cluster: FakeCluster, kind: str = Run, name: str = "run", **fields: Any) -> None:
    """A person edits the spec; the operator looks."""
    cluster.api.change(kind, name, lambda obj: obj["spec"].update(fields))
    cluster.look(kind, name)


# Admission


def test_a_run_waits_for_its_dataset_and_is_told_once():
    cluster = FakeCluster()
    cluster.put(a_run())
    for _ in range(3):
        cluster.look(Run, "run")
    assert cluster.status(Run, "run")["phase"] == "Pending"
    assert condition(cluster, "DatasetReady") == ("False", "DatasetNotFound")
    cluster.put(a_dataset(status={"phase": "Running", "attempt": 1}))
    cluster.settle(Run, "run")
    assert condition(cluster, "DatasetReady") == ("False", "DatasetRunning")
    assert [reason for reason, _ in cluster.events()] == ["WaitingForDataset"] * 2
    assert not cluster.workflows()
    assert cluster.hints.woken_by(("Dataset", "default", "data"), "Ready")


def test_a_ready_dataset_begins_the_first_attempt(cluster):
    cluster.put(a_run())
    cluster.look(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["attempt"], status["workflow"]) == (1, {"name": "tr-run-1", "requests": 1})
    assert status["dataset"] == PINNED
    assert cluster.api.requests[-3:] == ["PATCH TrainingRun/status", "CREATE Workflow", "CREATE Event"]
    cluster.settle(Run, "run")
    assert cluster.status(Run, "run")["workflow"]["uid"] == cluster.workflows()[0]["metadata"]["uid"]


def test_once_admitted_a_run_is_not_disturbed_by_its_dataset(cluster):
    begun(cluster, retry={"maxFailures": 1})
    cluster.api.remove("Dataset", "data")
    ends(cluster, "tr-run-1", "main: Error (exit code 1)", 1)
    cluster.settle(Run, "run")
    assert [workflow["metadata"]["name"] for workflow in cluster.workflows()] == ["tr-run-2"]


@pytest.mark.parametrize(
    ("fields", "reason", "said"),
    [
        ({"datasetRef": {"name": "data", "version": "v2"}}, "DatasetNotFound", "found: v2; expected: v1"),
        ({"artifacts": {"store": "s3://other/ups"}}, "InvalidSpec", "s3://other/ups"),
        ({"evaluation": {"split": "far"}}, "InvalidSpec", "train, val, test"),
        ({"computeClass": "h100"}, "InvalidSpec", "there is no such ComputeClass"),
        ({"stages": [{"name": "operator", "config": {"typo": 1}}]}, "InvalidSpec", "typo"),
    ],
)
def test_what_cannot_be_fails_at_once_and_makes_no_workflow(cluster, fields, reason, said):
    cluster.put(a_run(**fields))
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["phase"], status["attempt"], status["lastFailure"]["reason"]) == ("Failed", 0, reason)
    assert said in status["lastFailure"]["message"]
    assert condition(cluster, "Failed") == ("True", reason)
    assert not cluster.workflows()
    assert [name for name, _ in cluster.events()] == [reason]


def test_a_spec_that_no_model_takes_fails_and_a_restart_looks_at_it_again(cluster):
    broken = a_run()
    broken["spec"]["stages"] = [{"name": "nonsense", "config": {}}]
    cluster.put(broken)
    cluster.settle(Run, "run")
    assert cluster.status(Run, "run")["lastFailure"]["reason"] == "InvalidSpec"
    spec(cluster, stages=a_run()["spec"]["stages"], restart=1)  # as an upgrade of the operator would mend it
    cluster.settle(Run, "run")
    assert (cluster.status(Run, "run")["attempt"], len(cluster.workflows())) == (1, 1)
    assert "lastFailure" not in cluster.status(Run, "run")


def test_what_the_api_server_refuses_is_told_in_its_words(cluster, monkeypatch):
    from ups_operator.api import Refused

    def refuse(manifest: Any) -> Any:
        raise Refused('Workflow "tr-run-1" is invalid: spec.podPriority')

    cluster.put(a_run())
    monkeypatch.setattr(cluster.api, "put_new", refuse)
    cluster.look(Run, "run")
    failure = cluster.status(Run, "run")["lastFailure"]
    assert (failure["reason"], "spec.podPriority" in failure["message"]) == ("InvalidSpec", True)


def test_an_inline_dataset_becomes_one_that_the_run_owns():
    cluster = FakeCluster()
    run = cluster.put(a_run(datasetRef=None, dataset=a_dataset()["spec"]))
    cluster.settle(Run, "run")
    made = cluster.api.objects["Dataset", "run"]
    assert made["metadata"]["ownerReferences"][0]["uid"] == run["metadata"]["uid"]
    assert condition(cluster, "DatasetReady") == ("False", "DatasetPending")
    cluster.settle("Dataset", "run")
    cluster.argo("ds-run-1", "Succeeded", a_node("publish-dataset", "Succeeded", result=PUBLISHED_DATASET))
    cluster.settle("Dataset", "run")
    cluster.settle(Run, "run")
    assert cluster.status(Run, "run")["attempt"] == 1


def test_an_inline_dataset_does_not_take_somebody_elses():
    cluster = FakeCluster()
    cluster.put(a_ready_dataset("run"))
    cluster.put(a_run(datasetRef=None, dataset=a_dataset()["spec"]))
    cluster.settle(Run, "run")
    assert "not the run's own" in cluster.status(Run, "run")["lastFailure"]["message"]


def test_an_inline_dataset_waits_for_the_one_of_a_deleted_namesake(cluster):
    cluster.put(a_run(datasetRef=None, dataset=a_dataset()["spec"]))
    cluster.look(Run, "run")
    first = cluster.api.objects["Dataset", "run"]["metadata"]["uid"]
    cluster.api.remove(Run, "run")
    cluster.put(a_run(datasetRef=None, dataset=a_dataset()["spec"]))
    assert cluster.look(Run, "run") == 5
    cluster.api.collect()
    cluster.settle(Run, "run")
    assert cluster.api.objects["Dataset", "run"]["metadata"]["uid"] != first


# The life of an attempt


def test_a_run_that_goes_well(cluster):
    begun(cluster)
    assert cluster.status(Run, "run")["phase"] == "Running"
    assert condition(cluster, "Running") == ("True", "Running")
    succeeds(cluster, "tr-run-1")
    status = cluster.status(Run, "run")
    assert status["phase"] == "Succeeded"
    assert (status["metrics"], status["artifacts"]) == (PUBLISHED_RUN["metrics"], PUBLISHED_RUN["artifacts"])
    assert status["headline"] == {"metric": "rollout.nrmse", "value": 0.01}
    assert condition(cluster, "Complete") == ("True", "Succeeded")
    assert condition(cluster, "Running") == ("False", "Succeeded")
    assert ("Succeeded", "rollout.nrmse 0.01") in cluster.events()
    cluster.settle(Run, "run")
    assert len(cluster.workflows()) == 1  # till its ttl
    cluster.wait(7 * 86400 + 1)
    cluster.settle(Run, "run")
    assert not cluster.workflows()
    assert cluster.status(Run, "run") == status


def test_a_success_that_left_no_result_is_a_failure(cluster):
    begun(cluster, retry={"maxFailures": 0})
    cluster.argo("tr-run-1", "Succeeded", a_node("publish", "Succeeded", result={}))
    cluster.settle(Run, "run")
    assert cluster.status(Run, "run")["lastFailure"]["reason"] == "InternalError"


def test_a_missed_gate_fails_the_run_and_keeps_its_metrics(cluster):
    begun(cluster)
    error = {"reason": "GateFailed", "exitCode": 7, "message": "1 of 1 gates not met"}
    node = a_node(
        "publish",
        "Failed",
        "main: Error (exit code 7)",
        exit_code=7,
        result={**PUBLISHED_RUN, "error": error},
        started=cluster.time,
        finished=cluster.time,
    )
    cluster.argo("tr-run-1", "Failed", node)
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["phase"], status["lastFailure"]["reason"]) == ("Failed", "GateFailed")
    assert status["headline"]["value"] == 0.01


@pytest.mark.parametrize("code", [2, 3, 4, 5, 7, 8])
def test_what_another_try_cannot_mend_ends_the_run(cluster, code):
    begun(cluster, retry={"maxFailures": 5})
    ends(cluster, "tr-run-1", f"main: Error (exit code {code})", code)
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["phase"], status["failures"], status["attempt"]) == ("Failed", 1, 1)


def test_a_failure_is_tried_again_after_a_pause_and_counted_once(cluster):
    begun(cluster, retry={"maxFailures": 1, "backoff": {"seconds": 30, "maxSeconds": 60}})
    ends(cluster, "tr-run-1", "main: Error (exit code 1)", 1)
    status = cluster.status(Run, "run")
    assert (status["failures"], status["attempt"], status["phase"]) == (1, 2, "Pending")
    assert not cluster.workflows()  # the first one's facts are in the status
    for _ in range(3):
        assert 0 < cluster.look(Run, "run") <= 31
    assert not cluster.workflows()
    cluster.wait(31)
    cluster.settle(Run, "run")
    assert [w["metadata"]["name"] for w in cluster.workflows()] == ["tr-run-2"]
    ends(cluster, "tr-run-2", "main: Error (exit code 1)", 1)
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["phase"], status["failures"], status["attempt"]) == ("Failed", 2, 2)


def test_a_preemption_is_no_failure(cluster):
    begun(cluster, retry={"maxFailures": 0, "maxPreemptions": 2})
    for attempt in (1, 2):
        ends(cluster, f"tr-run-{attempt}", "main: Error (exit code 75)", 75)
        assert condition(cluster, "Preempted") == ("True", "Preempted")
        cluster.settle(Run, "run")
        cluster.argo(f"tr-run-{attempt + 1}", "Running")
        cluster.settle(Run, "run")
        assert condition(cluster, "Preempted") == ("False", "Resumed")
    status = cluster.status(Run, "run")
    assert (status["preemptions"], status["failures"], status["phase"]) == (2, 0, "Running")
    assert "lastFailure" not in status
    assert [r for r, _ in cluster.events()].count("Preempted") == 2
    ends(cluster, "tr-run-3", "pod deleted", phase="Error")
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["phase"], status["lastFailure"]["reason"]) == ("Failed", "PreemptionBudgetExhausted")


def test_out_of_memory_ends_a_run_without_a_factor(cluster):
    begun(cluster, retry={"maxFailures": 5})
    ends(cluster, "tr-run-1", "main: OOMKilled (exit code 137)", 137)
    assert cluster.status(Run, "run")["lastFailure"]["reason"] == "OutOfMemory"
    assert cluster.status(Run, "run")["phase"] == "Failed"


def test_out_of_memory_is_tried_again_with_more_where_the_run_says_so(cluster):
    stage = {"name": "operator", "config": {"steps": 1}, "resources": {"memory": "1Gi"}}
    begun(cluster, stages=[stage], retry={"maxFailures": 5, "oomMemoryFactor": 2.0})
    for attempt, memory in ((2, "2048Mi"), (3, "4096Mi")):
        ends(cluster, f"tr-run-{attempt - 1}", "main: OOMKilled (exit code 137)", 137)
        cluster.settle(Run, "run")
        templates = cluster.api.objects["Workflow", f"tr-run-{attempt}"]["spec"]["templates"]
        train = next(each for each in templates if each["name"] == "train-operator")
        assert train["container"]["resources"]["limits"]["memory"] == memory
    assert cluster.status(Run, "run")["outOfMemory"] == 2
    assert any("4 times the memory" in message for _, message in cluster.events())


def test_a_lost_workflow_is_a_failure_and_its_pods_may_finish_saving(cluster):
    begun(cluster, retry={"maxFailures": 1, "backoff": {"seconds": 1}})
    cluster.api.remove("Workflow", "tr-run-1")
    cluster.look(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["lastFailure"]["reason"], status["failures"], status["attempt"]) == ("WorkflowLost", 1, 2)
    assert 60 <= cluster.look(Run, "run") <= 61  # the grace of its pods
    cluster.settle(Run, "run")
    assert len(cluster.workflows()) == 1


def test_a_workflow_that_was_asked_for_and_never_came_is_made_again(cluster):
    cluster.put(a_run())
    cluster.look(Run, "run")
    cluster.api.remove("Workflow", "tr-run-1")
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["failures"], status["attempt"], len(cluster.workflows())) == (0, 1, 1)


def test_a_step_that_finds_no_node_ends_the_run_in_the_schedulers_words(cluster):
    cluster.put(a_run(pendingTimeoutSeconds=600))
    cluster.settle(Run, "run")
    said = "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    node = a_node("train-operator", "Pending", said, started=cluster.time)
    cluster.argo("tr-run-1", "Running", node)
    assert cluster.look(Run, "run") == 600
    cluster.wait(600)
    cluster.look(Run, "run")
    assert cluster.workflows()[0]["spec"]["shutdown"] == "Terminate"
    ends(cluster, "tr-run-1", "workflow shutdown with strategy:  Terminate")
    cluster.settle(Run, "run")
    failure = cluster.status(Run, "run")["lastFailure"]
    assert (failure["reason"], failure["stage"]) == ("PendingTimeout", "train-operator")
    assert said in failure["message"]


# Suspending, restarting


def test_suspending_stops_the_attempt_and_resuming_begins_another(cluster):
    begun(cluster)
    spec(cluster, suspend=True)
    workflow = cluster.workflows()[0]
    assert workflow["spec"]["shutdown"] == "Terminate"
    assert cluster.status(Run, "run")["phase"] == "Running"  # it is still saving its state
    ends(cluster, "tr-run-1", "workflow shutdown with strategy:  Terminate", 75)
    status = cluster.status(Run, "run")
    assert (status["phase"], status["failures"], status["preemptions"]) == ("Suspended", 0, 0)
    cluster.settle(Run, "run")
    assert len(cluster.workflows()) == 1
    spec(cluster, suspend=False)
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["attempt"], status["failures"], status["preemptions"]) == (2, 0, 0)
    assert [w["metadata"]["name"] for w in cluster.workflows()] == ["tr-run-2"]


def test_a_run_that_is_suspended_before_it_begins_uses_no_attempt(cluster):
    cluster.put(a_run(suspend=True))
    cluster.settle(Run, "run")
    assert cluster.status(Run, "run")["phase"] == "Suspended"
    assert condition(cluster, "Suspended") == ("True", "Suspended")
    spec(cluster, suspend=False)
    cluster.settle(Run, "run")
    assert (cluster.status(Run, "run")["attempt"], len(cluster.workflows())) == (1, 1)
    assert condition(cluster, "Suspended") == ("False", "Pending")


def test_a_resumed_run_waits_for_the_pods_of_the_stopped_attempt(cluster):
    begun(cluster)
    spec(cluster, suspend=True)
    ends(cluster, "tr-run-1", "workflow shutdown with strategy:  Terminate")
    spec(cluster, suspend=False)
    assert not cluster.workflows()
    assert 59 <= cluster.look(Run, "run") <= 61


def test_resuming_while_it_still_stops_goes_on_afterwards(cluster):
    begun(cluster)
    spec(cluster, suspend=True)
    spec(cluster, suspend=False)
    ends(cluster, "tr-run-1", "workflow shutdown with strategy:  Terminate")
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["attempt"], status["failures"], status["preemptions"]) == (2, 0, 0)


def test_a_workflow_that_came_late_is_stopped_while_its_run_is_suspended(cluster):
    cluster.put(a_run())
    cluster.look(Run, "run")
    late = cluster.workflows()[0]
    cluster.api.remove("Workflow", "tr-run-1")
    spec(cluster, suspend=True)
    assert cluster.status(Run, "run")["phase"] == "Suspended"
    cluster.put(late)  # a request that took its time
    cluster.look(Run, "run")
    assert cluster.workflows()[0]["spec"]["shutdown"] == "Terminate"
    cluster.argo("tr-run-1", "Failed")
    spec(cluster, suspend=False)
    cluster.settle(Run, "run")
    assert cluster.status(Run, "run")["attempt"] == 2


def test_a_workflow_that_came_late_is_the_one_that_a_resumed_run_goes_on_with(cluster):
    cluster.put(a_run())
    cluster.look(Run, "run")
    late = cluster.workflows()[0]
    cluster.api.remove("Workflow", "tr-run-1")
    spec(cluster, suspend=True)
    cluster.put(late)
    spec(cluster, suspend=False)
    cluster.settle(Run, "run")
    assert [w["metadata"]["name"] for w in cluster.workflows()] == ["tr-run-1"]
    assert (cluster.status(Run, "run")["attempt"], cluster.status(Run, "run")["failures"]) == (1, 0)


def test_a_workflow_that_came_late_is_stopped_when_its_run_has_ended(cluster):
    cluster.put(a_run(computeClass="gone"))
    begun = {"attempt": 1, "workflow": {"name": "tr-run-1"}, "dataset": PINNED}
    cluster.api.change(Run, "run", lambda run: run.update(status=begun))
    cluster.settle(Run, "run")
    assert cluster.status(Run, "run")["phase"] == "Failed"
    cluster.put(
        {"kind": "Workflow", "metadata": {"name": "tr-run-1", "labels": {argo.UID: "u2"}}, "spec": {}}
    )
    spec(cluster, restart=1)
    assert cluster.workflows()[0]["spec"]["shutdown"] == "Terminate"
    assert cluster.status(Run, "run")["phase"] == "Failed"
    cluster.argo("tr-run-1", "Failed")
    cluster.look(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["attempt"], status["phase"], status["observedRestart"]) == (2, "Pending", 1)


def test_a_restart_forgets_failures_and_keeps_attempts(cluster):
    begun(cluster, retry={"maxFailures": 0})
    ends(cluster, "tr-run-1", "main: Error (exit code 1)", 1)
    cluster.settle(Run, "run")
    spec(cluster, restart=1)
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["attempt"], status["failures"], status["observedRestart"]) == (2, 0, 1)
    assert "lastFailure" not in status
    assert "completionTime" not in status
    assert [w["metadata"]["name"] for w in cluster.workflows()] == ["tr-run-2"]


def test_a_restart_of_a_run_that_is_on_its_way_only_forgives(cluster):
    begun(cluster, retry={"maxFailures": 1, "backoff": {"seconds": 0}})
    ends(cluster, "tr-run-1", "main: Error (exit code 1)", 1)
    cluster.settle(Run, "run")
    spec(cluster, restart=1)
    status = cluster.status(Run, "run")
    assert (status["attempt"], status["failures"]) == (2, 0)


def test_somebodys_workflow_of_our_name_is_left_alone(cluster):
    cluster.put({"kind": "Workflow", "metadata": {"name": "tr-run-1"}, "spec": {}})
    cluster.put(a_run())
    cluster.settle(Run, "run")
    assert "is taken" in cluster.status(Run, "run")["lastFailure"]["message"]
    assert "shutdown" not in cluster.workflows()[0]["spec"]


def test_the_workflow_of_a_deleted_namesake_makes_way(cluster):
    begun(cluster)
    cluster.api.remove(Run, "run")
    second = cluster.put(a_run())
    cluster.settle(Run, "run")
    labels = [w["metadata"]["labels"][argo.UID] for w in cluster.workflows()]
    assert labels == [second["metadata"]["uid"]]


def test_a_run_that_is_being_deleted_begins_nothing(cluster):
    cluster.put(a_run())
    cluster.api.change(Run, "run", lambda o: o["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"))
    cluster.settle(Run, "run")
    assert not cluster.workflows()


# Progress and money


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


# Datasets


def test_a_dataset_that_goes_well():
    cluster = FakeCluster()
    cluster.put(a_dataset())
    cluster.settle("Dataset", "data")
    cluster.argo(
        "ds-data-1",
        "Running",
        *[a_node("simulate", "Succeeded", display=f"simulate({n}:{n})") for n in range(3)],
        a_node("convert"),
    )
    cluster.look("Dataset", "data")
    assert condition(cluster, "Fetched", "Dataset", "data") == ("True", "Done")
    assert condition(cluster, "Converted", "Dataset", "data") is None
    cluster.argo(
        "ds-data-1",
        "Succeeded",
        *[a_node(step, "Succeeded") for step in ("simulate", "convert", "validate")],
        a_node("publish-dataset", "Succeeded", result=PUBLISHED_DATASET),
    )
    cluster.settle("Dataset", "data")
    status = cluster.status("Dataset", "data")
    assert (status["phase"], status["version"], status["samples"]) == ("Ready", "v1", 160)
    held = [c["type"] for c in status["conditions"] if c["status"] == "True"]
    assert held == ["Fetched", "Converted", "Validated", "Ready"]
    assert "outOfMemory" not in status


def reclaimed(cluster: FakeCluster, **more: Any) -> FakeCluster:
    """A Dataset that is registered, and then deleted."""
    cluster.put(a_dataset(reclaimPolicy="Delete", **more))
    cluster.settle("Dataset", "data")
    assert cluster.api.objects["Dataset", "data"]["metadata"]["finalizers"] == [FINALIZER]
    cluster.argo("ds-data-1", "Succeeded", a_node("publish-dataset", "Succeeded", result=PUBLISHED_DATASET))
    cluster.settle("Dataset", "data")
    cluster.api.remove("Dataset", "data")
    cluster.settle("Dataset", "data")
    return cluster


def test_a_dataset_is_unregistered_before_it_goes():
    cluster = reclaimed(FakeCluster())
    reclaim = cluster.api.objects["Workflow", "ds-data-reclaim"]
    assert "ownerReferences" not in reclaim["metadata"]
    cluster.argo("ds-data-reclaim", "Succeeded")
    cluster.settle("Dataset", "data")
    cluster.api.collect()
    assert [key for key in cluster.api.objects if key[0] != "Event"] == []


def test_a_dataset_goes_with_a_warning_when_it_cannot_be_unregistered():
    cluster = reclaimed(FakeCluster(), retry={"maxFailures": 1})
    for _ in range(2):
        assert ("Dataset", "data") in cluster.api.objects
        cluster.argo("ds-data-reclaim", "Failed", a_node("reclaim", "Failed", "main: Error (exit code 8)"))
        cluster.settle("Dataset", "data")
    assert ("Dataset", "data") not in cluster.api.objects
    assert "ReclaimFailed" in [reason for reason, _ in cluster.events()]
    assert not [w for w in cluster.workflows() if w["metadata"]["name"] == "ds-data-reclaim"]


def test_a_reclaim_that_never_ends_is_given_up():
    cluster = reclaimed(FakeCluster())
    cluster.wait(RECLAIM_SECONDS + 1)
    cluster.settle("Dataset", "data")
    assert ("Dataset", "data") not in cluster.api.objects


def test_a_dataset_whose_policy_is_retain_again_loses_the_finalizer():
    cluster = FakeCluster()
    cluster.put(a_dataset(reclaimPolicy="Delete"))
    cluster.settle("Dataset", "data")
    spec(cluster, "Dataset", "data", reclaimPolicy="Retain")
    assert cluster.api.objects["Dataset", "data"]["metadata"]["finalizers"] == []


def test_a_dataset_that_is_being_made_is_stopped_before_it_is_reclaimed():
    cluster = FakeCluster()
    cluster.put(a_dataset(reclaimPolicy="Delete", version="v9"))
    cluster.settle("Dataset", "data")
    cluster.argo("ds-data-1", "Running")
    cluster.api.remove("Dataset", "data")
    cluster.look("Dataset", "data")
    assert [w["spec"].get("shutdown") for w in cluster.workflows()] == ["Terminate"]
    cluster.argo("ds-data-1", "Failed")
    assert cluster.look("Dataset", "data") == 60  # its pods may still register it
    cluster.settle("Dataset", "data")
    assert ("Workflow", "ds-data-reclaim") in cluster.api.objects
