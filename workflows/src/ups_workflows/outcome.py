"""How an attempt ended, and whether another one follows. Pure; the same words on every engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from ups_core import errors
from ups_core.api.common import Retry
from ups_core.errors import EXIT_TRANSIENT, Preempted

#: Codes of a step that was stopped from outside: its own, and that of SIGTERM before it could answer.
TRANSIENT = frozenset({EXIT_TRANSIENT, 143})
#: Codes that another try cannot mend: usage, data, credentials, not found, budget, stage or gate, storage.
FINAL = frozenset(range(2, 9))
#: Ends without such a code that another try cannot mend either: a limit was reached, or the disk is full.
FINAL_REASONS = frozenset(
    {"InvalidSpec", "DeadlineExceeded", "BudgetExceeded", "PendingTimeout", "StorageUnavailable"}
)

#: What a code means where the step could not say more: killed before its result was written, or lost with it.
REASONS = {
    error.exit_code: error.reason
    for error in (
        errors.InvalidSpec,
        errors.DataInvalid,
        errors.CredentialsInvalid,
        errors.NotFound,
        errors.BudgetExceeded,
        errors.StageFailed,
        errors.StorageUnavailable,
    )
} | dict.fromkeys(TRANSIENT, Preempted.reason)


@dataclass(frozen=True)
class Failure:
    """The first step of an attempt that did not end well. ``exit_code`` is None where no process ended."""

    step: str
    exit_code: int | None
    reason: str
    message: str

    @property
    def preempted(self) -> bool:
        """Stopped from outside: nobody's failure."""
        return self.reason == Preempted.reason or self.exit_code in TRANSIENT

    @property
    def final(self) -> bool:
        """Another try would end the same way."""
        return self.exit_code in FINAL or self.reason in FINAL_REASONS

    def to_dict(self) -> dict[str, Any]:
        whole = {
            "reason": self.reason,
            "stage": self.step,
            "exitCode": self.exit_code,
            "message": self.message,
        }
        return {name: value for name, value in whole.items() if value is not None}


def failure_of(step: str, exit_code: int, result: dict[str, Any] | None) -> Failure:
    """Classify the end of a step from its exit code and, where it left one, its result."""
    error = (result or {}).get("error", {})
    details = [f"{name}: {error[name]}" for name in ("where", "found", "expected", "fix") if name in error]
    message = "; ".join([error["message"], *details]) if error else f"ended with exit code {exit_code}"
    reason = error.get("reason") or REASONS.get(exit_code, "InternalError")
    return Failure(step, exit_code, reason, message)


def exhausted(failure: Failure) -> Failure:
    """The last failure of a run that may not try again, by the name its status has for it."""
    return replace(failure, reason="PreemptionBudgetExhausted") if failure.preempted else failure


@dataclass(frozen=True)
class Counts:
    """What a run has been through; a preemption is no failure, running out of memory is one."""

    failures: int = 0
    preemptions: int = 0
    out_of_memory: int = 0


def after(failure: Failure, counts: Counts, retry: Retry) -> tuple[Counts, Literal["again", "failed"]]:
    """Count a failed attempt and decide whether to try again.

    >>> killed = Failure("train-operator", 137, "InternalError", "ended with exit code 137")
    >>> after(killed, Counts(), Retry())
    (Counts(failures=1, preemptions=0, out_of_memory=0), 'again')
    """
    if failure.preempted:
        counts = replace(counts, preemptions=counts.preemptions + 1)
        return counts, "again" if counts.preemptions <= retry.max_preemptions else "failed"
    out_of_memory = failure.reason == "OutOfMemory"
    counts = replace(
        counts, failures=counts.failures + 1, out_of_memory=counts.out_of_memory + int(out_of_memory)
    )
    if failure.final or (out_of_memory and retry.oom_memory_factor is None):
        return counts, "failed"
    return counts, "again" if counts.failures <= retry.max_failures else "failed"


def backoff_seconds(counts: Counts, retry: Retry) -> int:
    """The pause before the next attempt: it doubles with every attempt that ended early, up to the cap.

    >>> [backoff_seconds(Counts(preemptions=n), Retry()) for n in (1, 2, 3, 9)]
    [30, 60, 120, 600]
    """
    ended = counts.failures + counts.preemptions
    return min(retry.backoff.seconds * 2 ** min(max(ended - 1, 0), 32), retry.backoff.max_seconds)
