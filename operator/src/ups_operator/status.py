"""The status of a resource, as plain JSON values. Pure: a status in, a changed status out.

A status is rewritten only where it says something new, since every write wakes all who watch: clocks in it
move only together with what they belong to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ups_core.runs import headline
from ups_operator.observe import Node, Observed, stamp
from ups_workflows.outcome import Counts

Status = dict[str, Any]

#: Argo's phase of a stage's node to the stage's own. A node has none before Argo has looked at it twice.
STAGE_PHASES = {
    "": "Pending",
    "Pending": "Pending",
    "Omitted": "Pending",
    "Running": "Running",
    "Skipped": "Cached",
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "Error": "Failed",
}
#: What the last step of each kind hands over, by the name the status has for it.
PUBLISHED = {
    "tr": ("publish", ("metrics", "artifacts", "datasetKey")),
    "ds": (
        "publish-dataset",
        ("key", "digest", "version", "uri", "samples", "splits", "sizeBytes", "arrays", "artifacts"),
    ),
}
#: Conditions of a Dataset, and the step that each is about; ``Ready`` is the whole.
DATASET_STEPS = {"Fetched": ("fetch", "simulate"), "Converted": ("convert",), "Validated": ("validate",)}

#: The longest message that the CRD's schema lets a condition and a failure have.
CONDITION_CHARACTERS, FAILURE_CHARACTERS = 4096, 8192


def set_condition(
    status: Status, name: str, holds: bool, reason: str, message: str = "", *, now: datetime
) -> bool:
    """Write one condition; says whether it is another one than before, message apart.

    ``lastTransitionTime`` moves when the condition begins or ends to hold, as Kubernetes has it.
    """
    conditions = status.setdefault("conditions", [])
    value = "True" if holds else "False"
    old = next((each for each in conditions if each["type"] == name), None)
    new = {"type": name, "status": value, "reason": reason, "lastTransitionTime": stamp(now)}
    if message:
        new["message"] = message[:CONDITION_CHARACTERS]
    if old is None:
        conditions.append(new)
        return True
    if old["status"] == value:
        new["lastTransitionTime"] = old["lastTransitionTime"]
    changed = (old["status"], old.get("reason")) != (value, reason)
    conditions[conditions.index(old)] = new
    return changed


def end_condition(status: Status, name: str, reason: str, *, now: datetime) -> None:
    """A condition that held does no longer; one that never did is not mentioned."""
    if any(each["type"] == name and each["status"] == "True" for each in status.get("conditions", [])):
        set_condition(status, name, False, reason, now=now)


def phase_conditions(status: Status, kind: str, *, now: datetime) -> None:
    """The conditions that follow from the phase."""
    phase = status["phase"]
    meant = {"Running": "Running", "Suspended": "Suspended", "Failed": "Failed", "Succeeded": "Complete"}
    if kind == "ds":
        meant = {"Suspended": "Suspended", "Failed": "Failed", "Ready": "Ready"}
    failure = status.get("lastFailure", {})
    for name in meant.values():
        if meant.get(phase) != name:
            end_condition(status, name, phase, now=now)
        elif phase == "Failed":
            set_condition(status, name, True, failure["reason"], failure.get("message", ""), now=now)
        else:
            set_condition(status, name, True, phase, now=now)


def dataset_conditions(status: Status, seen: Observed, *, now: datetime) -> None:
    """Fetched, Converted, Validated: each once all nodes of its step are through, or were not needed."""
    for name, steps in DATASET_STEPS.items():
        nodes = [node for step in steps for node in seen.of(step)]
        if nodes and all(node.phase in ("Succeeded", "Skipped") for node in nodes):
            set_condition(status, name, True, "Done", now=now)
        elif any(node.failed for node in nodes):
            set_condition(status, name, False, "StepFailed", now=now)


def counts_of(status: Mapping[str, Any]) -> Counts:
    return Counts(status.get("failures", 0), status.get("preemptions", 0), status.get("outOfMemory", 0))


def set_counts(status: Status, counts: Counts, kind: str) -> None:
    status["failures"], status["preemptions"] = counts.failures, counts.preemptions
    if kind == "tr":
        status["outOfMemory"] = counts.out_of_memory


def set_progress(status: Status, seen: Observed, *, now: datetime) -> None:
    """The step that is at work, and how far it is; of several, the one that began first."""
    open_nodes = [node for node in seen.nodes if node.phase in ("Running", "Pending") and not node.superseded]
    if not open_nodes:
        return
    node = min(open_nodes, key=lambda each: (each.phase != "Running", each.started or now, each.display))
    share = _share(seen.of(node.step))
    percent = math.floor(100 * share)
    old = status.get("progress", {})
    if (old.get("stage"), old.get("percent")) == (node.step, percent):
        return
    status["progress"] = {"percent": percent, "stage": node.step, "updatedAt": stamp(now)}
    if node.started is not None and 0 < share < 1:
        elapsed = (now - node.started).total_seconds()
        status["progress"]["etaSeconds"] = max(round(elapsed * (1 - share) / share), 0)


def _share(nodes: Iterable[Node]) -> float:
    """How far a step is: one node's progress, or the mean over its shards."""
    shares = [1.0 if node.phase in ("Succeeded", "Skipped") else node.progress for node in nodes]
    return sum(shares) / len(shares)


def set_stages(status: Status, names: Iterable[str], seen: Observed) -> None:
    """What became of each stage. Of several seeds the first stands for the stage, as on a laptop.

    ``attempts`` counts how often a stage was started. It is counted up in the write that sees it leave its
    place of before the start, so once.
    """
    before = {each["name"]: each for each in status.get("stages", [])}
    status["stages"] = [_stage(before.get(name, {}), name, seen) for name in names]


def _stage(old: Mapping[str, Any], name: str, seen: Observed) -> Status:
    new: Status = {"name": name, "phase": "Pending", "attempts": 0, **old}
    nodes = seen.of(f"train-{name}")
    if not nodes:
        return new
    node = nodes[0]
    phase = STAGE_PHASES[node.phase]
    if phase in ("Running", "Succeeded", "Failed") and new["phase"] in ("Pending", "Cached"):
        new["attempts"] += 1
    new["phase"] = phase
    if metrics := node.result.get("metrics"):
        new["metrics"] = dict(metrics)
    return new


def reopen_stages(status: Status) -> None:
    """Before another attempt: which stages are done, its ``resolve`` will find out."""
    for stage in status.get("stages", []):
        stage["phase"] = "Pending"


def take_published(status: Status, kind: str, seen: Observed) -> bool:
    """Copy the final facts, which ``publish`` hands over and which outlive the Workflow; False if none."""
    step, names = PUBLISHED[kind]
    result = seen.result(step)
    taken = {name: result[name] for name in names if name in result}
    status.update(taken)
    if best := headline(taken.get("metrics", {})):
        status["headline"] = best
    return bool(taken)


def set_cost(status: Status, spent: float, cap: float | None) -> None:
    """What ended attempts spent, and the present one so far; nothing for runs that cost nothing."""
    cost = status.get("cost", {})
    if not (cost or spent or cap is not None):
        return
    cost = {"settledUsd": 0.0, **cost}
    cost["spentUsd"] = round(cost["settledUsd"] + spent, 2)
    if cap is not None:
        cost["capUsd"] = cap
    status["cost"] = cost


def settle_cost(status: Status, spent: float) -> None:
    """An attempt ended: what it spent is spent."""
    if "cost" in status or spent:
        cost = status.get("cost", {})
        settled = round(cost.get("settledUsd", 0.0) + spent, 6)
        status["cost"] = {**cost, "settledUsd": settled, "spentUsd": round(settled, 2)}


def settled_usd(status: Mapping[str, Any]) -> float:
    return status.get("cost", {}).get("settledUsd", 0.0)


def last_minute(now: datetime) -> datetime:
    """Money is told as of the last whole minute, or each look at a run would write its status."""
    return now.replace(second=0, microsecond=0)
