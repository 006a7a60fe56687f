"""Whether a stage has earned its place: pure functions of figures, one for each validation sample.

A stage is kept where it lowers an error by more than the spread of what it gains. The spread is that of a
paired bootstrap (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8): the samples are drawn
again with replacement, and the mean gain of each such draw is taken. Pairing matters: hard samples are
hard for both sides, and their difference says more than their means do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

#: How often the samples are drawn again, and the share of the draws that the interval holds.
DRAWS, SHARE = 2000, 0.95
#: What the central 80 % interval of an ensemble may cover of the truth.
COVERAGE = 0.75, 0.85
#: By what share of itself the error of an ensemble's mean may rise: over many samples a spread is narrow.
TOLERATED = 0.05
#: The least mean rank correlation of rewards with errors.
RANKS = 0.3


@dataclass(frozen=True)
class Gain:
    """Mean errors before and after, their difference (positive: better) and its interval."""

    before: float
    after: float
    gain: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Lower by more than the spread."""
        return self.low > 0

    @property
    def worse(self) -> bool:
        """Higher by more than the spread."""
        return self.high < 0


def gain(before: np.ndarray, after: np.ndarray, seed: int) -> Gain:
    """What ``after`` gains over ``before``, errors (N,) of the same N >= 2 samples in the same order.

    An error that is not finite is infinitely large; where both are, the sample says nothing.
    """
    if before.shape != after.shape or before.ndim != 1 or len(before) < 2:
        raise ValueError(f"errors of the same two or more samples are needed: {before.shape}, {after.shape}")
    first, second = (np.where(np.isfinite(errors), errors, np.inf) for errors in (before, after))
    both = np.isinf(first) & np.isinf(second)
    difference = np.subtract(first, second, out=np.zeros(len(first)), where=~both)  # (N,)
    drawn = np.random.default_rng(seed).integers(len(difference), size=(DRAWS, len(difference)))
    with np.errstate(invalid="ignore"):
        means = _mean(difference[drawn])  # (DRAWS,)
    means.sort()
    tail = round((1 - SHARE) / 2 * (DRAWS - 1))
    low, high = float(means[tail]), float(means[-1 - tail])
    return Gain(float(first.mean()), float(second.mean()), float(_mean(difference)), low, high)


def _mean(differences: np.ndarray) -> np.ndarray:
    """Over the last axis; what diverged afterwards outweighs what diverged before."""
    return np.where(np.isneginf(differences).any(axis=-1), -np.inf, differences.mean(axis=-1))


@dataclass(frozen=True)
class Verdict:
    """What became of a stage, and the figures that decided it.

    ``why`` a stage was dropped: ``no gain``, ``misses its target``, ``not calibrated``, ... ``interval`` is
    that of the gain, None where nothing was compared.
    """

    stage: str
    decision: Literal["kept", "dropped"]
    why: str
    metric: str
    before: float | None
    after: float | None
    interval: tuple[float | None, float | None] | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        return self.decision == "kept"

    def __str__(self) -> str:
        told = f"{self.decision}: {self.why}" if self.why else self.decision
        figures = " -> ".join(f"{v:.3g}" for v in (self.before, self.after) if v is not None)
        return f"{told}, {self.metric} {figures}" if figures else told

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: what is not finite is null."""
        values = asdict(self)
        return {name: _plain(value) for name, value in values.items()}

    def metrics(self) -> dict[str, float]:
        """The figures as metrics of the step, by dotted name."""
        named = {"before": self.before, "after": self.after, **self.figures}
        if self.interval:
            named |= {"gain.low": self.interval[0], "gain.high": self.interval[1]}
        found = {name: float(v) for name, v in named.items() if v is not None and math.isfinite(v)}
        return {f"train.{self.stage}.{name}": v for name, v in found.items()} | {
            f"train.{self.stage}.kept": float(self.kept)
        }


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def first(stage: str, metric: str, value: float) -> Verdict:
    """The stage with which a surrogate begins: there is nothing to be better than."""
    return Verdict(stage, "kept", "", metric, None, value)


def against_target(stage: str, metric: str, target: float, value: float) -> Verdict:
    """Kept where ``value`` meets ``target``."""
    met = value <= target
    return Verdict(
        stage, "kept" if met else "dropped", "" if met else "misses its target", metric, target, value
    )


def ensemble(
    stage: str,
    metrics: tuple[str, str],
    score: Gain,
    error: Gain,
    coverage: float,
    *,
    spread: float,
    least: float,
) -> Verdict:
    """Kept where the score is better, the error of the mean hardly worse, and the interval true.

    ``metrics`` are the names of score and error; ``coverage`` is the share of the truth in the central
    80 % interval, ``spread`` the factor on the samples with which it was reached, and ``least`` the share
    of the score before that must be gained.
    """
    low, high = COVERAGE
    enough = score.better and score.gain >= least * score.before
    worse = error.worse and -error.gain > TOLERATED * error.before
    why = "" if enough and not worse else "no gain"
    if not why and not low <= coverage <= high:
        why = "not calibrated"
    figures = {
        "gain": score.gain,
        "coverage": coverage,
        "spread": spread,
        f"{metrics[1]}.before": error.before,
        f"{metrics[1]}.after": error.after,
        f"{metrics[1]}.gain.low": error.low,
        f"{metrics[1]}.gain.high": error.high,
    }
    return _verdict(stage, metrics[0], score, why, figures)


def student(stage: str, metric: str, score: Gain, coverage: float, evaluations: tuple[int, int]) -> Verdict:
    """Kept where the score is no worse than the teacher's, with fewer evaluations of the network."""
    teacher, own = evaluations
    figures = {
        "gain": score.gain,
        "coverage": coverage,
        "evaluations.before": teacher,
        "evaluations.after": own,
    }
    return _verdict(stage, metric, score, "" if own < teacher and not score.worse else "no gain", figures)


def rank_correlation(reward: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Spearman's: (S, K) twice, of K candidates of each of S states, to (S,); equals share their mean rank.

    1 where the highest reward has the smallest error, and so on down; 0 where a state's rewards, or its
    errors, are all the same, since those rank nothing.
    """
    ranks = [
        (values[:, :, None] > values[:, None]).sum(axis=2)
        + (values[:, :, None] == values[:, None]).sum(2) / 2
        for values in (reward, -error)
    ]
    off = [each - each.mean(axis=1, keepdims=True) for each in ranks]  # (S, K) both
    size = np.sqrt(np.prod([np.square(each).sum(axis=1) for each in off], axis=0))  # (S,)
    return np.divide((off[0] * off[1]).sum(axis=1), size, out=np.zeros(len(reward)), where=size > 0)


def search(
    stage: str,
    metric: str,
    ranks: float,
    score: Gain,
    *,
    usual: float,
    evaluations: tuple[int, int, int],
) -> Verdict:
    """Kept where rewards rank candidates by ``RANKS`` at least and the error of the search is better.

    ``score`` compares with the mean of an ensemble at the same cost. ``evaluations`` of networks for one
    frame are those of the ensemble that was returned before, whose error is ``usual``, of the one that was
    compared, and of the search.
    """
    before, equal, own = evaluations
    why = "" if score.better else "no gain"
    if not ranks >= RANKS:
        why = "reward does not rank"
    factor = own / before
    figures = {
        "gain": score.gain,
        "rank": ranks,
        "usual": usual,
        "evaluations.before": before,
        "evaluations.equal": equal,
        "evaluations.after": own,
        "cost": factor,
        "gain_per_cost": (1 - score.after / usual) / factor if usual > 0 else None,
    }
    return _verdict(stage, metric, score, why, figures)


def _verdict(stage: str, metric: str, score: Gain, why: str, figures: Mapping[str, float | None]) -> Verdict:
    return Verdict(
        stage,
        "dropped" if why else "kept",
        why,
        metric,
        score.before,
        score.after,
        (score.low, score.high),
        figures,
    )
