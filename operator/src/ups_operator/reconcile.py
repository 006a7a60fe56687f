"""What to do about one TrainingRun or Dataset, given what is seen. Pure; the heart of the operator.

**Level-triggered.** ``decide`` looks at what is, never at what happened: an event that is lost, doubled or
late changes nothing. Whatever it decides it would decide again, until what is seen has changed.

**An attempt is a Workflow.** ``status.attempt`` and ``status.workflow`` say which one is meant:

====================  ==========================================================================
``workflow``          what it means
====================  ==========================================================================
absent                no attempt has begun
name without ``uid``  the attempt has begun; its Workflow may exist, or may still have to be made
name and ``uid``      its Workflow was seen; if it is missing, it is lost
====================  ==========================================================================

The end of an attempt is counted in the one status write that also moves on, so it is counted once, and the
number moves on only from a Workflow that was seen, so there are never two. Each time a Workflow is asked for
is counted too: a status that stays as it is gets no new version, and would let through an operator that saw
the Workflow before somebody deleted it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ups_core.api import Dataset, TrainingRun
from ups_core.api.cluster import from_cluster
from ups_core.api.templates import expanded
from ups_core.errors import InvalidSpec, UpsError
from ups_operator import classify, reclaim
from ups_operator.admission import COLLECTOR_SECONDS, admit, dataset_name
from ups_operator.draft import Create, Decision, Delete, Draft, Facts, Stop
from ups_operator.observe import Observed, later, stamp
from ups_operator.status import (
    counts_of,
    dataset_conditions,
    end_condition,
    last_minute,
    phase_conditions,
    set_condition,
    set_cost,
    set_counts,
    set_progress,
    set_stages,
    settle_cost,
    settled_usd,
    take_published,
)
from ups_workflows.engines import argo
from ups_workflows.installation import Installation
from ups_workflows.outcome import Counts, Failure, after, backoff_seconds, exhausted, failure_of

ENDED = frozenset({"Succeeded", "Ready", "Failed"})
#: A step of a Dataset waits no longer for a node; for a run the spec says it.
PENDING_SECONDS = 3600


class Reads(NamedTuple):
    """What has to be read, besides the resource itself, to decide about it."""

    workflow: str | None
    dataset: str | None
    classes: bool


def reads(resource: Mapping[str, Any]) -> Reads:
    """The Workflow of the attempt; and while an attempt has yet to begin, what it will be made of."""
    status, spec = resource.get("status") or {}, resource["spec"]
    workflow = status.get("workflow", {})
    begins = "uid" not in workflow and status.get("phase") not in ENDED
    run = resource["kind"] == "TrainingRun"
    classed = "computeClass" in spec or any("computeClass" in stage for stage in spec.get("stages", []))
    return Reads(
        workflow=workflow.get("name"),
        dataset=dataset_name(resource) if run and begins and "dataset" not in status else None,
        classes=run and begins and classed,
    )


def decide(facts: Facts, installation: Installation, now: datetime) -> Decision:
    """The status that a resource should have, and what to do to get on."""
    draft = Draft.of(facts, installation, now)
    if "deletionTimestamp" in draft.meta:
        # Deleting a resource deletes its Workflows, by their owner reference. What else is to be done is told
        # by a finalizer, and only a Dataset can have ours.
        reclaim.decide(draft)
        return draft.decision()
    try:
        _attempt(draft)
    except UpsError as error:
        draft.fail(failure_of("admission", error.exit_code, {"error": error.to_dict()}))
    if draft.kind == "ds":
        reclaim.hold(draft)
    phase_conditions(draft.status, draft.kind, now=now)
    draft.status["observedGeneration"] = draft.meta["generation"]
    return draft.decision()


def _attempt(draft: Draft) -> None:
    seen = _own(draft, draft.observed())
    phase = draft.status["phase"]
    if seen is not None:
        draft.status["workflow"] = {"name": seen.name, "uid": seen.uid}
    if phase in ENDED:
        _rest(draft, seen)
    elif phase == "Suspended":
        _sleep(draft, seen)
    else:
        if draft.restarted:
            _forgive(draft)
        resource = from_cluster(draft.facts.resource)
        assert isinstance(resource, TrainingRun | Dataset)
        if seen is None and draft.recorded_uid:
            _lost(draft, resource)
        elif seen is None:
            _begin(draft, resource)
        elif seen.ended:
            _settle(draft, resource, seen)
        else:
            _follow(draft, resource, seen)


def _own(draft: Draft, seen: Observed | None) -> Observed | None:
    """The Workflow if it is ours; another's of the same name is none.

    A name may be taken by a Workflow of a deleted resource of the same name, which the garbage collector has
    not come to yet, or by somebody's own. Its owner's uid tells them apart: it is a label, too.
    """
    if seen is None or seen.owner_uid == draft.meta["uid"]:
        return seen
    if draft.recorded_uid is None and draft.status["phase"] not in ENDED:
        if seen.owner_uid is None:
            raise InvalidSpec(
                "the name of this attempt's Workflow is taken",
                where=f"Workflow {seen.name}",
                found="a Workflow that does not belong to this resource",
                fix=f"kubectl delete workflow {seen.name}, then count spec.restart up",
            )
        draft.actions.append(Delete(seen.name, seen.uid))
        draft.requeue(COLLECTOR_SECONDS)
    return None


def _forgive(draft: Draft) -> None:
    """``spec.restart`` was counted up: a person has mended something, and old failures count no more."""
    set_counts(draft.status, Counts(), draft.kind)
    draft.status["observedRestart"] = draft.spec["restart"]
    draft.status.pop("lastFailure", None)


def _rest(draft: Draft, seen: Observed | None) -> None:
    """It has ended. What is left is its Workflow, which goes after its ttl, and perhaps a restart."""
    if seen is not None and seen.live:
        # Asked for before the end, and come late; or its resource became unreadable while it ran.
        _stop(draft, seen, "Superseded", f"{draft.facts.resource['kind']} is {draft.status['phase']}")
    elif draft.restarted:
        _forgive(draft)
        draft.status.pop("completionTime", None)
        draft.next_attempt()
    elif seen is not None and not seen.deleting:
        name = "failed" if draft.status["phase"] == "Failed" else "succeeded"
        ttl = draft.spec.get("ttlSecondsAfterFinished", {}).get(name, argo.DATASET_TTL_SECONDS)
        ended = seen.finished or draft.now
        left = (later(ended, ttl) - draft.now).total_seconds()
        if left <= 0:
            draft.actions.append(Delete(seen.name, seen.uid))
        else:
            draft.requeue(left)


def _sleep(draft: Draft, seen: Observed | None) -> None:
    """It is suspended. Clearing ``spec.suspend`` begins another attempt, which finds the last checkpoint."""
    if draft.restarted:
        _forgive(draft)
    if draft.suspended:
        if seen is not None and seen.live:  # asked for before it was suspended, and come late
            _stop(draft, seen, "Suspended", "spec.suspend is set")
        return
    if seen is not None and seen.live:
        draft.status["phase"] = "Pending"
        draft.requeue(0)
    else:
        draft.next_attempt(draft.waited())


def _begin(draft: Draft, resource: TrainingRun | Dataset) -> None:
    """No Workflow yet: make it, unless something has to be waited for."""
    if draft.actions:
        return  # another's Workflow is still in the way
    if draft.suspended:
        draft.status["phase"] = "Suspended"
        draft.event("Normal", "Suspended", "suspended while nothing ran")
        return
    if waited := draft.waited():
        draft.requeue(waited)
        return
    manifest = admit(draft, resource)
    if manifest is None:
        return
    status = draft.status
    status["attempt"] = status["attempt"] or 1
    asked = status.get("workflow", {}).get("requests", 0)
    # Counted, so that the write changes something, and whoever has read less cannot move on from it.
    status["workflow"] = {"name": manifest["metadata"]["name"], "requests": asked + 1}
    status.setdefault("startTime", stamp(draft.now))
    if isinstance(resource, TrainingRun):
        status["specHash"] = manifest["metadata"]["annotations"][argo.SPEC_HASH]
        set_condition(status, "Admitted", True, "Admitted", now=draft.now)
        set_cost(status, 0.0, resource.spec.budget.usd if resource.spec.budget else None)
    draft.actions.append(Create(manifest))
    draft.event(
        "Normal", "AttemptStarted", f"attempt {status['attempt']}: Workflow {status['workflow']['name']}"
    )


def _follow(draft: Draft, resource: TrainingRun | Dataset, seen: Observed) -> None:
    """The attempt is on its way."""
    status, now = draft.status, draft.now
    status["phase"] = "Running" if seen.phase == "Running" else "Pending"
    status.pop("retryAfter", None)
    _copy(draft, resource, seen)
    if isinstance(resource, TrainingRun):
        set_progress(status, seen, now=now)
        cap = resource.spec.budget.usd if resource.spec.budget else None
        set_cost(status, seen.spent_usd(last_minute(now)), cap)
    if status["phase"] == "Running":
        end_condition(status, "Preempted", "Resumed", now=now)
    if seen.shutdown or seen.deleting:
        return
    if draft.suspended:
        _stop(draft, seen, "Suspended", "spec.suspend is set")
    else:
        _hold_pending(draft, resource, seen)


def _copy(draft: Draft, resource: TrainingRun | Dataset, seen: Observed) -> None:
    """What the Workflow says of the parts of the work."""
    if isinstance(resource, TrainingRun):
        set_stages(draft.status, [stage.name for stage in expanded(resource).spec.stages], seen)
    else:
        dataset_conditions(draft.status, seen, now=draft.now)


def _hold_pending(draft: Draft, resource: TrainingRun | Dataset, seen: Observed) -> None:
    """A step that no node takes ends the attempt, with the scheduler's or the kubelet's own words."""
    limit = resource.spec.pending_timeout_seconds if isinstance(resource, TrainingRun) else PENDING_SECONDS
    for node in seen.nodes:
        if node.phase != "Pending" or node.started is None or node.superseded:
            continue
        left = (later(node.started, limit) - draft.now).total_seconds()
        if left <= 0:
            said = node.message or "no reason is given"
            _stop(draft, seen, "PendingTimeout", f"no node took it in {limit} s: {said}", step=node.step)
            return
        draft.requeue(left)


def _stop(draft: Draft, seen: Observed, reason: str, message: str, step: str = "workflow") -> None:
    if not seen.shutdown:
        draft.actions.append(Stop(seen, reason, step, message))


def _settle(draft: Draft, resource: TrainingRun | Dataset, seen: Observed) -> None:
    """The attempt has ended: copy its facts, count it, and move on, all in one write."""
    status, grace = draft.status, draft.installation.grace_seconds
    _copy(draft, resource, seen)
    published = take_published(status, draft.kind, seen)
    settle_cost(status, seen.spent_usd(seen.finished or draft.now))
    by_suspend = seen.stop_reason == "Suspended" or (
        seen.shutdown and not seen.stop_reason and draft.suspended
    )
    if seen.phase == "Succeeded" and published:
        _succeed(draft, seen)
    elif by_suspend:
        _suspended(draft)
    elif seen.stop_reason:
        _count(draft, resource, Failure(seen.stop_step, None, seen.stop_reason, seen.stop_message), grace)
    elif seen.phase == "Succeeded":
        failure = Failure("publish", None, "InternalError", "the Workflow succeeded and left no result")
        _count(draft, resource, failure)
    else:
        # Argo calls a Workflow that was shut down ended at once; its pods may still be saving their state.
        _count(draft, resource, classify.cause(seen), grace if seen.shutdown else 0)


def _succeed(draft: Draft, seen: Observed) -> None:
    status = draft.status
    status["phase"] = "Ready" if draft.kind == "ds" else "Succeeded"
    status["completionTime"] = stamp(seen.finished or draft.now)
    for name in ("progress", "retryAfter", "lastFailure"):
        status.pop(name, None)
    end_condition(status, "Preempted", "Resumed", now=draft.now)
    best = status.get("headline")
    told = f"{best['metric']} {best['value']:.4g}" if best else f"version {status.get('version')}"
    draft.event("Normal", status["phase"], told)


def _suspended(draft: Draft) -> None:
    """Our own stop: no failure and no preemption. The pods may take their grace to save a checkpoint."""
    grace = draft.installation.grace_seconds
    if draft.suspended:
        draft.status["phase"] = "Suspended"
        draft.status.pop("progress", None)
        draft.wait(grace)
        draft.event("Normal", "Suspended", f"attempt {draft.status['attempt']} was stopped")
    else:
        draft.next_attempt(grace)


def _lost(draft: Draft, resource: TrainingRun | Dataset) -> None:
    """The Workflow is gone and nobody told us of its end; its last pods may be saving their state."""
    cost = draft.status.get("cost", {})
    settle_cost(draft.status, cost.get("spentUsd", 0.0) - settled_usd(draft.status))
    if draft.suspended:
        _suspended(draft)
        return
    name = draft.status["workflow"]["name"]
    failure = Failure("workflow", None, "WorkflowLost", f"Workflow {name} was deleted before it ended")
    _count(draft, resource, failure, draft.installation.grace_seconds)


def _count(
    draft: Draft, resource: TrainingRun | Dataset, failure: Failure, wait_seconds: float = 0.0
) -> None:
    """One attempt ended badly: a failure or a preemption, and another attempt or the end."""
    status, retry = draft.status, resource.spec.retry
    counts, decision = after(failure, counts_of(status), retry)
    set_counts(status, counts, draft.kind)
    told = f"{failure.step}: {failure.message}"
    if failure.preempted:
        set_condition(status, "Preempted", True, "Preempted", told, now=draft.now)
    if decision == "failed":
        draft.fail(exhausted(failure))
        return
    wait = max(wait_seconds, backoff_seconds(counts, retry))
    if failure.preempted:
        draft.event("Normal", "Preempted", f"{told}; goes on as attempt {status['attempt'] + 1}")
    else:
        status["lastFailure"] = failure.to_dict()
        more = ""
        if failure.reason == "OutOfMemory" and retry.oom_memory_factor:
            more = f", with {retry.oom_memory_factor**counts.out_of_memory:g} times the memory"
        draft.event("Warning", failure.reason, f"{told}; tried again in {wait:.0f} s{more}")
    draft.next_attempt(wait)


def refused(facts: Facts, installation: Installation, now: datetime, message: str) -> Decision:
    """The API server will not have what ``decide`` wanted to make: the run has failed, in its words."""
    draft = Draft.of(facts, installation, now)
    draft.fail(Failure("admission", None, InvalidSpec.reason, message))
    phase_conditions(draft.status, draft.kind, now=now)
    return draft.decision()
