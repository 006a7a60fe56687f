"""What a forecast of many members is worth: its score, and whether its interval says the truth.

**CRPS**, the continuous ranked probability score (Gneiting & Raftery, JASA 2007, eq. 20), is the mean
absolute error of the members less half their mean distance from each other; of a single, deterministic
member it is the absolute error, so both kinds are compared on one scale. The estimator is the fair one
(Ferro, QJRMS 2014, eq. 7), which does not favour small ensembles. It is normalised as nRMSE is: mean over
space, divided by the root mean square of the truth.

**Coverage** is the share of true values inside the central interval of their ensemble. Its bounds are
members: the truth of a perfect ensemble lies below the k-th of M with the probability k/(M+1). Where the
wanted share lies between two such intervals, both are counted, in the proportion that makes it exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ups_core.evaluate import metrics
from ups_core.evaluate.judgement import finite_metrics
from ups_core.evaluate.split import BATCH_VALUES, Split, Window

#: The share of the truth that the central interval should hold.
CENTRAL = 0.8


def crps(members: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Fair CRPS of each value: members (N, M, ...) and truth (N, ...) to (N, ...), in the fields' unit."""
    ordered = np.sort(np.asarray(members, dtype=np.float64), axis=1)
    return _crps(ordered, truth)


def covered(members: np.ndarray, truth: np.ndarray, share: float = CENTRAL) -> np.ndarray:
    """1 where a true value is in the central interval, 0 outside: (N, M, ...) and (N, ...) to (N, ...)."""
    ordered = np.sort(np.asarray(members, dtype=np.float64), axis=1)
    return _covered(ordered, truth, share)


def _crps(ordered: np.ndarray, truth: np.ndarray) -> np.ndarray:
    m = ordered.shape[1]
    error = np.abs(ordered - truth[:, None]).mean(axis=1)
    if m == 1:
        return error
    # The sum of |x_i - x_j| over pairs: the k-th smallest is larger than k, smaller than M-1-k others.
    weights = (2 * np.arange(m) - (m - 1)).reshape(-1, *[1] * (ordered.ndim - 2))  # (M, 1, ...)
    return error - (ordered * weights).sum(axis=1) / (m * (m - 1))


def _covered(ordered: np.ndarray, truth: np.ndarray, share: float) -> np.ndarray:
    # The place of the lower bound among the members, from 0; 1 - 0.8 is a little less than 0.2.
    place = round((1 - share) / 2 * (ordered.shape[1] + 1) - 1, 9)
    if place < 0:
        raise ValueError(f"{ordered.shape[1]} members have no central interval of {share:g}")
    k, between = int(place), place - int(place)
    outer = (ordered[:, k] <= truth) & (truth <= ordered[:, -1 - k])
    inner = (ordered[:, k + 1] <= truth) & (truth <= ordered[:, -2 - k])
    return (1 - between) * outer + between * inner


@dataclass(frozen=True)
class Scores:
    """Figures of each sample, (N,): normalised CRPS, coverage, and the error of the ensemble's mean.

    The error is nRMSE where transient, relative L2 where steady. It is fair as the score is: what a mean
    of M members has of their scatter, a share 1/M of the variance, is taken off.
    """

    crps: np.ndarray
    coverage: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, members: np.ndarray, truth: np.ndarray) -> Scores:
        """Transient members (N, M, T, C, X[, Y]) and truth (N, T, C, X[, Y]).

        Steady ones are given as one frame, T = 1 and all channels alike. A sample whose members are not
        all finite has infinite score and error and covers nothing.
        """
        space = tuple(range(3, truth.ndim))
        finite = np.asarray(np.isfinite(members).reshape(len(members), -1).all(axis=1))  # (N,)
        usable = np.where(finite.reshape(-1, *[1] * truth.ndim), members, 0)
        ordered = np.sort(usable.astype(np.float64), axis=1)
        score = _crps(ordered, truth).mean(axis=space)  # (N, T, C)
        inside = _covered(ordered, truth, CENTRAL) if members.shape[1] > 1 else np.zeros(truth.shape)
        size = np.sqrt(np.square(truth, dtype=np.float64).mean(axis=space))  # (N, T, C)
        square = np.square(ordered.mean(axis=1) - truth)  # (N, T, C, X[, Y])
        if (m := members.shape[1]) > 1:
            square -= ordered.var(axis=1, ddof=1) / m
        error = np.sqrt(np.maximum(square.mean(axis=space), 0))  # (N, T, C)
        score, error = (
            np.divide(v, size, out=np.full_like(v, np.nan), where=size > 0) for v in (score, error)
        )
        rest = tuple(range(1, truth.ndim))
        return cls(
            crps=np.where(finite, metrics.mean_defined(score, axis=(1, 2)), np.inf),
            coverage=np.where(finite, inside.mean(axis=rest), 0.0),
            error=np.where(finite, metrics.mean_defined(error, axis=(1, 2)), np.inf),
        )

    @classmethod
    def joined(cls, parts: list[Scores]) -> Scores:
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("crps", "coverage", "error")))


class Stochastic(Protocol):
    """What is needed of a surrogate that may draw members; see :class:`ups_core.Surrogate`."""

    @property
    def stochastic(self) -> bool: ...

    @property
    def members(self) -> int: ...

    def rollout(self, u0: np.ndarray, steps: int, parameters: np.ndarray | None = None) -> np.ndarray: ...

    def solve(self, a: np.ndarray, parameters: np.ndarray | None = None) -> np.ndarray: ...

    def ensemble(
        self,
        given: np.ndarray,
        steps: int | None = None,
        members: int | None = None,
        parameters: np.ndarray | None = None,
        seed: int = 0,
    ) -> np.ndarray: ...


def scores(
    model: Stochastic, given: np.ndarray, truth: np.ndarray, parameters: np.ndarray | None, seed: int
) -> Scores:
    """Ensembles from given states (N, C, X[, Y]) against the frames after them, (N, T, C, X[, Y]).

    Where truth is (N, C, X[, Y]), it is that of a steady problem, whose channels are taken together. A
    deterministic model is an ensemble of one.
    """
    steps = truth.shape[1] if truth.ndim > given.ndim else None
    count = model.members if model.stochastic else 1
    size = max(1, BATCH_VALUES // (count * int(np.prod(truth.shape[1:]))))
    parts = []
    for start in range(0, len(truth), size):
        rows = slice(start, start + size)
        u, wanted = np.array(given[rows]), np.asarray(truth[rows])
        columns = None if parameters is None else parameters[rows]
        if model.stochastic:
            members = model.ensemble(u, steps, parameters=columns, seed=seed + start)
        elif steps is None:
            members = model.solve(u, columns)[:, None]
        else:
            members = model.rollout(u, steps, columns)[:, None]  # (B, M, ...)
        if steps is None:
            members, wanted = members.reshape(len(u), count, 1, 1, -1), wanted.reshape(len(u), 1, 1, -1)
        parts.append(Scores.of(members, wanted))
    return Scores.joined(parts)


def judge_ensemble(model: Stochastic, split: Split, frames: Window | None) -> dict[str, float]:
    """``crps`` and ``coverage`` of a stochastic surrogate, after ``rollout.`` where transient.

    ``frames`` are those of a rollout, None where steady. What is not finite is left out.
    """
    columns = split.parameters if split.parameter_names else None
    if frames is None:
        assert split.a is not None
        found, prefix = scores(model, split.a, split.u, columns, seed=0), ""
    else:
        given, truth = split.u[:, frames.start], split.u[:, frames.predicted]
        found, prefix = scores(model, given, truth, columns, seed=0), "rollout."
    return finite_metrics(
        {
            f"{prefix}crps": float(metrics.mean_defined(found.crps)),
            f"{prefix}coverage": float(found.coverage.mean()),
        }
    )
