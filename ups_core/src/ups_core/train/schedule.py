"""Learning rate as a function of the elapsed share of a stage's limit.

Steps, epochs and CPU seconds all become one number from 0 to 1, so the schedule needs not know which
of them ends the stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ups_core.api.stages import Training

#: The share of a budget of CPU seconds that validations may take.
VALIDATING = 0.1


@dataclass(frozen=True)
class Limit:
    """What ends a stage: a number of optimizer steps, or CPU seconds of all its processes."""

    steps: int
    cpu_seconds: float | None

    @classmethod
    def of(cls, config: Training, steps_per_epoch: int) -> Limit:
        return cls(config.steps or (config.epochs or 0) * steps_per_epoch, config.cpu_budget_seconds)

    def share(self, step: float, cpu_seconds: float) -> float:
        """The elapsed share after ``step`` steps and so many CPU seconds.

        >>> Limit(20, None).share(5, 100.0), Limit(0, 200.0).share(5, 100.0)
        (0.25, 0.5)
        """
        return step / self.steps if self.cpu_seconds is None else cpu_seconds / self.cpu_seconds

    def steps_left(self, step: int, cpu_seconds: float, step_seconds: float) -> float:
        """Steps until the end, where each takes ``step_seconds``."""
        return (
            self.steps - step if self.cpu_seconds is None else (self.cpu_seconds - cpu_seconds) / step_seconds
        )


def rate(share: float, warmup: float) -> float:
    """Factor on the peak learning rate: linear from 0 to 1 over ``warmup``, then half a cosine to 0.

    >>> [round(rate(share, 0.1), 3) for share in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    share = min(max(share, 0.0), 1.0)
    if share < warmup:
        return share / warmup
    return 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup)))


def ticks(before: float, after: float, count: int) -> bool:
    """Whether one of ``count`` evenly spaced marks (the last one at 1) lies in (before, after].

    >>> [ticks(s / 4, (s + 1) / 4, 2) for s in range(4)]
    [False, True, False, True]
    """
    return math.floor(min(after, 1.0) * count + 1e-9) > math.floor(min(before, 1.0) * count + 1e-9)


def affordable(spent: float, count: int, elapsed: float) -> bool:
    """Whether one more validation, after ``count`` that took ``spent`` of ``elapsed`` CPU seconds, fits in.

    The first one always does: what it takes is not known before.

    >>> affordable(0.0, 0, 15.0), affordable(8.0, 1, 30.0), affordable(8.0, 1, 160.0)
    (True, False, True)
    """
    return count == 0 or spent * (1 + 1 / count) <= VALIDATING * elapsed
