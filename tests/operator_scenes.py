"""What happens to a run on the fake cluster, in the words of the scenarios.

In these the whole path is run, from the request that reads to the one that writes, so that ``decide``,
``apply`` and the status are held together.
"""

from __future__ import annotations

from typing import Any

from operator_fakes import PUBLISHED_RUN, FakeCluster, a_node, a_run

Run = "TrainingRun"
PINNED = {"family": "burgers1d", "converted": "objects/convert/k", "validated": "objects/validate/k"}


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
