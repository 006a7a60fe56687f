"""What the operator does about a Dataset and its Workflow: one scenario a test."""

from __future__ import annotations

from typing import Any

from operator_fakes import PUBLISHED_DATASET, FakeCluster, a_dataset, a_node
from operator_scenes import condition, spec

from ups_operator.reclaim import FINALIZER, RECLAIM_SECONDS


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
