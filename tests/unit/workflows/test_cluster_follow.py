"""Following: what is told look by look, when it ends, and with which exit code."""

from __future__ import annotations

import pytest

from ups_core.errors import NotFound
from ups_workflows.cluster import follow as module
from ups_workflows.cluster.client import ClusterUnavailable
from ups_workflows.cluster.follow import CODES, ended, exit_code, follow
from ups_workflows.engines.local import Listener

TRUE_END = {"phase": "Succeeded", "attempt": 1}


def run(status=None, **spec):
    spec = {"datasetRef": {"name": "data"}, **spec}
    return {"kind": "TrainingRun", "metadata": {"name": "demo"}, "spec": spec, "status": status or {}}


ENDS = [
    (run(), False),
    (run({"phase": "Pending"}), False),
    (run({"phase": "Running"}), False),
    (run({"phase": "Succeeded"}), True),
    (run({"phase": "Failed"}), True),
    (run({"phase": "Failed"}, restart=1), False),
    (run({"phase": "Failed", "observedRestart": 1}, restart=1), True),
    (run({"phase": "Suspended"}), False),
    (run({"phase": "Suspended"}, suspend=True), True),
    (run({"phase": "Running"}, suspend=True), False),
    (run({"phase": "Ready"}), True),
]


@pytest.mark.parametrize(("resource", "expected"), ENDS)
def test_it_has_ended_when_nobody_will_act_any_more(resource, expected):
    assert ended(resource) is expected


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"phase": "Succeeded"}, 0),
        ({"phase": "Ready"}, 0),
        ({"phase": "Suspended"}, 130),
        ({"phase": "Failed", "lastFailure": {"reason": "DataInvalid", "exitCode": 3}}, 3),
        ({"phase": "Failed", "lastFailure": {"reason": "PendingTimeout"}}, 75),
        ({"phase": "Failed", "lastFailure": {"reason": "WorkflowLost"}}, 1),
        ({"phase": "Failed"}, 1),
    ],
)
def test_the_exit_code_is_that_of_a_local_run(status, code):
    assert exit_code(run(status)) == code


def test_every_reason_has_a_code_that_the_list_knows():
    assert set(CODES.values()) <= {2, 3, 4, 5, 6, 7, 8, 75, 137}


class Recorder(Listener):
    """Writes down what it is told."""

    def __init__(self):
        self.told = []

    def planned(self, steps):
        self.told += [("planned", name) for name in steps]

    def started(self, name):
        self.told.append(("started", name))

    def progress(self, name, percent, text):
        self.told.append((name, percent))

    def said(self, name, line):
        self.told.append(line)

    def finished(self, name, result):
        self.told.append(("finished", name))

    def failed(self, failure):
        self.told.append((failure.step, failure.reason, failure.exit_code))


class Script:
    """Stands in for a cluster: what each path answers, look by look; the last answer stays."""

    namespace = "team"

    def __init__(self, **answers):
        self.answers = {path.replace("_", "-"): list(each) for path, each in answers.items()}

    def get(self, path):
        name = "/".join(path.rsplit("/", 2)[-2:])
        waiting = self.answers.get(name.partition("/")[0], [NotFound("gone")])
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def pod(name, phase, started="1", **more):
    return {
        "id": name, "name": name, "displayName": name, "templateName": name,
        "type": "Pod", "phase": phase, "startedAt": started, **more,
    }  # fmt: skip


def result(text):
    return {"outputs": {"parameters": [{"name": "result", "value": text}]}}


def workflow(*pods):
    return {"status": {"nodes": {each["id"]: each for each in pods}}}


def told(kind="TrainingRun", **answers):
    recorder = Recorder()
    end = follow(Script(**answers), kind, "demo", recorder, sleep=lambda seconds: None)
    return end, recorder.told


RUNNING = {"phase": "Running", "attempt": 1, "workflow": {"name": "tr-demo-1"}}
RESOLVED = pod("resolve", "Succeeded", "0", **result('{"cached": 2, "steps": ["train-operator", "publish"]}'))


def test_a_run_is_told_as_the_local_engine_tells_it():
    done = pod("train-operator", "Succeeded", **result('{"object": "objects/train/a", "digest": "b"}'))
    end, lines = told(
        trainingruns=[run(), run(RUNNING), run(RUNNING), run(RUNNING), run(TRUE_END | RUNNING | TRUE_END)],
        workflows=[
            workflow(RESOLVED, pod("train-operator", "Pending", message="0/1 nodes are available")),
            workflow(RESOLVED, pod("train-operator", "Running", progress="40/100")),
            workflow(RESOLVED, pod("train-operator", "Running", progress="40/100")),
            workflow(RESOLVED, done),
        ],
    )
    assert end["status"]["phase"] == "Succeeded"
    assert lines == [
        "TrainingRun demo waits for the operator",
        ("started", "resolve"),
        ("planned", "train-operator"),
        "2 steps are cached",
        "train-operator waits: 0/1 nodes are available",
        ("started", "train-operator"),
        ("train-operator", 40),
        ("finished", "train-operator"),
    ]


def test_a_second_attempt_and_what_ended_it():
    failure = {"reason": "StageFailed", "stage": "train-operator", "exitCode": 7, "message": "diverged"}
    again = RUNNING | {"attempt": 2, "preemptions": 1, "failures": 0}
    end, lines = told(
        trainingruns=[run(RUNNING), run(again), run(again | {"phase": "Failed", "lastFailure": failure})]
    )
    assert exit_code(end) == 7
    assert lines == [
        "demo: attempt 2; so far 0 failed, 1 preempted",
        "demo: diverged",
        ("train-operator", "StageFailed", 7),
    ]


def test_a_run_whose_dataset_has_failed_ends_with_the_dataset():
    waits = [
        {"type": "DatasetReady", "status": "False", "reason": "Failed", "message": "Dataset data failed"}
    ]
    failure = {"reason": "DataInvalid", "stage": "validate", "exitCode": 3, "message": "NaN"}
    data = {"kind": "Dataset", "metadata": {"name": "data"}, "spec": {}}
    end, lines = told(
        trainingruns=[run({"phase": "Pending", "conditions": waits})],
        datasets=[
            data | {"status": {"phase": "Running"}},
            data | {"status": {"phase": "Failed", "lastFailure": failure}},
        ],
    )
    assert end["kind"] == "Dataset"
    assert lines == ["demo waits: Dataset data failed", "data: NaN", ("validate", "DataInvalid", 3)]


def test_a_dataset_that_is_missing_is_waited_for():
    waits = [{"type": "DatasetReady", "status": "False", "message": "there is no Dataset data"}]
    end, lines = told(trainingruns=[run({"phase": "Pending", "conditions": waits}), run(TRUE_END)])
    assert end["status"]["phase"] == "Succeeded"
    assert lines == ["demo waits: there is no Dataset data"]


def test_an_api_server_that_is_away_for_a_moment_is_waited_for_and_one_that_stays_away_is_not():
    away = ClusterUnavailable("the API server does not answer")
    end, lines = told(trainingruns=[away, away, run(TRUE_END)])
    assert end["status"]["phase"] == "Succeeded"
    assert len(lines) == 1
    times = iter([0.0, 1.0, module.PATIENCE + 2.0])
    with pytest.raises(ClusterUnavailable):
        follow(
            Script(trainingruns=[away]), "TrainingRun", "demo", Recorder(),
            sleep=lambda seconds: None, clock=lambda: next(times),
        )  # fmt: skip


def test_a_run_that_is_deleted_is_not_found():
    with pytest.raises(NotFound):
        told(trainingruns=[run(RUNNING), NotFound("gone")])
