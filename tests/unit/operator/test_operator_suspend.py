"""Suspending, resuming and restarting a run: one scenario a test."""

from __future__ import annotations

from operator_fakes import a_run
from operator_scenes import PINNED, Run, begun, condition, ends, spec

from ups_workflows.engines import argo


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
