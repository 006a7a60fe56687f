"""What can go wrong, told once: a message a person can act on, an exit code, a reason.

Every error that is the user's to mend, or the environment's, is an :class:`UpsError`. It says
*what* failed, *where*, what was *found*, what was *expected* and *one command* that mends it.
Steps and the ``ups`` command exit with :attr:`UpsError.exit_code`; the engines turn
:attr:`UpsError.reason` into ``status.lastFailure.reason``. Anything else that escapes is a bug of
ours and exits with 1 (``InternalError``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

#: A step that was preempted, or met a passing fault, exits with this: run it again.
EXIT_TRANSIENT = 75
#: Interrupted from the keyboard.
EXIT_INTERRUPTED = 130


class UpsError(Exception):
    """Base of all errors with a documented exit code.

    >>> print(DataInvalid("frame holds NaN", where="a.hdf5:tensor[3]", expected="finite values"))
    frame holds NaN
      where:    a.hdf5:tensor[3]
      expected: finite values
    """

    exit_code: ClassVar[int] = 1
    reason: ClassVar[str] = "InternalError"

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        found: object = None,
        expected: object = None,
        fix: object = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """``result`` is what was reached all the same, for a step to hand over beside the error."""
        super().__init__(what)
        self.result = dict(result or {})
        self.what = what
        self.details = {
            name: str(value)
            for name, value in (("where", where), ("found", found), ("expected", expected), ("fix", fix))
            if value is not None
        }

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  {name + ':':<9} {value}" for name, value in self.details.items())])

    def to_dict(self) -> dict[str, Any]:
        """The error as it travels in a step's result: ``lastFailure`` of the run's status."""
        return {"reason": self.reason, "exitCode": self.exit_code, "message": self.what, **self.details}


class InvalidSpec(UpsError):
    """Usage or configuration: a resource or a command line that cannot mean anything."""

    exit_code, reason = 2, "InvalidSpec"


class DataInvalid(UpsError):
    """Data that is corrupt, truncated, of the wrong layout, or a published object that is damaged."""

    exit_code, reason = 3, "DataInvalid"


class CredentialsInvalid(UpsError):
    """The storage or a tracker refused who we are."""

    exit_code, reason = 4, "CredentialsInvalid"


class NotFound(UpsError):
    """A file, an object, a run or a dataset that is not there."""

    exit_code, reason = 5, "DatasetNotFound"


class BudgetExceeded(UpsError):
    """The run's dollar cap is reached."""

    exit_code, reason = 6, "BudgetExceeded"


class StageFailed(UpsError):
    """Training cannot go on: it diverged, or its model misses what was asked."""

    exit_code, reason = 7, "StageFailed"


class GateFailed(UpsError):
    """A threshold of ``spec.evaluation.gates`` is not met."""

    exit_code, reason = 7, "GateFailed"


class StorageUnavailable(UpsError):
    """The store is unreachable, full or read-only."""

    exit_code, reason = 8, "StorageUnavailable"


class Preempted(UpsError):
    """Stopped from outside with a checkpoint written: run again and it goes on."""

    exit_code, reason = EXIT_TRANSIENT, "Preempted"
