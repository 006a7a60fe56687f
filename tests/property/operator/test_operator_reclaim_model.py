"""Deleting a Dataset while all goes wrong: it goes in the end, and never silently with its entry kept."""

from __future__ import annotations

import contextlib
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from operator_fakes import PUBLISHED_DATASET, FakeCluster, Fault, Killed, a_dataset, a_node, finished

from ups_operator.api import ApiError, Conflict
from ups_operator.reclaim import FINALIZER
from ups_operator.resync import Resync
from ups_operator.server import Health

MAX_FAILURES = 1
RECLAIM = "ds-data-reclaim"
FAULTS = st.builds(
    Fault,
    st.sampled_from(["killed before", "killed after", "answer lost", "late", "unreachable"]),
    st.sampled_from(
        ["GET Dataset", "PATCH Dataset/status", "PATCH Dataset", "CREATE Workflow", "DELETE Workflow"]
    ),
)


def finalizers(obj: dict[str, Any] | None) -> list[str]:
    return (obj or {}).get("metadata", {}).get("finalizers", [])


class Deletion(RuleBasedStateMachine):
    """The world of one Dataset that is being deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = FakeCluster()
        self.api = self.cluster.api
        self.registered, self.failed = False, 0
        self.api.watch = self.judge

    @initialize(running=st.booleans())
    def apply(self, running: bool) -> None:
        """Ready, or deleted while it is being made."""
        self.cluster.put(
            a_dataset(
                reclaimPolicy="Delete",
                version="v1",
                retry={"maxFailures": MAX_FAILURES, "backoff": {"seconds": 10}},
            )
        )
        self.cluster.settle("Dataset", "data")
        self.cluster.argo("ds-data-1", "Running", a_node("publish-dataset", started=self.cluster.time))
        if not running:
            self.it_is_registered()
            self.cluster.settle("Dataset", "data")
        self.api.remove("Dataset", "data")

    def judge(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        """Called at every write: may the Dataset go now?"""
        if FINALIZER in finalizers(old) and FINALIZER not in finalizers(new):
            told = any(reason == "ReclaimFailed" for reason, _ in self.cluster.events())
            assert not self.registered or told, "it goes, its entry stays, and nobody is told"
            assert "ds-data-1" not in self.live(), "it goes while an attempt could register it again"

    def live(self) -> list[str]:
        return [
            w["metadata"]["name"]
            for w in self.cluster.workflows()
            if w.get("status", {}).get("phase") in (None, "Running")
        ]

    @rule(fault=FAULTS, lag=st.sampled_from([0, 0, 0, 1, 3, 9]))
    def the_operator_looks(self, fault: Fault | None, lag: int) -> None:
        self.api.fault, self.api.lag = fault, lag
        try:
            with contextlib.suppress(ApiError):
                self.cluster.look("Dataset", "data")
        except Killed:
            self.cluster.restart_operator()
        finally:
            self.api.fault, self.api.lag = None, 0

    @rule(looks=st.integers(1, 3))
    def the_operator_is_well(self, looks: int) -> None:
        for _ in range(looks):
            self.the_operator_looks(None, 0)

    @rule(seconds=st.sampled_from([1, 11, 61]))
    def time_passes(self, seconds: int) -> None:
        self.api.arrive()
        self.cluster.wait(seconds)
        finished(Resync(self.api, (), lambda key: None, Health(300), self.cluster.metrics).once())

    def it_is_registered(self) -> None:
        self.registered = True
        self.cluster.argo(
            "ds-data-1", "Succeeded", a_node("publish-dataset", "Succeeded", result=PUBLISHED_DATASET)
        )

    @precondition(lambda self: self.live())
    @rule(end=st.sampled_from(["succeeds", "fails", "is deleted"]))
    def argo_works(self, end: str) -> None:
        name = self.live()[0]
        if end == "is deleted":
            self.api.remove("Workflow", name)
        elif end == "fails":
            self.cluster.argo(name, "Failed", a_node("reclaim", "Failed", "main: Error (exit code 8)"))
            self.failed += name == RECLAIM
        elif name == RECLAIM:
            self.cluster.argo(name, "Succeeded")
            self.registered = False
        else:
            self.it_is_registered()

    def teardown(self) -> None:
        self.api.arrive()
        for _ in range(40):
            if ("Dataset", "data") not in self.api.objects:
                break
            with contextlib.suppress(Conflict):
                again = self.cluster.look("Dataset", "data")
                self.cluster.wait(again or 0)
            for name in self.live():
                self.cluster.argo(name, "Failed", a_node("reclaim", "Failed", "main: Error (exit code 8)"))
                self.failed += name == RECLAIM
        assert ("Dataset", "data") not in self.api.objects, self.cluster.status("Dataset", "data")
        assert self.failed <= MAX_FAILURES + 1
        self.cluster.look("Dataset", "data")  # finds nothing, and says nothing


TestDeletion = Deletion.TestCase
TestDeletion.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_a_kill_between_giving_up_and_letting_go_begins_nothing_more():
    state = Deletion()
    state.apply(running=False)
    for end in (1, 2):
        state.the_operator_is_well(looks=3)
        state.time_passes(seconds=11)
        state.the_operator_is_well(looks=1)
        assert state.live() == [RECLAIM], end
        state.argo_works(end="fails")
    state.the_operator_looks(fault=Fault("killed after", "DELETE Workflow"), lag=0)
    state.teardown()
    assert state.failed == MAX_FAILURES + 1
