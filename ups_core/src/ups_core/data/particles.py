"""Particles that move: where they are is part of their state.

Along a periodic axis a place is known but for whole periods. Cached places lie in the box, and whoever
compares two of them takes the shortest way from one to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ups_core.data.families.base import Family


@dataclass(frozen=True)
class Period:
    """A channel that is a coordinate along a periodic axis: the box begins at ``low``, and is so long."""

    channel: int
    low: float
    length: float


def periods(
    positions: Sequence[int], boundary: Sequence[str], box: Sequence[tuple[float, float]]
) -> tuple[Period, ...]:
    """Of the channels ``positions``, one for each axis; none for an axis between walls."""
    axes = zip(positions, boundary, box, strict=True)
    return tuple(Period(c, low, high - low) for c, kind, (low, high) in axes if kind == "periodic")


def periods_of(family: Family) -> tuple[Period, ...]:
    """Those of a family; none where it is not one of particles."""
    names = [field.name for field in family.fields]
    positions = [names.index(name) for name in family.positions]
    if not positions:
        return ()
    boundary = [family.boundary[axis] for axis in family.space]
    return periods(positions, boundary, [family.box[axis] for axis in family.space])


def flights_of(family: Family) -> tuple[tuple[int, int], ...]:
    """Pairs of channels, a coordinate and the velocity along it; none where there are no velocities."""
    names = [field.name for field in family.fields]
    pairs = zip(family.positions, family.velocities, strict=False)
    return tuple((names.index(place), names.index(velocity)) for place, velocity in pairs)


def wrapped(u: np.ndarray, found: Sequence[Period]) -> np.ndarray:
    """u (..., C, M) with these coordinates in the box, of the same type; u itself where there are none.

    >>> wrapped(np.array([[0.25, -0.25, 2.75]]), [Period(0, 0.0, 1.0)])
    array([[0.25, 0.75, 0.75]])
    """
    if not found:
        return u
    u = u.copy()
    for period in found:
        x = u[..., period.channel, :].astype(np.float64)
        with np.errstate(invalid="ignore"):  # whoever reads it says that it is not finite
            u[..., period.channel, :] = period.low + np.mod(x - period.low, period.length)
    return u


def nearest(prediction: np.ndarray, truth: np.ndarray, found: Sequence[Period]) -> np.ndarray:
    """The prediction (..., C, M) moved by whole periods to where it is nearest to the truth (..., C, M).

    >>> nearest(np.array([[0.75]]), np.array([[0.125]]), [Period(0, 0.0, 1.0)])
    array([[-0.25]])
    """
    if not found:
        return prediction
    prediction = prediction.copy()
    for period in found:
        apart = prediction[..., period.channel, :] - truth[..., period.channel, :]
        with np.errstate(invalid="ignore"):  # what has diverged is to be seen
            prediction[..., period.channel, :] -= period.length * np.round(apart / period.length)
    return prediction
