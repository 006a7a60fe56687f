"""Whether an attempt may begin, and the Workflow that it is. Pure.

A run is admitted once its Dataset is ready. From then on ``status.dataset`` holds what it trains on, so that
neither a new version of the Dataset nor its deletion changes a run that has begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ups_core.api import ComputeClass, Dataset, TrainingRun
from ups_core.api.cluster import from_cluster
from ups_core.api.common import API_VERSION
from ups_core.api.templates import expanded
from ups_core.errors import InvalidSpec, NotFound
from ups_operator.draft import Create, Draft, Key
from ups_operator.observe import DEADLINE_LIMIT
from ups_operator.status import counts_of, set_condition, settled_usd
from ups_workflows.engines import argo
from ups_workflows.engines.compute import compute_for, deadline, estimated_usd
from ups_workflows.plan import RegisteredDataset, plan

#: Seconds until we look again for what the garbage collector is about to remove.
COLLECTOR_SECONDS = 5.0


def dataset_name(resource: Mapping[str, Any]) -> str:
    """The Dataset of a run as the API server gives it: the one it names, or its own, of its own name."""
    reference = resource["spec"].get("datasetRef")
    return reference["name"] if reference else resource["metadata"]["name"]


def admit(draft: Draft, resource: TrainingRun | Dataset) -> Mapping[str, Any] | None:
    """The Workflow of the attempt that is next, or None where something must be waited for.

    Raises what makes it impossible: InvalidSpec, NotFound, BudgetExceeded.
    """
    attempt = draft.status["attempt"] or 1
    if isinstance(resource, Dataset):
        return argo.workflow(resource, plan(None, resource), attempt=attempt, installation=draft.installation)
    if "dataset" not in draft.status:
        pinned = _dataset(draft, resource)
        if pinned is None:
            return None
        draft.status["dataset"] = pinned
    return _run(draft, resource, attempt)


def _run(draft: Draft, run: TrainingRun, attempt: int) -> Mapping[str, Any]:
    pinned, counts = draft.status["dataset"], counts_of(draft.status)
    classes = {each["metadata"]["name"]: from_cluster(each) for each in draft.facts.classes}
    known = {name: each for name, each in classes.items() if isinstance(each, ComputeClass)}
    compute = compute_for(run, known, counts.preemptions)
    limit = deadline(
        run,
        compute,
        settled_usd(draft.status),
        grace_seconds=draft.installation.grace_seconds,
    )
    if digest := (run.spec.image.torch or draft.installation.images.torch).partition("@")[2]:
        draft.status["imageDigest"] = digest
    planned = plan(run, RegisteredDataset(**pinned))
    if estimate := estimated_usd(run, planned, compute):
        draft.status["cost"] = {**draft.status.get("cost", {}), "estimatedUsd": estimate}
    manifest = argo.workflow(
        run,
        planned,
        attempt=attempt,
        installation=draft.installation,
        compute=compute,
        deadline_seconds=limit.seconds if limit else None,
        memory_factor=(run.spec.retry.oom_memory_factor or 1.0) ** counts.out_of_memory,
    )
    if limit is not None:
        # Read when the deadline is over: by then prices and the budget may be others.
        manifest["metadata"]["annotations"][DEADLINE_LIMIT] = limit.limit
    return manifest


def _dataset(draft: Draft, run: TrainingRun) -> dict[str, Any] | None:
    """What the run trains on; None while its Dataset is not ready."""
    name, found = dataset_name(draft.facts.resource), draft.facts.dataset
    if run.spec.dataset is not None:
        if found is None:
            draft.actions.append(Create(own_dataset(draft.facts.resource)))
            return _wait(draft, name, "DatasetPending", "its own Dataset is being made")
        if not _owned(found, run):
            return None if _leftover(draft, found, run) else _taken(run, name)
    if found is None or "deletionTimestamp" in found["metadata"]:
        return _wait(draft, name, "DatasetNotFound", f"there is no Dataset {name} yet")
    status = found.get("status") or {}
    phase = status.get("phase", "Pending")
    if phase != "Ready":
        said = status.get("lastFailure", {}).get("message") if phase == "Failed" else None
        return _wait(
            draft, name, f"Dataset{phase}", f"Dataset {name} is {phase}" + (f": {said}" if said else "")
        )
    dataset = from_cluster(found)
    assert isinstance(dataset, Dataset)
    _check(run, dataset, status, draft)
    set_condition(draft.status, "DatasetReady", True, "Ready", now=draft.now)
    made = {each["name"]: f"objects/{each['uri'].rpartition('objects/')[2]}" for each in status["artifacts"]}
    return {"family": dataset.spec.described, "converted": made["convert"], "validated": made["validate"]}


def _wait(draft: Draft, name: str, reason: str, message: str) -> None:
    """Not yet. The Dataset's next change wakes the run."""
    if set_condition(draft.status, "DatasetReady", False, reason, message, now=draft.now):
        draft.event("Normal", "WaitingForDataset", message)
    draft.waits_for = Key("Dataset", draft.meta["namespace"], name)


def _check(run: TrainingRun, dataset: Dataset, status: Mapping[str, Any], draft: Draft) -> None:
    """What can only be known when both resources are there."""
    where, wanted = f"TrainingRun {run.metadata.name}", run.spec.dataset_ref
    if wanted is not None and wanted.version not in (None, status["version"]):
        raise NotFound(
            "the Dataset has no such version",
            where=f"{where}: spec.datasetRef.version",
            found=wanted.version,
            expected=status["version"],
            fix="make a Dataset with this spec.version",
        )
    stores = [argo.storage(each, draft.installation).uri for each in (run, dataset)]
    if stores[0] != stores[1]:
        raise InvalidSpec(
            "the run and its Dataset lie in different stores",
            where=f"{where}: spec.artifacts.store",
            found=stores[0],
            expected=stores[1],
        )
    split = expanded(run).spec.evaluation.split
    if split not in dataset.spec.splits:
        raise InvalidSpec(
            "the Dataset has no such split",
            where=f"{where}: spec.evaluation.split",
            found=split,
            expected=", ".join(dataset.spec.splits),
        )


def own_dataset(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The Dataset that a run's ``spec.dataset`` becomes: of the run's name, and gone when the run is."""
    meta = resource["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": "Dataset",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "TrainingRun",
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": resource["spec"]["dataset"],
    }


def _owners(dataset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return dataset["metadata"].get("ownerReferences", [])


def _owned(dataset: Mapping[str, Any], run: TrainingRun) -> bool:
    return any(owner["uid"] == run.metadata.uid for owner in _owners(dataset))


def _leftover(draft: Draft, dataset: Mapping[str, Any], run: TrainingRun) -> bool:
    """The Dataset of a deleted run of this name: the garbage collector is behind, and we wait for it."""
    of_namesake = any(
        (owner["kind"], owner["name"]) == ("TrainingRun", run.metadata.name) for owner in _owners(dataset)
    )
    if of_namesake:
        draft.requeue(COLLECTOR_SECONDS)
    return of_namesake


def _taken(run: TrainingRun, name: str) -> None:
    raise InvalidSpec(
        "a Dataset of this name exists, and is not the run's own",
        where=f"TrainingRun {run.metadata.name}: spec.dataset",
        found=f"Dataset {name}",
        fix=f"set spec.datasetRef.name to {name}, or give the run another name",
    )
