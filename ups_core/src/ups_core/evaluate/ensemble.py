"""Judging a surrogate that draws: whether the spread of its members tells how wrong it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ups_core.evaluate import metrics
from ups_core.evaluate.split import Split, Window

#: Members of a rollout: the ends of a central interval of 80 % are then the second and the last but one.
MEMBERS = 19
SEED = 0


class Stochastic(Protocol):
    """A surrogate whose prediction is a distribution.

    ``ensemble`` gives (N, M, steps, C, X[, Y]): ``members`` closed-loop rollouts of each sample, in physical
    units, the same for the same ``seed``.
    """

    stochastic: bool

    def ensemble(
        self, u0: np.ndarray, steps: int, members: int, parameters: np.ndarray | None, seed: int
    ) -> np.ndarray: ...


def judge(model: Stochastic, split: Split, frames: Window, tick: Callable[[], None]) -> dict[str, float]:
    """``rollout.crps``, ``rollout.coverage.80`` and ``rollout.spread_skill`` over the predicted frames.

    CRPS is averaged over space and divided by the root mean square of the truth, as the error is in nRMSE,
    before the mean over samples, frames and fields. Spread and skill are taken over all samples and frames;
    their ratio is averaged over fields.
    """
    scores, inside, values = [], 0, 0
    sums = np.zeros((2, split.u.shape[2]))  # of the members' variance and their mean's squared error: (2, C)
    some = next(split.batches())
    size = max(1, (some.stop - some.start) // MEMBERS)
    for start in range(0, len(split), size):
        batch = slice(start, min(start + size, len(split)))
        truth = np.asarray(split.u[batch, frames.predicted], dtype=np.float64)  # (n, T, C, X[, Y])
        parameters = split.parameters[batch] if split.parameter_names else None
        given = np.array(split.u[batch, frames.start])
        # A seed for each batch's first sample: no two samples share their draws.
        members = model.ensemble(
            given, frames.steps, MEMBERS, parameters, SEED + start
        )  # (n, M, T, C, X[, Y])
        space, rest = tuple(range(3, truth.ndim)), tuple(a for a in range(truth.ndim) if a != 2)
        size_of_truth = np.sqrt(np.square(truth).mean(axis=space))  # (n, T, C)
        scores.append(metrics.ratio(metrics.crps(members, truth).mean(axis=space), size_of_truth))
        inside += int(metrics.covered(members, truth, 0.8).sum())
        values += truth.size
        exact = np.asarray(members, dtype=np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            sums += [
                exact.var(axis=1, ddof=1).sum(axis=rest),
                np.square(exact.mean(axis=1) - truth).sum(axis=rest),
            ]
        tick()
    variance, square_error = sums / (values / sums.shape[1])
    return {
        "rollout.crps": float(metrics.mean_defined(np.concatenate(scores))),
        "rollout.coverage.80": inside / values,
        "rollout.spread_skill": float(
            metrics.mean_defined(metrics.spread_skill(variance, square_error, MEMBERS))
        ),
    }
