"""How far out an initial state lies: the statistics that ``spec.splits.NAME.largest`` ranks states by.

They are gathered while :mod:`~ups_core.data.validate` reads the arrays, block by block, and are numbers
without a unit, 1 for a typical state: those of several fields are comparable, and so are their ratios.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ups_core.data.families.base import Family
from ups_core.errors import InvalidSpec


def asked(splits: Mapping[str, Any]) -> tuple[str, ...]:
    """The statistics that the rules of ``spec.splits`` rank by, each once."""
    rules = (rule for rule in splits.values() if isinstance(rule, Mapping))
    return tuple(sorted({rule["largest"] for rule in rules if rule.get("largest")}))


@dataclass
class InitialStates:
    """Statistics of all initial states (of the inputs, where steady), in the order in which they come."""

    family: Family
    statistics: tuple[str, ...]
    #: Mean squares of each block, (n, C), by statistic.
    _squares: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, states: np.ndarray, nodes: Mapping[str, np.ndarray]) -> None:
        """Take in ``states`` (n, C, X[, Y]) on the nodes of each axis letter."""
        for name in self.statistics:
            self._squares.setdefault(name, []).append(mean_square(name, states, nodes, self.family))

    def values(self) -> list[dict[str, float]]:
        """Name of a statistic to its value, for each state."""
        columns = {name: relative(np.concatenate(blocks)) for name, blocks in self._squares.items()}
        return [
            dict(zip(columns, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)
        ]


def mean_square(
    statistic: str, states: np.ndarray, nodes: Mapping[str, np.ndarray], family: Family
) -> np.ndarray:
    """(n, C, X[, Y]) to the mean over space (n, C), float64: of u² for ``rms``, of |∇u|² for ``gradient``.

    The gradient is that of differences between neighbouring nodes, across the boundary where it is periodic:
    InvalidSpec where there are none. Where particles are is no measure of how far out a state lies: (n, C')
    of the other fields, and InvalidSpec where there are none of these.
    """
    _check_measure(statistic, family)
    if family.positions:
        states = states[:, [field.name not in family.positions for field in family.fields]]
    u = np.asarray(states, np.float64)
    space = tuple(range(2, u.ndim))
    if statistic == "rms":
        return np.square(u).mean(axis=space)
    total = np.zeros(u.shape[:2])
    for axis, letter in zip(space, family.space, strict=True):
        x, values = np.asarray(nodes[letter], np.float64), u
        if len(x) < 2:
            continue  # of one node nothing is known along this axis
        if family.boundary.get(letter) == "periodic":
            x = np.append(x, x[-1] + (x[-1] - x[0]) / (len(x) - 1))
            values = np.concatenate([u, u.take([0], axis=axis)], axis=axis)
        width = np.diff(x).reshape(-1, *[1] * (u.ndim - 1 - axis))
        total += np.square(np.diff(values, axis=axis) / width).mean(axis=space)
    return total


def _check_measure(statistic: str, family: Family) -> None:
    """InvalidSpec where states of this family have no such size."""
    if family.kind == "grid":
        return
    if len(family.positions) == len(family.fields):
        lacks, fix = "nothing but places, which rank no states", "choose the split by pattern or where"
    elif statistic == "gradient":
        lacks, fix = (
            "no gradient to rank their states by",
            "rank by rms, or choose the split by pattern or where",
        )
    else:
        return
    raise InvalidSpec(
        f"scattered points have {lacks}",
        where="spec.splits",
        found=f"largest: {statistic}, for family {family.name} of kind {family.kind}",
        fix=fix,
    )


def relative(squares: np.ndarray) -> np.ndarray:
    """(N, C) mean squares to (N,): the root of their mean over fields, each relative to its mean over N."""
    typical = squares.mean(axis=0)
    return np.sqrt((squares / np.where(typical > 0, typical, 1)).mean(axis=1))


def how_far(statistic: str, extreme: Iterable[Any], train: Iterable[Any]) -> dict[str, Any]:
    """Least, median and largest value of the samples of a test set and of train."""

    def spread(samples: Iterable[Any]) -> list[float]:
        values = [sample.statistics[statistic] for sample in samples]
        return [float(of(values)) for of in (np.min, np.median, np.max)]

    return {"largest": statistic, "here": spread(extreme), "train": spread(train)}
