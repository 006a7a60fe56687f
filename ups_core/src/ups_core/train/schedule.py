"""Learning rate as a function of the elapsed share of a stage's limit.

Steps, epochs and CPU seconds all become one number from 0 to 1, so the schedule needs not know which
of them ends the stage.
"""

from __future__ import annotations

import math


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
