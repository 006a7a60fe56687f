"""The operator is killed, the API server is away, the chart is upgraded and removed: runs do not notice."""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pytest
from installed import SYSTEM, Installed, a_dataset, a_run
from machine import cluster as life

SOAK = os.environ.get("UPS_SOAK") == "1"
KILLS, OUTAGE = (30, 120.0) if SOAK else (3, 20.0)


@pytest.fixture(scope="module", autouse=True)
def _dataset(ups: Installed) -> None:
    ups.apply(a_dataset())
    assert ups.ended("dataset", "tiny")["phase"] == "Ready"


def a_long_run(name: str, seed: int, **limit: float) -> dict[str, Any]:
    config = {"architecture": {"name": "conv", "width": 16}, "steps": None, "validations": 5, **limit}
    return a_run(name, {"config": config}, seed=seed)


def uids(ups: Installed, name: str) -> set[str]:
    """The UIDs of all Workflows that a run has now."""
    return {
        each["metadata"]["uid"]
        for each in ups.items("workflows", f"--selector=ups.dev/name={name},ups.dev/kind=tr")
    }


def executor_has_spoken(ups: Installed, name: str) -> bool:
    """Whether the pod that trains has the task result with which Argo's executor begins."""
    pod = ups.training_pod(name)
    results = [each["metadata"]["name"] for each in ups.items("workflowtaskresults")] if pod else []
    return any(pod and pod.endswith(result.rpartition("-")[2]) for result in results)


def kill_operator(ups: Installed) -> None:
    pods = ("delete", "pod", "--selector=app.kubernetes.io/component=operator", "--grace-period=0", "--force")
    ups.cluster.kubectl(f"--namespace={SYSTEM}", *pods, "--wait=false")


def test_an_operator_that_is_killed_starts_nothing_twice(ups: Installed):
    ups.apply(a_long_run("killed", 41, steps=1500 if not SOAK else 12000))
    seen: set[str] = set()
    for _ in range(KILLS):
        time.sleep(random.uniform(0.5, 8))
        kill_operator(ups)
        seen |= uids(ups, "killed")
    status = ups.ended("trainingrun", "killed", 900)
    seen |= uids(ups, "killed")
    assert status["phase"] == "Succeeded", status
    assert (status["attempt"], status["failures"], status["preemptions"]) == (1, 0, 0)
    assert len(seen) == 1


def test_an_api_server_that_is_away_relaunches_nothing(ups: Installed):
    # Argo's executor speaks to the API server when a pod begins and when it ends, and tries for 15 s. Whoever
    # cannot tell is a preemption by the rules; here the outage lies between the two.
    ups.apply(a_long_run("outlived", 42, cpuBudgetSeconds=2 * OUTAGE + 20))
    ups.until(lambda: executor_has_spoken(ups, "outlived"), ups.state)
    before = uids(ups, "outlived")
    life.stop_api_server()
    time.sleep(OUTAGE)
    life.start_api_server()
    status = ups.ended("trainingrun", "outlived", 900)
    assert status["phase"] == "Succeeded", status
    assert (status["attempt"], status["failures"], status["preemptions"]) == (1, 0, 0)
    assert uids(ups, "outlived") == before
