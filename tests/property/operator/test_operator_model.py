"""The operator beside everything that may happen around it, in any order that hypothesis can think of.

A model of the cluster holds the truth: which Workflows there were, and how each ended. Users suspend, resume,
restart and delete; Argo starts, fails in every way and loses pods; the operator is killed between requests,
its answers are lost, what it reads is old, the API server is away for half an hour. The code that runs is the
operator's own, down to the single request.

After every single write it is asked whether the operator may have written that. When everything has come to
rest, whether it is where it should be, and whether another look would change anything.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from operator_fakes import (
    PUBLISHED_RUN,
    FakeCluster,
    Fault,
    Killed,
    a_node,
    a_ready_dataset,
    a_run,
    finished,
)

from ups_operator.api import ApiError, Unavailable
from ups_operator.resync import Resync
from ups_operator.server import Health
from ups_workflows.engines import argo

MAX_FAILURES, MAX_PREEMPTIONS, PENDING_SECONDS = 1, 2, 600

#: How a training pod ends, by what is right to make of it: message and exit code.
ENDS = {
    "again": [("main: Error (exit code 1)", 1), ("main: Error (exit code 137)", 137)],
    "final": [
        ("main: Error (exit code 3)", 3),
        ("main: OOMKilled (exit code 137)", 137),
        ("Step exceeded its deadline", 143),
    ],
    "preempted": [
        ("main: Error (exit code 75)", 75),
        ("pod deleted", None),
        ("Pod was terminated in response to imminent node shutdown.", 143),
    ],
}
#: What the operator asks of the API server, and what is worst to lose most often.
REQUESTS = ["GET TrainingRun", "GET Workflow", "GET Dataset", "CREATE Event", "PATCH Workflow"]
REQUESTS += ["PATCH TrainingRun/status", "CREATE Workflow", "DELETE Workflow"] * 3
FAULTS = st.builds(
    Fault,
    st.sampled_from(["killed before", "killed after", "answer lost", "late", "unreachable"]),
    st.sampled_from(REQUESTS),
)
#: What happens, as often as it stands here.
HAPPENS = [
    *["a look goes wrong"] * 8,
    *["a look is at what was"] * 3,
    *["looks: 1", "looks: 2", "looks: 3"] * 2,
    *["seconds: 1", "seconds: 11", "seconds: 61", "seconds: 61", "outage"],
    *["argo: runs"] * 2,
    *[f"argo: {how}" for how in ("waits", "stops", "success", "unpublished", "preempted", *ENDS)],
    *[f"somebody: {what}" for what in ("suspends", "resumes", "resumes", "restarts", "restarts")],
    "somebody: makes or deletes the Dataset",
    "somebody: deletes the Workflow",
    "somebody: terminates the Workflow",
]


class Cluster(RuleBasedStateMachine):
    """The world of one TrainingRun."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = FakeCluster()
        self.api = self.cluster.api
        self.api.watch = self.judge
        #: How Workflows of a name ended: normally one, several where one was deleted unseen and made again.
        self.truth: dict[str, set[str]] = defaultdict(set)
        self.counted: set[str] = set()

    @initialize(
        ready=st.sampled_from([True, True, True, False]), suspend=st.sampled_from([False, False, True])
    )
    def apply(self, ready: bool, suspend: bool) -> None:
        retry = {
            "maxFailures": MAX_FAILURES,
            "maxPreemptions": MAX_PREEMPTIONS,
            "backoff": {"seconds": 10, "maxSeconds": 20},
        }
        if ready:
            self.cluster.put(a_ready_dataset())
        self.cluster.put(a_run(suspend=suspend, retry=retry, pendingTimeoutSeconds=PENDING_SECONDS))

    # What the operator may write

    def judge(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        """Called at every write: is it one that what really happened justifies?"""
        kind = (new or old or {})["kind"]
        if kind == "Workflow" and old is None:
            live = [workflow["metadata"]["name"] for workflow in self.live()]
            assert len(live) <= 1, f"two live Workflows: {live}"
        if kind == "TrainingRun" and old and new and old.get("status") != new.get("status"):
            self.judge_status(old.get("status", {}), new["status"], new["spec"])

    def judge_status(self, old: dict[str, Any], new: dict[str, Any], spec: dict[str, Any]) -> None:
        before, after = old.get("attempt", 0), new["attempt"]
        assert before <= after <= before + 1, "attempts count up one by one"
        name = old.get("workflow", {}).get("name", "none")
        if before and after > before:
            assert name not in [workflow["metadata"]["name"] for workflow in self.live()], (
                "it moved on too early"
            )
            assert self.truth[name], "it moved on from a Workflow that never ended"
        restarted = new["observedRestart"] > old.get("observedRestart", 0)
        assert new["observedRestart"] <= spec["restart"]
        failed = new["failures"] - old.get("failures", 0)
        preempted = new["preemptions"] - old.get("preemptions", 0)
        if restarted:
            assert new["failures"] <= 1
            assert new["preemptions"] <= 1
            failed, preempted = new["failures"], new["preemptions"]
        assert (failed, preempted) in ((0, 0), (1, 0), (0, 1)), "one end is counted once"
        if failed or preempted:
            assert name not in self.counted, f"{name} is counted twice"
            self.counted.add(name)
            right = {"preempted"} if preempted else {"again", "final", "lost", "pending"}
            assert self.truth[name] & right, (
                f"{name} ended {self.truth[name]}, counted {failed} and {preempted}"
            )
        if new["phase"] == "Succeeded" and old.get("phase") != "Succeeded":
            assert "success" in self.truth[name]

    def live(self) -> list[dict[str, Any]]:
        return [w for w in self.cluster.workflows() if w.get("status", {}).get("phase") in (None, "Running")]

    @property
    def run(self) -> dict[str, Any]:
        return self.api.objects["TrainingRun", "run"]

    @rule(what=st.sampled_from(HAPPENS), fault=FAULTS, lag=st.sampled_from([0, 0, 0, 1, 3, 9, 15]))
    def happens(self, what: str, fault: Fault, lag: int) -> None:
        """One rule for all: hypothesis would leave some out of each example, and nearly all are needed."""
        deed, _, how = what.partition(": ")
        if deed == "a look goes wrong":
            self.look(fault, 0)
        elif deed == "a look is at what was":
            self.look(None, lag)
        elif deed == "looks":
            for _ in range(int(how)):
                self.look(None, 0)
        elif deed == "seconds":
            self.api.arrive()
            self.cluster.wait(int(how))
            self.resync()
        elif deed == "outage":
            self.the_api_server_is_away()
        elif deed == "argo" and self.live():
            self.argo_works(how, lag)
        elif deed == "somebody":
            self.somebody_does(how)

    # The operator

    def look(self, fault: Fault | None, lag: int) -> None:
        """Once, with a fault somewhere, or at what is old."""
        self.api.fault, self.api.lag = fault, lag
        try:
            with contextlib.suppress(ApiError):  # its queue would look again
                self.cluster.look("TrainingRun", "run")
        except Killed:
            self.cluster.restart_operator()
        finally:
            self.api.fault, self.api.lag = None, 0

    def resync(self) -> None:
        finished(Resync(self.api, (), lambda key: None, Health(300), self.cluster.metrics).once())

    def the_api_server_is_away(self) -> None:
        """For half an hour, and so Argo hears nothing either; the operator tries on."""
        self.api.arrive()
        before = len(self.cluster.workflows())
        self.api.down = True
        for _ in range(3):
            self.cluster.wait(600)
            with contextlib.suppress(Unavailable):
                self.cluster.look("TrainingRun", "run")
        self.api.down = False
        assert len(self.cluster.workflows()) == before

    # Argo, and what it sees

    def argo_works(self, how: str, which: int) -> None:
        workflow, now = self.live()[0], self.cluster.time
        name = workflow["metadata"]["name"]
        if how == "stops":
            self.it_stops()
        elif how in ("waits", "runs"):
            phase = "Pending" if how == "waits" else "Running"
            self.cluster.argo(name, "Running", a_node("train-operator", phase, started=now))
        elif how in ("success", "unpublished"):
            result = PUBLISHED_RUN if how == "success" else {}
            self.cluster.argo(name, "Succeeded", a_node("publish", "Succeeded", result=result, started=now))
            self.truth[name].add("success" if how == "success" else "again")
            if workflow["spec"].get("shutdown"):
                self.stopped(workflow)
        else:
            message, code = ENDS[how][which % len(ENDS[how])]
            node = a_node("train-operator", "Failed", message, exit_code=code, started=now, finished=now)
            self.cluster.argo(name, "Failed", node)
            self.truth[name].add(how)
            if workflow["spec"].get("shutdown"):
                self.stopped(workflow)

    def it_stops(self) -> None:
        """Argo ends at once what is shut down; its pods go on for their grace."""
        for workflow in self.live():
            if workflow["spec"].get("shutdown"):
                now, name = self.cluster.time, workflow["metadata"]["name"]
                message = "workflow shutdown with strategy:  Terminate"
                node = a_node("train-operator", "Failed", message, exit_code=75, started=now, finished=now)
                self.cluster.argo(name, "Failed", node)
                self.stopped(workflow)

    def stopped(self, workflow: dict[str, Any]) -> None:
        reason = workflow["metadata"].get("annotations", {}).get("ups.dev/stop-reason")
        end = {"PendingTimeout": "pending", None: "lost"}.get(reason, "stopped")
        self.truth[workflow["metadata"]["name"]].add(end)

    # People

    def somebody_does(self, what: str) -> None:
        if what in ("suspends", "resumes"):
            self.api.change("TrainingRun", "run", lambda run: run["spec"].update(suspend=what == "suspends"))
        elif what == "restarts":
            count = self.run["spec"]["restart"] + 1
            self.api.change("TrainingRun", "run", lambda run: run["spec"].update(restart=count))
        elif what == "makes or deletes the Dataset":
            if ("Dataset", "data") in self.api.objects:
                self.api.remove("Dataset", "data")
            else:
                self.cluster.put(a_ready_dataset())
        elif what == "deletes the Workflow" and self.cluster.workflows():
            name = self.cluster.workflows()[-1]["metadata"]["name"]
            self.api.remove("Workflow", name)
            self.truth[name].add("lost")
        elif what == "terminates the Workflow" and self.live():
            name = self.live()[0]["metadata"]["name"]
            self.api.change("Workflow", name, lambda workflow: workflow["spec"].update(shutdown="Stop"))

    # At rest

    def everything_comes_to_rest(self) -> None:
        self.api.arrive()
        for _ in range(40):
            before = self.api.version
            again = self.cluster.look("TrainingRun", "run")
            self.it_stops()
            self.resync()
            if again is not None and again < PENDING_SECONDS / 2:
                self.cluster.wait(again)
            elif self.api.version == before:
                break
        else:
            raise AssertionError(f"it does not come to rest: {self.run['status']}")
        self.is_where_it_should_be()
        version = self.api.version
        self.cluster.restart_operator()
        self.cluster.wait(5)
        self.cluster.look("TrainingRun", "run")
        assert self.api.version == version, "another look has changed something"

    def is_where_it_should_be(self) -> None:
        spec, status, live = self.run["spec"], self.run["status"], self.live()
        phase, name = status["phase"], status.get("workflow", {}).get("name")
        ended = self.truth[name] if name else set()
        assert status["observedRestart"] == spec["restart"]
        assert {w["metadata"]["name"] for w in self.cluster.workflows()} <= {name}, "an earlier one is left"
        if phase == "Succeeded":
            assert "success" in ended
            assert status["metrics"] == PUBLISHED_RUN["metrics"]
            assert not live
        elif phase == "Failed":
            assert status["lastFailure"]["reason"]
            enough = status["failures"] > MAX_FAILURES or status["preemptions"] > MAX_PREEMPTIONS
            assert enough or ended & {"final", "pending"}
            assert not live
        elif spec["suspend"]:
            assert phase == "Suspended"
            assert not live
        elif "dataset" not in status:
            assert phase == "Pending"
            assert ("Dataset", "data") not in self.api.objects
            assert not live
        else:
            assert phase in ("Pending", "Running")
            assert [(w["metadata"]["name"], w["metadata"]["uid"]) for w in live] == [
                (name, status["workflow"]["uid"])
            ]
            assert live[0]["metadata"]["labels"][argo.ATTEMPT] == str(status["attempt"])

    def teardown(self) -> None:
        if ("TrainingRun", "run") in self.api.objects:
            self.everything_comes_to_rest()


TestTheOperator = Cluster.TestCase
#: A soak takes its time.
EXAMPLES = 3000 if os.environ.get("UPS_SOAK") == "1" else 80
TestTheOperator.settings = settings(max_examples=EXAMPLES, stateful_step_count=50, deadline=None)
