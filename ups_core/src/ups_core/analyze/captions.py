"""What each figure shows, in a sentence made of its numbers, and how to read it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ups_core.analyze.figures import NAMES, columns_of, name_of
from ups_core.analyze.numbers import coordinate, number, times, whole
from ups_core.analyze.verdict import relation

Caption = tuple[str, str]
"""What is seen, which may be empty, and how to read it."""

#: Power below this share of the largest is rounding of float32 and tells nothing of the surrogate.
FLOOR = 1e-12
#: What the solver has of what the surrogate sees, by the kind of the data.
SOLVER = {"grid": "runs on the grid", "mesh": "has the points", "particles": "has the particles"}


def scoreboard(steady: bool, kind: str) -> Caption:
    read = "Left is better; the axis is logarithmic. All figures are means over the same test samples."
    return "", read if steady else f"{read} The solver {SOLVER[kind]} that the surrogate sees."


def over_time(found: Mapping[str, Any], samples: int) -> Caption:
    """How the surrogate's error begins, peaks and ends, and beside whom."""
    read = (
        f"Mean over {whole(samples)} samples. The band holds the middle 80 % of the samples of the "
        "surrogate's rollout; where the mean lies above it, few samples make most of the error. “One step” "
        "starts every frame from the true frame before it."
    )
    own, t = found["rollout"]["mean"], found["t"]
    finite = [i for i, error in enumerate(own) if error is not None]
    if len(finite) < len(own):
        last = f"until t = {coordinate(t[finite[-1]])}" if finite else "at no time"
        return f"The surrogate's mean error is finite {last}.", read
    top = max(finite, key=lambda i: own[i])
    parts = [f"The surrogate's error begins at {number(own[0])}"]
    if top not in (0, len(own) - 1):
        parts.append(f"is largest at t = {coordinate(t[top])} ({number(own[top])})")
    parts.append(f"ends at {number(own[-1])}")
    beside = [
        f"{relation(own[-1], error)} {_the(NAMES[key][0])}"
        for key in ("persistence.rollout", "fno.rollout", "solver.rollout")
        if key in found and (error := found[key]["mean"][-1]) is not None
    ]
    return f"{listed(parts)}{': ' if beside else ''}{listed(beside)}.", read


def per_sample(rows: Sequence[Mapping[str, float | None]], split: str) -> Caption:
    """On how many samples the surrogate is below each peer, and how far the worst is above the median."""
    read = (
        f"Each sample of the split {split}, in order of the surrogate's error; peers are drawn at the same "
        "place as the surrogate's dot for that sample."
    )
    own, *peers = columns_of(rows)
    wins = [
        f"{_the(name_of(peer)[0])} on {sum(_below(row[own], row[peer]) for row in rows)} of {len(rows)}"
        for peer in peers
    ]
    said = f"The surrogate is below {listed(wins)} samples." if wins else ""
    errors = [error for row in rows if (error := row[own]) is not None]
    if len(errors) > 2 and (middle := statistics.median(errors)) > 0 and max(errors) > 1.05 * middle:
        said += f" Its worst sample has {times(max(errors) / middle)} the error of the median."
    return said.strip(), read


def _the(peer: str) -> str:
    return peer if peer == "persistence" else f"the {peer}"


def _below(own: float | None, other: float | None) -> bool:
    return own is not None and (other is None or own < other)


def spectra(found: Mapping[str, Any], times_of: Mapping[int, float], label: str, plane: bool) -> Caption:
    """Up to which wavenumber the surrogate is right at the last frame, for the first field."""
    rings = "; summed over all directions" if plane else ""
    read = (
        f"Mean square by integer wavenumber (cycles per domain), averaged over {whole(found['samples'])} "
        f"samples{rings}. Where the error reaches the truth, nothing of that scale is predicted."
    )
    if not found["samples"]:
        return "", read
    truth, error = (np.array(found[kind][-1][0][1:]) for kind in ("truth", "error"))  # (K - 1,)
    frame = found["frames"][-1]
    when = f"At t = {coordinate(times_of[frame])} the" if frame in times_of else "The"
    lost = np.flatnonzero((error >= truth) & (truth > truth.max(initial=0.0) * FLOOR))
    reach = (
        f"stays below the truth up to wavenumber {lost[0]} of {len(truth)}"
        if lost.size
        else "stays below the truth at every wavenumber"
    )
    share = f", and holds {number(100 * error.sum() / truth.sum(), 2)} % of its power" if truth.any() else ""
    return f"{when} error of {label} {reach}{share}.", read


def curve(rows: Sequence[Mapping[str, Any]], kept: Mapping[str, Any], steps: int) -> Caption:
    """From where to where validation fell, and whether it still fell at the end."""
    read = (
        "Relative error of the training batches and, on the validation split, of what the stage is judged "
        "by; the dashed line marks the state that was kept, the best on validation. Values above the axis "
        "are drawn on its upper edge."
    )
    metric = kept["metric"]
    found = [(row["step"], row[metric]) for row in rows if row.get(metric) is not None]
    if not found:
        return "", read
    said = (
        f"{metric} fell from {number(found[0][1])} to {number(kept['value'])}, the best of {len(found)}, "
        f"at step {whole(kept['step'])} of {whole(steps)}"
    )
    before = [value for step, value in found if step <= 0.75 * steps]
    if before and kept["value"] > 0 and (gain := min(before) / kept["value"]) > 1:
        said += f"; the last quarter of the training made it {times(gain)} smaller"
    elif before:
        said += "; the last quarter of the training made it no smaller"
    return f"{said}.", read


def samples(
    plane: bool,
    fields: Sequence[Mapping[str, Any]],
    steady: bool,
    *,
    mesh: bool = False,
    depth: float | None = None,
) -> str:
    """``depth``: of three dimensions, where along z the plane lies that is drawn."""
    axes = "x to the right, y up" if plane else "x to the right, t up"
    said = f"Samples are chosen by their error; {axes}. Truth and surrogate share a colour scale"
    said += "." if plane else "; below, profiles of the truth (wide, pale) and the surrogate (thin)."
    if mesh:
        said += (
            " Values are known at the dots of the first map alone; between them they are drawn linear, on "
            "the triangles of the points."
        )
    if depth is not None:
        said += f" Of the domain one plane is drawn, z = {coordinate(depth)}."
    if len(fields) > 1:
        said += f" Of {len(fields)} fields the first is drawn."
    return said if steady else f"{said} The films lie beside this report."


def particles(drawn: int, many: int, velocities: bool, others: Sequence[str]) -> str:
    """``drawn`` of ``many`` particles are seen, and whether their ``velocities``; ``others``: what is not."""
    moving = ", and a stroke the way it goes, the longer the faster it is" if velocities else ""
    said = (
        f"Samples are chosen by their error; x to the right, y up. A dot is a particle{moving}. In the row "
        "of errors a stroke leads from each particle to where it is predicted, the shortest way where an "
        "axis is periodic; frames cut it off."
    )
    if drawn < many:
        said += f" Of {whole(many)} particles {whole(drawn)} are drawn, the worst one among them."
    if others:
        said += f" {listed(others)} {'are' if len(others) > 1 else 'is'} not drawn."
    return f"{said} The films lie beside this report."


#: Drift of the mean in the data, above which it is no rounding.
NO_ROUNDING = 1e-3


def drift(kept: Sequence[str], of_data: float, *, declared: bool, averages: bool, kind: str = "grid") -> str:
    """``kept``: labels of the conserved fields, and whether these are ``declared`` or seen in the data.

    ``of_data``: what the data show; ``averages``: whether the surrogate carries those of cells; ``kind``:
    that of the data.
    """
    who, how = ("equation keeps", "") if declared else ("training data keep", ", which nobody declared")
    mean, why = "spatial mean", ": it comes from rounding and from points left out of the grid"
    if kind == "particles":
        mean, why = "mean over all particles", ""
    told = (
        f"The {who} the {mean} of {listed(kept)}{how}. The largest change of that mean over a rollout, "
        "in standard deviations of the initial state, averaged over samples. What the data themselves show "
        f"is the floor{why}."
    )
    if averages:
        return (
            f"{told} This surrogate carries averages of cells, whose mean it keeps exactly; its drift is "
            "that of the values at points that are read off them, and should be like that of the data."
        )
    if of_data < NO_ROUNDING or kind == "particles":
        return told
    return (
        f"{told} Here it is {number(of_data, 2)}, far more than rounding: probably there are fronts thinner "
        "than a cell, and values at points do not tell where in the cell they are. On periodic grids conv "
        "and gconv can carry averages of cells, which do (averages: true)."
    )


def splits(validated: Mapping[str, Any]) -> str:
    dropped = sum(split["dropped"] for split in validated["splits"].values())
    told = f"{dropped} states were dropped for that." if dropped else "none had to be dropped."
    return f"No initial state of a test set is in train or val; {told}"


def listed(words: Sequence[str]) -> str:
    """``a, b and c``.

    >>> listed(["a", "b", "c"]), listed(["a"]), listed([])
    ('a, b and c', 'a', '')
    """
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
