"""Deleting a Dataset with ``reclaimPolicy: Delete``: its registry entry goes before it does. Pure.

The only finalizer that UPS has. It is held while the policy says so, and let go when a Workflow with the
one step ``reclaim`` has removed the entry. It is let go too, with a warning, when that cannot be done: a
finalizer that waits for a storage which is gone would keep its namespace from ever being deleted.
"""

from __future__ import annotations

from ups_core.api import Dataset
from ups_core.api.cluster import from_cluster
from ups_core.errors import UpsError
from ups_operator.draft import Create, Delete, Draft, SetFinalizers, Stop
from ups_operator.observe import Observed, later, time_of
from ups_workflows.engines import argo
from ups_workflows.outcome import Counts, backoff_seconds

FINALIZER = "ups.dev/reclaim"
#: After so long the Dataset goes, whatever its ``reclaim`` is waiting for.
RECLAIM_SECONDS = 3600


def hold(draft: Draft) -> None:
    """Have the finalizer while the policy is Delete, and only then."""
    finalizers = draft.meta.get("finalizers", [])
    wanted = draft.spec.get("reclaimPolicy") == "Delete"
    if wanted and FINALIZER not in finalizers:
        draft.actions.insert(0, SetFinalizers((*finalizers, FINALIZER)))
    elif not wanted and FINALIZER in finalizers:
        _let_go(draft)


def decide(draft: Draft) -> None:
    """The next step towards letting go of a resource that is being deleted."""
    if FINALIZER not in draft.meta.get("finalizers", []):
        return
    try:
        _step(draft, f"ds-{draft.meta['name']}-reclaim", draft.observed())
    except UpsError as error:  # of a Dataset, or an installation, that no Workflow can be made of
        _give_up(draft, None, str(error))


def _step(draft: Draft, name: str, seen: Observed | None) -> None:
    if draft.status.get("workflow", {}).get("name") != name:
        if seen is not None and _still_writes(draft, seen):
            return
        version = draft.status.get("version") or draft.spec.get("version")
        if draft.spec.get("reclaimPolicy") != "Delete" or version is None or not draft.status["attempt"]:
            _let_go(draft)  # nothing was ever registered, or it is to stay
            return
        draft.status |= {"workflow": {"name": name}, "failures": 0, "version": version}
        draft.status.pop("retryAfter", None)
        seen = None
    asked = time_of(draft.meta["deletionTimestamp"]) or draft.now
    if (draft.now - asked).total_seconds() > RECLAIM_SECONDS:
        _give_up(draft, seen, f"not done within {RECLAIM_SECONDS} s")
    elif seen is None:
        _begin(draft)
    else:
        draft.status["workflow"] = {"name": name, "uid": seen.uid}
        _follow(draft, seen)


def _still_writes(draft: Draft, seen: Observed) -> bool:
    """An attempt that runs on could register the Dataset again: it is stopped and waited for."""
    if seen.live:
        if not seen.shutdown:
            draft.actions.append(Stop(seen, "Superseded", "workflow", "the Dataset is being deleted"))
        return True
    if not seen.shutdown:
        return False
    left = (later(seen.finished or draft.now, draft.installation.grace_seconds) - draft.now).total_seconds()
    if left > 0:
        draft.requeue(left)
    return left > 0


def _begin(draft: Draft) -> None:
    """Make the Workflow. One that was seen and is missing has failed, and is counted here alone."""
    if draft.recorded_uid:
        draft.status["failures"] += 1
        draft.status["workflow"] = {"name": draft.status["workflow"]["name"]}
        retry = _dataset(draft).spec.retry
        if draft.status["failures"] > retry.max_failures:
            _give_up(draft, None, "the last Workflow that was to remove it has failed, or was deleted")
            return
        wait = backoff_seconds(Counts(draft.status["failures"]), retry)
        draft.wait(wait)
        draft.requeue(wait)
        return
    if waited := draft.waited():
        draft.requeue(waited)
        return
    manifest = argo.reclaim_workflow(_dataset(draft), draft.installation, draft.status["version"])
    # Without an owner: a foreground deletion of the Dataset would take the Workflow before it has begun.
    manifest["metadata"].pop("ownerReferences", None)
    draft.actions.append(Create(manifest))


def _follow(draft: Draft, seen: Observed) -> None:
    if seen.owner_uid != draft.meta["uid"]:
        # Left by a deleted Dataset of this name. It removes the same entry; ours comes after it.
        draft.status["workflow"].pop("uid")
        if seen.ended:
            draft.actions.append(Delete(seen.name, seen.uid))
        draft.requeue(5)
    elif seen.phase == "Succeeded":
        draft.actions.append(Delete(seen.name, seen.uid))
        _let_go(draft)
    elif seen.ended:
        retry = _dataset(draft).spec.retry
        if draft.status["failures"] >= retry.max_failures:
            said = next((node.message for node in seen.nodes if node.failed), seen.message)
            _give_up(draft, seen, said)
        else:
            # Deleted now, it will be missing at the next look, and that is when it is counted.
            draft.actions.append(Delete(seen.name, seen.uid))
            draft.requeue(0)


def _give_up(draft: Draft, seen: Observed | None, said: str) -> None:
    version = draft.status.get("version")
    draft.event("Warning", "ReclaimFailed", f"registry entry of version {version} stays: {said}")
    if seen is not None:
        draft.actions.append(Delete(seen.name, seen.uid))
    _let_go(draft)


def _let_go(draft: Draft) -> None:
    kept = tuple(each for each in draft.meta["finalizers"] if each != FINALIZER)
    draft.actions.append(SetFinalizers(kept))


def _dataset(draft: Draft) -> Dataset:
    dataset = from_cluster(draft.facts.resource)
    assert isinstance(dataset, Dataset)
    return dataset
