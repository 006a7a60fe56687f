"""Where the points of an input lie: what a surrogate on scattered points, or of particles, asks of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ups_core.errors import DataInvalid
from ups_core.models.problem import Problem, shape_text

#: How many points an input may have, as shares of the number in training. A surrogate bears more of them
#: well; with less than three quarters tokens are left without a point, and errors double and more.
FEWEST, MOST = 0.75, 4.0
#: How far outside of its box a point may lie between walls, as a share of the box.
TOLERANCE = 1e-4


def allowed_points(problem: Problem) -> tuple[int, int]:
    """The fewest and the most points of an input."""
    return int(np.ceil(FEWEST * problem.shape[0])), int(MOST * problem.shape[0])


def places_of(
    problem: Problem,
    coordinates: Mapping[str, np.ndarray],
    samples: int,
    points: int,
    *,
    extrapolate: bool,
) -> np.ndarray:
    """``x`` and ``y``, (M,) or (N, M) each, as one array (N, M, D).

    DataInvalid where they are missing, of another layout, not finite or outside of the domain, and, without
    ``extrapolate``, where there are far fewer points, or far more, than in training.
    """
    named = ", ".join(problem.space.lower())
    along = []
    for letter, kind, (low, high) in zip(problem.space, problem.boundary, problem.box or (), strict=True):
        key = letter.lower()
        x = np.asarray(coordinates[key], dtype=np.float64) if key in coordinates else np.empty(0)
        if x.shape not in ((points,), (samples, points)):
            raise DataInvalid(
                "where the points lie is not known" if key not in coordinates else "coordinates do not fit",
                found=f"{key} of shape {x.shape}" if key in coordinates else f"no {key}",
                expected=f"{named}, {shape_text((points,))} or {shape_text((samples, points))} each",
                fix=f"give coordinates {named} beside the values: a surrogate on scattered points needs them",
            )
        _check_inside(key, x, kind, (low, high), "point")
        along.append(np.broadcast_to(x, (samples, points)))
    check_number(problem, points, extrapolate=extrapolate)
    return np.stack(along, axis=-1)


def check_number(problem: Problem, points: int, *, extrapolate: bool) -> None:
    """DataInvalid where there are far fewer points, or far more, than in training, unless ``extrapolate``."""
    fewest, most = allowed_points(problem)
    if not (extrapolate or fewest <= points <= most):
        what = "particles" if problem.motion else "points"
        other = "give such a number of them" if problem.motion else "interpolate to such a number"
        raise DataInvalid(
            f"the number of {what} is far from that of training",
            found=f"{points} {what}",
            expected=f"{fewest} to {most}: training had {problem.shape[0]}",
            fix=f"{other}, or ask for it: ups predict --extrapolate",
        )


def check_particles(problem: Problem, states: np.ndarray) -> None:
    """DataInvalid where a particle of states (N, C, M) is behind a wall."""
    positions = problem.motion.positions if problem.motion else ()
    for c, kind, ends in zip(positions, problem.boundary, problem.box or (), strict=False):
        _check_inside(problem.fields[c], states[:, c], kind, ends, "particle")


def _check_inside(name: str, x: np.ndarray, kind: str, ends: tuple[float, float], what: str) -> None:
    (low, high), finite = ends, np.isfinite(x)
    room = np.inf if kind == "periodic" else TOLERANCE * (high - low)
    inside = finite & (x >= low - room) & (x <= high + room)
    if not inside.all():
        raise DataInvalid(
            f"a {what} lies outside of the domain",
            found=f"{name} = {x[~inside][0]:g}",
            expected=f"{low:g} to {high:g}, as in training",
            fix=f"leave such {what}s out",
        )


def where(problem: Problem) -> list[tuple[str, str]]:
    """The same in words: (what, what it must be)."""
    what = "particles" if problem.motion else "points"
    said = [
        (
            f"{what} along {letter.lower()}",
            f"anywhere, of period {high - low:g}" if kind == "periodic" else f"from {low:g} to {high:g}",
        )
        for letter, kind, (low, high) in zip(problem.space, problem.boundary, problem.box or (), strict=True)
    ]
    fewest, most = allowed_points(problem)
    number = f"{problem.shape[0]} in training; refused below {fewest} and above {most}"
    return [*said, (f"number of {what}", number)]
