"""What a user does with a cluster, from ``kubectl apply`` on; nothing of it is a fake."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from installed import DATASET, Installed, a_dataset, a_run

from ups_core.errors import UpsError
from ups_core.store import RunRecord

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples/quickstart.yaml"


def locally(file: Path, store: Path) -> dict[str, Any]:
    """The TrainingRun of a file as ``ups run`` leaves it on this machine."""
    command = [sys.executable, "-m", "ups_workflows", "run", str(file), "--store", str(store), "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found if isinstance(found, dict) else found[-1]


def published(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Step to key and digest of what a resource has published."""
    return {each["name"]: (each["uri"].rpartition("/")[2], each["digest"]) for each in status["artifacts"]}


@pytest.fixture(scope="module")
def tiny(ups: Installed) -> dict[str, Any]:
    """The tiny dataset, Ready."""
    ups.apply(a_dataset())
    status = ups.ended("dataset", "tiny")
    assert status["phase"] == "Ready", status
    return status


@pytest.fixture(scope="module")
def finished(ups: Installed, tiny: dict[str, Any]) -> dict[str, Any]:
    """The tiny run, Succeeded: what other runs find cached."""
    ups.apply(a_run("tiny"))
    status = ups.ended("trainingrun", "tiny")
    assert status["phase"] == "Succeeded", status
    return status


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run of half a minute, and what it comes to when nothing disturbs it."""
    steps = {"config": {"architecture": {"name": "conv", "width": 16}, "steps": 3000, "validations": 5}}
    run = a_run("disturbed", steps)
    folder = tmp_path_factory.mktemp("undisturbed")
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump_all([yaml.safe_load(DATASET), run]))
    return run, locally(file, folder / "store")["status"]


def test_the_quickstart_gives_on_a_cluster_what_it_gives_on_a_laptop(ups: Installed, tmp_path: Path):
    ups.kubectl("apply", f"--filename={QUICKSTART}")
    laptop = locally(QUICKSTART, tmp_path / "store")["status"]
    assert ups.ended("dataset", "burgers-demo", 400)["phase"] == "Ready"
    status = ups.ended("trainingrun", "burgers-demo", 600)
    assert status["phase"] == "Succeeded", status
    there = published(status) | published(ups.get("dataset", "burgers-demo")["status"])
    assert {name: there[name] for name in published(laptop)} == published(laptop)
    assert status["metrics"] == laptop["metrics"]
    assert status["attempt"] == 1
    assert {each["type"]: each["status"] for each in status["conditions"]}["Complete"] == "True"
    report = RunRecord(ups.store, next(record_paths(ups, "tr", "burgers-demo"))).path("report/report.html")
    assert b"<html" in ups.store.get(report)
    artifacts = ups.node("tr-burgers-demo-1", "publish")["outputs"]["artifacts"]
    assert {each["name"]: each["s3"]["key"] for each in artifacts}["report"] == f"store/{report}"

    # Again under another name: the same keys, so nothing is trained, and yet there are a record and a report.
    again = next(each for each in yaml.safe_load_all(QUICKSTART.read_text()) if each["kind"] == "TrainingRun")
    again["metadata"]["name"] = "again"
    again["spec"]["evaluation"] = {
        **again["spec"].get("evaluation", {}),
        "gates": [{"metric": "rollout.nrmse", "max": 1}],
    }
    ups.apply(again)
    second = ups.ended("trainingrun", "again", 120)
    assert (second["phase"], second["metrics"]) == ("Succeeded", status["metrics"])
    steps = ups.workflow_steps("tr-again-1")
    assert {name for name, phase in steps.items() if phase == "Succeeded"} == {"resolve", "publish"}
    assert [each["phase"] for each in second["stages"]] == ["Cached"]
    assert ups.store.exists(f"{next(record_paths(ups, 'tr', 'again'))}/report/report.html")


def record_paths(ups: Installed, folder: str, name: str):
    for entry in ups.store.list(f"runs/{ups.namespace}/{folder}/{name}"):
        if entry.path.endswith("/run.json"):
            yield entry.path.removesuffix("/run.json")


def test_a_dataset_that_is_cached_is_registered_under_its_other_name(ups: Installed, tiny: dict[str, Any]):
    ups.apply(a_dataset("other"))
    status = ups.ended("dataset", "other", 120)
    assert (status["phase"], status["digest"], status["samples"]) == ("Ready", tiny["digest"], 14)
    assert ups.store.exists(f"datasets/{ups.namespace}/other/{status['version']}.json")
    ran = {name for name, phase in ups.workflow_steps("ds-other-1").items() if phase == "Succeeded"}
    assert ran == {"resolve", "publish-dataset"}


def test_preempted_and_drained_it_comes_to_the_same_bytes(
    ups: Installed, tiny: dict[str, Any], long_run: tuple[dict[str, Any], dict[str, Any]]
):
    run, undisturbed = long_run
    ups.apply(run)
    for preemptions in (1, 2, 3):
        pod = wait_for_training(ups, "disturbed")
        if preemptions < 3:
            ups.kubectl("delete", "pod", pod, "--wait=false")
        else:
            node = ups.get("pod", pod)["spec"]["nodeName"]
            drain = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")
            selector = "--pod-selector=ups.dev/name=disturbed"
            ups.cluster.kubectl("drain", node, *drain, selector)
            ups.cluster.kubectl("uncordon", node)
        seen = ups.status("trainingrun", "disturbed", lambda s, n=preemptions: s.get("preemptions", 0) >= n)
        assert (seen["preemptions"], seen["failures"]) == (preemptions, 0)
    status = ups.ended("trainingrun", "disturbed", 400)
    assert status["phase"] == "Succeeded", status
    assert (status["preemptions"], status["failures"], status["attempt"]) == (3, 0, 4)
    assert published(status).items() <= published(undisturbed).items()
    assert published(status)["train-operator"] == published(undisturbed)["train-operator"]
    resumed = list(RunRecord(ups.store, next(record_paths(ups, "tr", "disturbed"))).rows("events"))
    assert len([row for row in resumed if (row["step"], row["event"]) == ("train-operator", "started")]) == 4
    assert "step" in next(row["message"] for row in resumed if row["event"] == "stopped")


def wait_for_training(ups: Installed, name: str) -> str:
    """The pod that trains, once it has saved a checkpoint later than those that are there."""
    before = last_checkpoint(ups, name)
    ups.until(lambda: last_checkpoint(ups, name) > before, lambda: f"{name} saves no checkpoint")
    pod = ups.training_pod(name)
    assert pod is not None, "it was done before it could be disturbed"
    return pod


def last_checkpoint(ups: Installed, name: str) -> int:
    """The step of a run's newest checkpoint; 0 where there is none."""
    paths = (entry.path for entry in ups.store.list(f"runs/{ups.namespace}/tr/{name}"))
    return max((int(path.split("/")[-2]) for path in paths if path.endswith("/checkpoint.json")), default=0)


def test_out_of_memory_is_told_and_with_leave_more_is_given(ups: Installed, tiny: dict[str, Any]):
    small = {"resources": {"memory": "150Mi"}}
    ups.apply(a_run("starved", small, seed=11))
    ups.apply(a_run("fed", small, seed=12, retry={"oomMemoryFactor": 8}))
    failed = ups.ended("trainingrun", "starved")
    assert (failed["phase"], failed["lastFailure"]["reason"]) == ("Failed", "OutOfMemory")
    assert (failed["lastFailure"]["stage"], failed["failures"]) == ("train-operator", 1)
    fed = ups.ended("trainingrun", "fed")
    assert (fed["phase"], fed["outOfMemory"], fed["failures"]) == ("Succeeded", 1, 1)


def test_a_broken_file_fails_the_dataset_and_schedules_no_further_pod(ups: Installed):
    ups.store.put("raw/broken.hdf5", b"\x89HDF\r\n\x1a\n" + bytes(400))
    uri = f"{ups.store_uri}/raw/broken.hdf5"
    broken = a_dataset("broken")
    broken["spec"]["source"] = {"uri": uri}
    ups.apply(broken)
    status = ups.ended("dataset", "broken")
    failure = status["lastFailure"]
    assert (status["phase"], failure["reason"], failure["exitCode"]) == ("Failed", "DataInvalid", 3)
    assert failure["stage"] == "convert"
    assert "broken.hdf5" in failure["message"]
    assert set(ups.workflow_steps("ds-broken-1")) == {"resolve", "fetch", "convert"}


def test_a_problem_of_ones_own_is_declared_and_trained_on(ups: Installed):
    values = np.random.default_rng(0).standard_normal((8, 3, 32)).astype(np.float32)
    np.savez(file := io.BytesIO(), height=values)
    ups.store.put("raw/lake.npz", file.getvalue())
    layout = {"state": "height", "axes": "NTX", "nodes": "left", "frameInterval": 0.1}
    periodic = {"boundary": {"x": "periodic"}, "shifts": ["x"]}
    declared = {"space": "X", "fields": [{"name": "h", "unit": "m"}], "layout": layout, **periodic}
    lake = a_dataset("lake", family="lake", declaration=declared, splits={"train": 4, "val": 2, "test": 2})
    lake["spec"]["source"] = {"uri": f"{ups.store_uri}/raw/lake.npz"}
    del lake["spec"]["convert"]
    ups.apply(lake)
    ups.apply(a_run("lake", {"config": {"steps": 10}}, datasetRef={"name": "lake"}))
    status = ups.ended("trainingrun", "lake")
    assert status["phase"] == "Succeeded", status
    assert status["dataset"]["family"]["name"] == "lake"
    assert "persistence.rollout.nrmse" in status["metrics"]


def test_a_loss_that_is_no_number_fails_the_stage(ups: Installed, tiny: dict[str, Any]):
    ups.apply(a_run("diverging", {"config": {"lr": 1e30, "muonLr": 1e30, "clip": 1e30}}))
    status = ups.ended("trainingrun", "diverging")
    failure = status["lastFailure"]
    assert (failure["reason"], failure["exitCode"], failure["stage"]) == ("StageFailed", 7, "train-operator")


def test_an_image_that_cannot_be_pulled_is_told_in_the_kubelets_words(ups: Installed, tiny: dict[str, Any]):
    missing = {"torch": "registry.invalid/ups-torch:missing"}
    ups.apply(a_run("unpullable", seed=13, image=missing, pendingTimeoutSeconds=15))
    status = ups.ended("trainingrun", "unpullable")
    assert (status["phase"], status["lastFailure"]["reason"]) == ("Failed", "PendingTimeout")
    assert "registry.invalid/ups-torch:missing" in status["lastFailure"]["message"]


def test_a_gate_that_is_missed_fails_a_run_from_the_cache_too(ups: Installed, finished: dict[str, Any]):
    ups.apply(a_run("gated", evaluation={"gates": [{"metric": "rollout.nrmse", "max": 1e-9}]}))
    status = ups.ended("trainingrun", "gated", 120)
    failure = status["lastFailure"]
    assert (status["phase"], failure["reason"], failure["exitCode"]) == ("Failed", "GateFailed", 7)
    assert "rollout.nrmse" in failure["message"]
    assert status["metrics"] == finished["metrics"]


def test_a_suspended_run_stops_with_its_checkpoint_and_resumes(
    ups: Installed, tiny: dict[str, Any], long_run: tuple[dict[str, Any], dict[str, Any]]
):
    run, _ = long_run
    ups.apply({**run, "metadata": {"name": "paused"}, "spec": {**run["spec"], "seed": 21}})
    wait_for_training(ups, "paused")
    patch(ups, "paused", {"suspend": True})
    status = ups.status("trainingrun", "paused", lambda s: s.get("phase") == "Suspended")
    assert (status["failures"], status["preemptions"]) == (0, 0)
    ups.until(lambda: ups.training_pod("paused") is None, ups.state)
    patch(ups, "paused", {"suspend": False})
    status = ups.ended("trainingrun", "paused")
    assert (status["phase"], status["attempt"], status["failures"]) == ("Succeeded", 2, 0)


def patch(ups: Installed, name: str, spec: dict[str, Any]) -> None:
    ups.kubectl("patch", "trainingrun", name, "--type=merge", f"--patch={json.dumps({'spec': spec})}")


def test_an_edit_that_would_change_the_work_is_refused(ups: Installed, finished: dict[str, Any]):
    with pytest.raises(UpsError, match="seed cannot be changed: create a resource of another name"):
        patch(ups, "tiny", {"seed": 5})
    patch(ups, "tiny", {"ttlSecondsAfterFinished": {"succeeded": 1000000}})


def test_a_workflow_deleted_under_its_feet_is_lost_and_made_again(
    ups: Installed, tiny: dict[str, Any], long_run: tuple[dict[str, Any], dict[str, Any]]
):
    run, _ = long_run
    ups.apply({**run, "metadata": {"name": "orphaned"}, "spec": {**run["spec"], "seed": 22}})
    wait_for_training(ups, "orphaned")
    ups.kubectl("delete", "workflow", "tr-orphaned-1", "--wait=false")
    status = ups.ended("trainingrun", "orphaned", 400)
    assert (status["phase"], status["failures"], status["attempt"]) == ("Succeeded", 1, 2)


def test_a_run_waits_for_its_dataset(ups: Installed, finished: dict[str, Any]):
    ups.apply(a_run("early", datasetRef={"name": "late"}))
    status = ups.status("trainingrun", "early", lambda s: bool(s.get("conditions")))
    ready = next(each for each in status["conditions"] if each["type"] == "DatasetReady")
    assert (status["phase"], ready["status"], ready["reason"]) == ("Pending", "False", "DatasetNotFound")
    ups.apply(a_dataset("late"))
    assert ups.ended("trainingrun", "early")["phase"] == "Succeeded"


def test_a_run_with_a_dataset_of_its_own_and_from_anothers_weights(ups: Installed, finished: dict[str, Any]):
    run = a_run("own", dataset=a_dataset()["spec"], resumeFrom={"runRef": {"name": "tiny"}}, seed=31)
    del run["spec"]["datasetRef"]
    ups.apply(run)
    assert ups.ended("trainingrun", "own")["phase"] == "Succeeded"
    assert ups.get("dataset", "own")["metadata"]["ownerReferences"][0]["name"] == "own"


def test_deleting_a_run_leaves_nothing_but_its_record(
    ups: Installed, tiny: dict[str, Any], long_run: tuple[dict[str, Any], dict[str, Any]]
):
    run, _ = long_run
    ups.apply({**run, "metadata": {"name": "gone"}, "spec": {**run["spec"], "seed": 23}})
    wait_for_training(ups, "gone")
    ups.kubectl("delete", "trainingrun", "gone", "--timeout=60s")

    def left() -> list[str]:
        kinds = "workflows,pods,workflowtaskresults"
        return [each["metadata"]["name"] for each in ups.items(kinds, "--selector=ups.dev/name=gone")]

    ups.until(lambda: not left(), lambda: f"left: {left()}")
    assert next(record_paths(ups, "tr", "gone"))


def test_a_budget_ends_a_run_and_says_what_it_spent(
    ups: Installed, tiny: dict[str, Any], long_run: tuple[dict[str, Any], dict[str, Any]]
):
    """At 36 USD an hour a cent is a second. The installation's grace is kept back for the last checkpoint."""
    run, _ = long_run
    ups.cluster.apply(
        {
            "apiVersion": "ups.dev/v1alpha1",
            "kind": "ComputeClass",
            "metadata": {"name": "dear"},
            "spec": {"onDemand": {"pricePerHourUsd": 36.0}},
        }
    )
    longer = run["spec"]["stages"][0] | {"config": run["spec"]["stages"][0]["config"] | {"steps": 100000}}
    spec = {**run["spec"], "stages": [longer], "computeClass": "dear", "budget": {"usd": 0.95}, "seed": 24}
    ups.apply({**run, "metadata": {"name": "dear"}, "spec": spec})
    status = ups.ended("trainingrun", "dear")
    assert (status["phase"], status["lastFailure"]["reason"]) == ("Failed", "BudgetExceeded")
    assert 0 < status["cost"]["spentUsd"] <= status["cost"]["capUsd"] == 0.95


def test_a_deleted_dataset_is_taken_out_of_the_registry_where_it_says_so(
    ups: Installed, tiny: dict[str, Any]
):
    ups.apply(a_dataset("fleeting", reclaimPolicy="Delete"))
    status = ups.ended("dataset", "fleeting")
    entry = f"datasets/{ups.namespace}/fleeting/{status['version']}.json"
    assert ups.store.exists(entry)
    ups.kubectl("delete", "dataset", "fleeting", "--timeout=120s")
    assert not ups.store.exists(entry)
    assert ups.store.exists(f"datasets/{ups.namespace}/tiny/{tiny['version']}.json")
