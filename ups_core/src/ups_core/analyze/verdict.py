"""What the numbers say, in sentences: never more than they do."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ups_core.analyze.numbers import number, times

#: Where the classical solver is, by the kind of the data.
SOLVED = {"grid": "on the same grid", "mesh": "at the same points", "particles": "with the same particles"}


@dataclass(frozen=True)
class Verdict:
    """``headline``: a title. ``sentence``: what was predicted, how well, and beside what.

    ``scores``: (words, style class, value or None where there is no finite number).
    """

    headline: str
    sentence: str
    metric: str
    scores: tuple[tuple[str, str, float | None], ...]


def verdict(
    metrics: Mapping[str, float],
    evaluation: Mapping[str, Any],
    errors: Sequence[float | None] = (),
    *,
    kind: str = "grid",
) -> Verdict:
    """Judge the main split: the surrogate's headline metric beside those of its peers.

    ``errors`` are those of the single samples, of which the median and the worst are told; ``kind`` is that
    of the data.
    """
    steady, facts = evaluation["steady"], evaluation["sets"][evaluation["split"]]
    metric, samples = evaluation["headline"], facts["samples"]
    own = metrics.get(metric)
    if steady:
        label, trivial, baseline = "relative L2 error", "mean.rel_l2", "the training mean"
        solver, fno, diverged = "solver.rel_l2", "fno.rel_l2", "diverged"
        task = f"On {samples} unseen inputs the surrogate finds the solution"
        scores = [("surrogate", "surrogate", own)]
    else:
        label, trivial, baseline = "nRMSE", "persistence.rollout.nrmse", "persistence"
        solver, fno, diverged = "solver.rollout.nrmse", "fno.rollout.nrmse", "rollout.diverged"
        given = "one frame" if facts["given"] == 1 else f"{facts['given']} frames"
        task = f"Given {given} of {samples} unseen trajectories, the surrogate predicts {facts['steps']} more"
        scores = [
            ("surrogate, rollout", "surrogate", own),
            ("surrogate, one step", "one-step", metrics.get("one_step.nrmse")),
        ]
    if fno in metrics or f"{fno.removesuffix('.nrmse')}.diverged" in metrics:
        scores.append(("tuned FNO", "fno", metrics.get(fno)))
    if solver in metrics or solver.replace("rel_l2", "diverged").replace("nrmse", "diverged") in metrics:
        scores.append(("solver", "solver", metrics.get(solver)))
    if trivial in metrics:
        scores.append((baseline.removeprefix("the "), "persistence", metrics[trivial]))
    if own is None:
        count = int(metrics.get(diverged, 0))
        return Verdict(
            f"Diverged on {count} of {samples} samples",
            f"{task}, but its output is not finite on {count} of them, so it has no mean error.",
            metric,
            tuple(scores),
        )
    beside = [
        f"{relation(own, metrics[name])} {words} ({number(metrics[name])})"
        for name, words in (
            (trivial, baseline),
            (fno, "a tuned FNO trained as long"),
            (solver, f"the classical solver {SOLVED[kind]}"),
        )
        if name in metrics
    ]
    compared = (
        f": {', '.join(beside[:-1])} and {beside[-1]}"
        if len(beside) > 1
        else "".join(f": {b}" for b in beside)
    )
    finite = [error for error in errors if error is not None]
    spread = (
        f" Half of the samples are below {number(statistics.median(finite))}; "
        f"the worst is at {number(max(finite))}."
        if len(finite) > 2
        else ""
    )
    return Verdict(
        f"{'Mean' if steady else 'Rollout'} {label} {number(own)}",
        f"{task} with a mean {label} of {number(own)}{compared}.{spread}",
        metric,
        tuple(scores),
    )


def relation(own: float, other: float) -> str:
    """``70 times below``, ``1.4 times above``, ``equal to``."""
    if own == other:
        return "equal to"
    if own == 0 or other == 0:
        return "below" if own < other else "above"
    return f"{times(other / own)} below" if own < other else f"{times(own / other)} above"
