"""After how many rollouts a surrogate has paid for its training, against the solver at the same error.

A solver on the data's own grid is seldom as inaccurate as the surrogate; on a coarser one it is, and is
cheaper. So what counts is the cost of that setting of the solver whose error is the surrogate's. It is read
off between two measured settings, linearly in the logarithms, and never beyond the last one. Needs nothing
but the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ups_core.analyze.numbers import duration, number, whole


def cost_at(error: float, settings: Sequence[Mapping[str, float]]) -> float | None:
    """CPU-seconds a frame of the solver at ``error``; None where no two settings lie on its both sides.

    ``settings``: {error, frames, cpu_seconds} each.
    """
    points = sorted((s["error"], s["cpu_seconds"] / s["frames"]) for s in settings)
    for (low, dear), (high, cheap) in pairwise(points):
        if low <= error <= high and low > 0 and dear > 0 and cheap > 0:
            share = math.log(error / low) / math.log(high / low) if high > low else 0.0
            return math.exp(math.log(dear) + share * math.log(cheap / dear))
    return None


def payoff_words(cost: Mapping[str, Any]) -> str:
    """A sentence on when the surrogate pays off, or why that cannot be said; empty where nothing is known.

    ``cost``: what ``evaluate`` measured, ``surrogate`` and ``equal`` (the surrogate's ``error`` on the
    samples that the solver's ``settings`` were run on), and ``spent``, CPU-seconds of ``training`` and, where
    the data were simulated here, of ``data``.
    """
    own, equal, spent = cost.get("surrogate", {}), cost.get("equal"), cost.get("spent", {})
    if not equal or not own.get("cpu_seconds") or not spent.get("training"):
        return ""
    error, settings = equal["error"], equal["settings"]
    steps, each = own["steps"], own["cpu_seconds"] / own["frames"]
    solver = cost_at(error, settings)
    if solver is not None:
        return _compared(spent, each * steps, solver * steps, f"at an error of {number(error)}")
    best, worst = (chosen(settings, key=lambda s: s["error"]) for chosen in (min, max))
    if best["error"] > error:
        return (
            f"The solver does not reach the surrogate's error of {number(error)} from the same frame: "
            f"its best, on {best['points']} points a side, has {number(best['error'])}. "
            "So there is no number of rollouts to tell."
        )
    cheap = worst["cpu_seconds"] / worst["frames"]
    said = f"on {worst['points']} points a side, where its error is {number(worst['error'])} only"
    if cheap <= each:
        return _compared(spent, each * steps, cheap * steps, said)
    return (
        f"The coarsest solver that was run, {said}, is dearer than the surrogate, but more accurate; one "
        "with the same error was not found, so there is no number of rollouts to tell."
    )


def _compared(spent: Mapping[str, float], own: float, solver: float, where: str) -> str:
    costs = f"a rollout takes the surrogate {_cpu(own)} and the solver {_cpu(solver)}, {where}"
    if solver <= own:
        return f"Never pays off: {costs}. The solver is cheaper at that error."
    saved = solver - own
    rollouts = math.ceil(spent["training"] / saved)
    data = spent.get("data")
    both = (
        f" ({whole(math.ceil((spent['training'] + data) / saved))} if the {duration(data)} count that "
        "its data took to simulate)"
        if data
        else ""
    )
    plural = "rollout" if rollouts == 1 else "rollouts"
    return (
        f"Pays off after {whole(rollouts)} {plural}{both}: training took {duration(spent['training'])} "
        f"of CPU time, {costs}."
    )


def _cpu(seconds: float) -> str:
    return f"{number(float(f'{seconds * 1e3:.3g}'))} ms" if seconds < 1 else duration(seconds)
