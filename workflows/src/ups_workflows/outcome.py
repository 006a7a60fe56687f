"""How an attempt ended, and whether another one follows. Pure; the same words on every engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from ups_core.api.common import Retry
from ups_core.errors import EXIT_TRANSIENT

#: Codes of a step that was stopped from outside: its own, and that of SIGTERM before it could answer.
TRANSIENT = frozenset({EXIT_TRANSIENT, 143})
#: Codes that another try cannot mend: usage, data, credentials, not found, budget, stage or gate, storage.
FINAL = frozenset(range(2, 9))


@dataclass(frozen=True)
class Failure:
    """The first step of an attempt that did not end well."""

    step: str
    exit_code: int
    reason: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "reason": self.reason,
            "stage": self.step,
            "exitCode": self.exit_code,
            "message": self.message,
        }


def failure_of(step: str, exit_code: int, result: dict[str, Any] | None) -> Failure:
    """Classify the end of a step from its exit code and, where it left one, its result."""
    error = (result or {}).get("error", {})
    details = [f"{name}: {error[name]}" for name in ("where", "found", "expected", "fix") if name in error]
    message = "; ".join([error["message"], *details]) if error else f"ended with exit code {exit_code}"
    reason = error.get("reason", "InternalError")
    return Failure(step, exit_code, reason, message)


def exhausted(failure: Failure) -> Failure:
    """The last failure of a run that may not try again, by the name its status has for it."""
    if failure.exit_code not in TRANSIENT:
        return failure
    return replace(failure, reason="PreemptionBudgetExhausted")


@dataclass(frozen=True)
class Counts:
    """What a run has been through; a preemption is no failure."""

    failures: int = 0
    preemptions: int = 0


def after(failure: Failure, counts: Counts, retry: Retry) -> tuple[Counts, Literal["again", "failed"]]:
    """Count a failed attempt and decide whether to try again.

    >>> killed = Failure("train-operator", 137, "InternalError", "ended with exit code 137")
    >>> after(killed, Counts(), Retry())
    (Counts(failures=1, preemptions=0), 'again')
    """
    if failure.exit_code in TRANSIENT:
        counts = Counts(counts.failures, counts.preemptions + 1)
        return counts, "again" if counts.preemptions <= retry.max_preemptions else "failed"
    counts = Counts(counts.failures + 1, counts.preemptions)
    out_of_memory = failure.reason == "OutOfMemory" and retry.oom_memory_factor is None
    if failure.exit_code in FINAL or out_of_memory:
        return counts, "failed"
    return counts, "again" if counts.failures <= retry.max_failures else "failed"
