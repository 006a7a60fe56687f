"""What one look at a resource leads to: a new status, actions, and when to look again. Pure.

A :class:`Draft` is filled while ``decide`` asks its questions, and read once by whoever applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from ups_core.runs import FOLDERS
from ups_operator.observe import Observed, later, observe, stamp, time_of
from ups_operator.status import FAILURE_CHARACTERS, reopen_stages
from ups_workflows.installation import Installation
from ups_workflows.outcome import Failure


class Key(NamedTuple):
    """Names one TrainingRun or Dataset."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Facts:
    """What was read for one decision: the resource, and what ``reads`` asked for."""

    resource: Mapping[str, Any]
    workflow: Mapping[str, Any] | None = None
    dataset: Mapping[str, Any] | None = None
    classes: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Create:
    """Make a Workflow, or the Dataset of a run that brings its own."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class Stop:
    """Shut a Workflow down and write down why, unless it has changed since it was read."""

    seen: Observed
    reason: str
    step: str
    message: str


@dataclass(frozen=True)
class Delete:
    """Delete a Workflow, if it is still the one that was meant."""

    name: str
    uid: str


@dataclass(frozen=True)
class SetFinalizers:
    """Write the finalizers of the resource itself."""

    finalizers: tuple[str, ...]


@dataclass(frozen=True)
class Event:
    """What a person wants to know. ``once`` is what makes it another event than the one before."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    once: str


Action = Create | Stop | Delete | SetFinalizers | Event


@dataclass(frozen=True)
class Decision:
    """Write the status first, then act in this order, then look again after so many seconds, if any."""

    status: Mapping[str, Any]
    actions: tuple[Action, ...]
    requeue: float | None
    #: The Dataset whose change must wake this run.
    waits_for: Key | None


@dataclass
class Draft:
    """A decision in the making."""

    facts: Facts
    installation: Installation
    now: datetime
    status: dict[str, Any]
    actions: list[Action] = field(default_factory=list)
    requeue_after: float | None = None
    waits_for: Key | None = None

    @classmethod
    def of(cls, facts: Facts, installation: Installation, now: datetime) -> Draft:
        before = deepcopy(dict(facts.resource.get("status") or {}))
        zero = {"phase": "Pending", "attempt": 0, "failures": 0, "preemptions": 0, "observedRestart": 0}
        return cls(facts, installation, now, zero | before)

    @property
    def meta(self) -> Mapping[str, Any]:
        return self.facts.resource["metadata"]

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.facts.resource["spec"]

    @property
    def kind(self) -> str:
        """``tr`` or ``ds``: a resource's short name, which its Workflows begin with."""
        return FOLDERS[self.facts.resource["kind"]]

    @property
    def suspended(self) -> bool:
        return bool(self.spec.get("suspend"))

    @property
    def restarted(self) -> bool:
        """``spec.restart`` was counted up since we last acted on it."""
        return self.spec.get("restart", 0) > self.status["observedRestart"]

    @property
    def recorded_uid(self) -> str | None:
        """The Workflow of this attempt was seen to exist: from now on its absence means something."""
        return self.status.get("workflow", {}).get("uid")

    def observed(self) -> Observed | None:
        return observe(self.facts.workflow) if self.facts.workflow is not None else None

    def waited(self) -> float:
        """Seconds until the next attempt may begin; 0 where nothing is to be waited for."""
        after = time_of(self.status.get("retryAfter"))
        return max((after - self.now).total_seconds(), 0.0) if after else 0.0

    def requeue(self, seconds: float) -> None:
        """Look again after so many seconds, or earlier if something else asks for it."""
        self.requeue_after = seconds if self.requeue_after is None else min(self.requeue_after, seconds)

    def event(self, type_: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self.actions.append(Event(type_, reason, message, f"{self.status['attempt']} {reason} {message}"))

    def next_attempt(self, wait_seconds: float = 0.0) -> None:
        """Move on. The number counts up only if this attempt's Workflow was seen: one that was asked for and
        not seen may still appear, and must then be found under the same name rather than beside another."""
        workflow = self.status.get("workflow")
        if workflow and "uid" in workflow:
            self.actions.append(Delete(workflow["name"], workflow["uid"]))
            self.status["attempt"] += 1
            self.status["workflow"] = {"name": f"{self.kind}-{self.meta['name']}-{self.status['attempt']}"}
        self.status["phase"] = "Pending"
        self.status.pop("progress", None)
        reopen_stages(self.status)
        self.wait(wait_seconds)
        self.requeue(wait_seconds)

    def wait(self, seconds: float) -> None:
        """Nothing begins before these seconds are over."""
        if seconds > 0:
            self.status["retryAfter"] = stamp(later(self.now, seconds + 0.999_999))  # whole seconds, upwards
        else:
            self.status.pop("retryAfter", None)

    def fail(self, failure: Failure) -> None:
        """The resource has failed for good, or until ``spec.restart`` is counted up."""
        told = failure.to_dict()
        if "message" in told:
            told["message"] = told["message"][:FAILURE_CHARACTERS]
        if self.status["phase"] == "Failed" and self.status.get("lastFailure") == told:
            return  # a spec that cannot be read stays so at every look
        self.status |= {"phase": "Failed", "lastFailure": told, "completionTime": stamp(self.now)}
        for name in ("progress", "retryAfter"):
            self.status.pop(name, None)
        self.event("Warning", failure.reason, f"{failure.step}: {failure.message}")

    def decision(self) -> Decision:
        return Decision(self.status, tuple(self.actions), self.requeue_after, self.waits_for)
