"""Past what is known: rollouts past the last frame of the data, judged by what needs no truth.

A surrogate that is right for as long as the data last may still blow up soon after. Past the data there is no
error to measure, but a state can be seen to be none: it is not finite, or holds more energy than any state of
the training set by a factor that no error of phase explains.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ups_core.data.families.base import Family
from ups_core.evaluate import metrics, peers
from ups_core.evaluate.split import BATCH_VALUES, Split, Window

#: A state is unbounded where a field's mean square is more than this many times the largest in training.
BOUND = 4.0


def largest_energy(train: Split, family: Family) -> np.ndarray:
    """The largest mean square of each field over all frames of a split: (C,).

    0, which bounds nothing, for where particles are: they may go anywhere in the box.
    """
    largest = np.zeros(train.u.shape[2])
    for batch in train.batches():
        largest = np.maximum(largest, _energy(train.u[batch]).max(axis=(0, 1)))
    return np.where([field.name in family.positions for field in family.fields], 0.0, largest)


def lifetimes(
    model: peers.Surrogate, split: Split, frames: Window, energy: np.ndarray, tick: Callable[[], None]
) -> np.ndarray:
    """How many of ``frames.steps`` predicted frames each sample stays finite and bounded for: (N,).

    ``frames`` may reach past the data; ``energy`` is what :func:`largest_energy` found.
    """
    found = []
    size = max(1, BATCH_VALUES // (frames.steps * int(np.prod(split.u.shape[2:]))))
    for start in range(0, len(split), size):
        states = peers.surrogate_rollout(
            model, split, slice(start, min(start + size, len(split))), frames
        )  # (n, T, C, X[, Y])
        ratio = _energy(states) / np.where(energy > 0, energy, np.inf)  # (n, T, C)
        found.append(metrics.horizon(np.where(np.isfinite(ratio), ratio, np.inf).max(axis=2), BOUND))
        tick()
    return np.concatenate(found)


def _energy(states: np.ndarray) -> np.ndarray:
    """(n, T, C, X[, Y]) to (n, T, C)."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.square(np.asarray(states, dtype=np.float64)).mean(axis=tuple(range(3, states.ndim)))
