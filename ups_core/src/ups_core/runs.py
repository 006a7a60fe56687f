"""Where a resource keeps its mutable record, what identifies it on a laptop, and how to find it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ups_core.errors import NotFound
from ups_core.store import RunRecord, Store, references_in

if TYPE_CHECKING:
    from ups_core.api import Dataset, TrainingRun

#: The resource with its status, in its record.
RUN = "run.json"
#: Folder of each kind under ``runs/<namespace>/``: the short names of ``kubectl``.
FOLDERS = {"TrainingRun": "tr", "Dataset": "ds"}
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "ups.dev")


def record_of(resource: Dataset | TrainingRun) -> str:
    """``runs/<namespace>/<tr|ds>/<name>/<uid>``.

    The API server gives a resource its uid; without one it follows from kind and name, so that a
    second ``ups run`` of the same file finds the record of the first.
    """
    meta = resource.metadata
    uid = meta.uid or str(uuid.uuid5(_NAMESPACE, f"{resource.kind}/{meta.name}"))
    return f"runs/{meta.namespace}/{FOLDERS[resource.kind]}/{meta.name}/{uid}"


def headline(metrics: Mapping[str, float]) -> dict[str, Any] | None:
    """The one number of a run: how well it rolls out or, where the problem is steady, its relative error.

    To four digits, since ``kubectl get`` prints all that there are; ``metrics`` has the rest.
    """
    name = next((name for name in ("rollout.nrmse", "rel_l2") if name in metrics), None)
    return {"metric": name, "value": float(f"{metrics[name]:.4g}")} if name else None


def resources(store: Store, kind: str, namespace: str) -> Iterator[tuple[RunRecord, dict[str, Any]]]:
    """Every resource of a kind that has a record, in order of name."""
    for entry in sorted(store.list(f"runs/{namespace}/{FOLDERS[kind]}/")):
        if entry.path.endswith(f"/{RUN}") and entry.path.count("/") == 5:
            record = RunRecord(store, entry.path.removesuffix(f"/{RUN}"))
            yield record, record.read_json(RUN)


def find_run(
    store: Store, name: str, *, namespace: str = "default", kind: str = "TrainingRun"
) -> tuple[RunRecord, dict[str, Any]]:
    """The record and the resource of one run; of several uids under one name, the latest started.

    Raises :class:`NotFound` (5) and says what there is.
    """
    known = list(resources(store, kind, namespace))
    mine = [item for item in known if item[1]["metadata"]["name"] == name]
    if not mine:
        names = ", ".join(resource["metadata"]["name"] for _, resource in known) or "none"
        raise NotFound(
            f"there is no {kind} {name}",
            where=f"{store.uri}, namespace {namespace}",
            expected=names,
            fix="ups status",
        )
    return max(mine, key=lambda item: item[1].get("status", {}).get("startTime") or "")


def model_paths(resource: dict[str, Any]) -> list[str]:
    """The trained models of a run, of its first seed, stage by stage, as paths in its store.

    The status holds whole addresses, which end to be true when a store is moved or pulled.
    """
    made = resource.get("status", {}).get("artifacts", [])
    names = {f"train-{stage['name']}" for stage in resource.get("status", {}).get("stages", [])}
    return [f"objects/{item['uri'].rpartition('objects/')[2]}" for item in made if item["name"] in names]


def model_uri(store: Store, resource: dict[str, Any]) -> str:
    """Where the run's surrogate, the model of its last stage, lies in this store."""
    found = model_paths(resource)
    if not found:
        name = resource["metadata"]["name"]
        raise NotFound(f"run {name} has no trained model", where=store.uri, fix=f"ups status {name}")
    return store.url(found[-1])


def analysis_uri(store: Store, resource: dict[str, Any]) -> str | None:
    """Where the run's analysis, which has the model's card, lies in this store; None before there is one."""
    made = resource.get("status", {}).get("artifacts", [])
    found = [item["uri"].rpartition("objects/")[2] for item in made if item["name"] == "analyze"]
    return store.url(f"objects/{found[0]}") if found else None


def reached(store: Store) -> set[str]:
    """Objects that a kept run, or one that is not finished, leads to: what ``gc`` must leave."""
    found: set[str] = set()
    for entry in store.list("runs/"):
        if not entry.path.endswith(f"/{RUN}"):
            continue
        record = RunRecord(store, entry.path.removesuffix(f"/{RUN}"))
        resource = record.read_json(RUN)
        if resource["status"].get("phase") not in ("Succeeded", "Ready"):
            found |= references_in(json.dumps(record.read_json("plan.json", {})))
        if resource["spec"].get("artifacts", {}).get("retention") != "Collect":
            found |= references_in(json.dumps(resource))
    return found
