"""The order of requests, and what each kind of trouble with one of them leads to."""

from __future__ import annotations

import json

import pytest
from operator_fakes import FakeCluster, Fault, Killed, a_dataset, a_node, a_ready_dataset, a_run
from prometheus_client import generate_latest

from ups_operator.api import Conflict, Denied, Missing, Refused, Unavailable, error_of

Run = "TrainingRun"


@pytest.fixture
def cluster() -> FakeCluster:
    cluster = FakeCluster()
    cluster.put(a_ready_dataset())
    cluster.put(a_run())
    return cluster


def look_with(cluster: FakeCluster, fault: Fault) -> None:
    cluster.api.fault = fault
    try:
        cluster.look(Run, "run")
    finally:
        cluster.api.fault = None


def test_a_run_that_is_on_its_way_costs_two_requests_a_look(cluster):
    cluster.settle(Run, "run")
    cluster.argo("tr-run-1", "Running", a_node("cache", started=cluster.time))
    cluster.settle(Run, "run")
    cluster.look(Run, "run")
    assert cluster.api.requests == ["GET TrainingRun", "GET Workflow"]


def test_what_was_decided_on_an_old_version_does_nothing(cluster):
    cluster.look(Run, "run")
    cluster.api.remove("Workflow", "tr-run-1")
    old = cluster.api.version
    # Since then the Workflow was made again, seen, and has ended; the run has moved on.
    cluster.settle(Run, "run")
    cluster.argo("tr-run-1", "Failed", a_node("cache", "Failed", "main: Error (exit code 75)", exit_code=75))
    cluster.settle(Run, "run")
    assert [w["metadata"]["name"] for w in cluster.workflows()] == ["tr-run-2"]
    cluster.api.lag = cluster.api.version - old
    with pytest.raises(Conflict):
        cluster.look(Run, "run")
    assert [w["metadata"]["name"] for w in cluster.workflows()] == ["tr-run-2"]


def test_nobody_moves_on_from_a_workflow_that_was_asked_for_again_since(cluster):
    cluster.look(Run, "run")
    cluster.argo("tr-run-1", "Failed", a_node("cache", "Failed", "main: Error (exit code 75)", exit_code=75))
    old = cluster.api.version
    cluster.api.remove("Workflow", "tr-run-1")
    # It was never recorded, so it is made again; all else is as it was.
    cluster.look(Run, "run")
    cluster.api.lag = cluster.api.version - old
    with pytest.raises(Conflict):
        cluster.look(Run, "run")
    assert [w["metadata"]["name"] for w in cluster.workflows()] == ["tr-run-1"]


@pytest.mark.parametrize("kind", ["killed before", "killed after", "answer lost", "late", "unreachable"])
@pytest.mark.parametrize(
    "at", ["GET TrainingRun", "GET Dataset", "PATCH TrainingRun/status", "CREATE Workflow"]
)
def test_a_first_look_that_is_cut_off_anywhere_is_made_up_for(cluster, kind, at):
    with pytest.raises((Killed, Unavailable)):
        look_with(cluster, Fault(kind, at))
    cluster.restart_operator()
    cluster.settle(Run, "run")
    status = cluster.status(Run, "run")
    assert (status["attempt"], status["failures"], len(cluster.workflows())) == (1, 0, 1)


def test_an_event_that_cannot_be_written_holds_nothing_up(cluster):
    look_with(cluster, Fault("unreachable", "CREATE Event"))
    assert len(cluster.workflows()) == 1
    assert not cluster.events()


def test_an_event_is_written_once(cluster):
    cluster.look(Run, "run")
    cluster.api.remove("Workflow", "tr-run-1")
    cluster.look(Run, "run")
    assert [reason for reason, _ in cluster.events()] == ["AttemptStarted"]


def test_our_own_writes_are_told_from_others(cluster):
    cluster.look(Run, "run")
    assert cluster.hints.is_echo(cluster.api.objects[Run, "run"])
    assert cluster.hints.is_echo(cluster.api.objects["Workflow", "tr-run-1"])
    cluster.api.change(Run, "run", lambda run: run["spec"].update(suspend=True))
    assert not cluster.hints.is_echo(cluster.api.objects[Run, "run"])


def test_a_dataset_that_we_made_is_news_to_us(cluster):
    cluster.put(a_run("own", dataset=a_dataset()["spec"], datasetRef=None))
    cluster.look(Run, "own")
    assert not cluster.hints.is_echo(cluster.api.objects["Dataset", "own"])


def test_a_stop_waits_for_what_has_changed_since_it_was_decided(cluster):
    cluster.settle(Run, "run")
    cluster.argo("tr-run-1", "Running", a_node("cache", "Pending", started=cluster.time))
    cluster.settle(Run, "run")
    old = cluster.api.version
    cluster.wait(3600)
    cluster.argo("tr-run-1", "Running", a_node("cache", "Running", started=cluster.time))
    cluster.api.lag = cluster.api.version - old
    with pytest.raises(Conflict):
        cluster.look(Run, "run")  # sees it wait for a node still
    assert "shutdown" not in cluster.workflows()[0]["spec"]


def test_what_is_gone_is_forgotten(cluster):
    cluster.look(Run, "run")
    cluster.api.remove(Run, "run")
    assert cluster.look(Run, "run") is None
    assert b'ups_resources{kind="TrainingRun"' not in _scraped(cluster)


def test_what_happens_is_counted(cluster):
    cluster.settle(Run, "run")
    cluster.argo("tr-run-1", "Failed", a_node("cache", "Failed", "main: Error (exit code 3)", exit_code=3))
    cluster.settle(Run, "run")
    text = _scraped(cluster).decode()
    for line in (
        'ups_attempts_total{kind="TrainingRun"} 1.0',
        'ups_failures_total{kind="TrainingRun",reason="DataInvalid"} 1.0',
        'ups_resources{kind="TrainingRun",phase="Failed"} 1.0',
    ):
        assert line in text


def _scraped(cluster: FakeCluster) -> bytes:
    return generate_latest(cluster.metrics.registry)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (409, {"reason": "AlreadyExists"}, Conflict),
        (404, {"details": {"name": "tr-run-1", "kind": "workflows"}}, Missing),
        # Its CustomResourceDefinition is not there, or not yet: nothing is known of the object.
        (404, {"details": {}, "message": "the server could not find the requested resource"}, Unavailable),
        (404, "404 page not found", Unavailable),
        (422, {"message": "spec.podPriority: Invalid value"}, Refused),
        (413, {"message": "request is too large"}, Refused),
        (403, {"message": "exceeded quota"}, Denied),
        (401, {"message": "Unauthorized"}, Denied),
        (429, {"message": "too many requests"}, Unavailable),
        (503, {"message": "etcdserver: leader changed"}, Unavailable),
        (504, "", Unavailable),
    ],
)
def test_answers_are_told_apart_by_what_to_do_about_them(status, body, kind):
    text = body if isinstance(body, str) else json.dumps(body)
    assert type(error_of(status, "GET /x", text.encode())) is kind
