"""What the operator asks of a run before it begins: one scenario a test."""

from __future__ import annotations

from typing import Any

import pytest
from operator_fakes import PUBLISHED_DATASET, FakeCluster, a_dataset, a_node, a_ready_dataset, a_run
from operator_scenes import PINNED, Run, begun, condition, ends, spec


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
