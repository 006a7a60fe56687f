"""How attempts of a run end, and what comes after: one scenario a test."""

from __future__ import annotations

import pytest
from operator_fakes import PUBLISHED_RUN, a_node, a_run
from operator_scenes import Run, begun, condition, ends, succeeds


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
