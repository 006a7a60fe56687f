"""What a surrogate was trained on, as numbers: what it can be asked, and what must be refused.

A network gives an answer to anything that has the right shape. :class:`Domain` travels in the published
model beside the :class:`~ups_core.models.problem.Problem` and holds the rest of what an input has to agree
with: units, the place of the grid, the range of parameters and of values. The rules are pure functions of
both, in :mod:`ups_core.models.limits`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from ups_core.models.problem import Problem

#: How far a parameter may leave the range of training, as a share of the range's width (of logarithms,
#: where the network is given logarithms).
MARGIN = 0.05
#: How far a value may leave the range of training, in standard deviations of its field.
DEVIATIONS = 3.0


@dataclass(frozen=True)
class Channel:
    """One channel that the surrogate is given: unit, and what training saw of it."""

    name: str
    unit: str
    low: float
    high: float
    std: float

    @property
    def allowed(self) -> tuple[float, float]:
        """The range of training and :data:`DEVIATIONS` more on both sides."""
        return self.low - DEVIATIONS * self.std, self.high + DEVIATIONS * self.std


@dataclass(frozen=True)
class Parameter:
    """A physical parameter: its range in training, and whether the network is given its logarithm."""

    name: str
    low: float
    high: float
    logarithmic: bool = False

    @property
    def allowed(self) -> tuple[float, float]:
        """The range of training and :data:`MARGIN` of its width more on both sides."""
        low, high = np.log([self.low, self.high]) if self.logarithmic else (self.low, self.high)
        margin = MARGIN * (high - low)
        ends = low - margin, high + margin
        first, last = (float(end) for end in (np.exp(ends) if self.logarithmic else ends))
        return first, last


@dataclass(frozen=True)
class Domain:
    """The training split of a surrogate, as far as an input is judged by it.

    Attributes
    ----------
    channels: of the state where transient, of the input where steady.
    parameters: all of the problem's, in its order.
    origin: the first node along each axis of a grid; nothing of scattered points.
    at_rest: whether the range is that about the mean of each state: a surrogate that is the same for a
        moving observer does not see the mean.
    samples: of the splits that training read.
    data: digest of the cached dataset, which identifies its bytes.
    """

    channels: tuple[Channel, ...]
    parameters: tuple[Parameter, ...]
    origin: tuple[float, ...]
    at_rest: bool
    samples: Mapping[str, int]
    data: str

    @classmethod
    def read(cls, folder: Path, problem: Problem, data: str, *, at_rest: bool) -> Domain:
        """Of a cached dataset; ``problem`` is the one of its fields."""
        dataset = json.loads((folder / "dataset.json").read_text())
        statistics = json.loads((folder / "normaliser.json").read_text())
        array, kind = ("a", "inputs") if problem.steady else ("u", "fields")
        seen = np.load(folder / "train" / f"{array}.npy", mmap_mode="r")
        low, high = _range(seen, len(problem.axes), at_rest)
        units = {field["name"]: field.get("unit", "1") for field in dataset[kind]}
        values = np.load(folder / "train" / "parameters.npy")  # (N, P)
        return cls(
            channels=tuple(
                Channel(name, units[name], float(low[c]), float(high[c]), statistics[kind][name]["std"])
                for c, name in enumerate(problem.inputs)
            ),
            parameters=tuple(
                Parameter(
                    name,
                    float(column.min()),
                    float(column.max()),
                    name in problem.varying and bool((column > 0).all()),
                )
                for name, column in zip(problem.parameters, values.T, strict=True)
            ),
            origin=tuple(
                float(np.load(folder / "train" / f"{axis.lower()}.npy")[0])
                for axis in ("" if problem.scattered else problem.space)
            ),
            at_rest=at_rest,
            samples={name: dataset["splits"][name]["samples"] for name in ("train", "val")},
            data=data,
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Domain:
        return TypeAdapter(cls).validate_python(values)


def mean_of(u: np.ndarray, dimensions: int) -> np.ndarray:
    """Over the last axes, (..., X[, Y]) to (..., 1[, 1])."""
    return u.mean(axis=tuple(range(-dimensions, 0)), keepdims=True)


def _range(values: np.ndarray, dimensions: int, at_rest: bool) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest value of each channel of (N[, T], C, X[, Y]), read sample by sample."""
    ends = []
    for one in values:  # ([T,] C, X[, Y])
        seen = one - mean_of(one, dimensions) if at_rest else one
        lines = seen.reshape(
            -1, one.shape[-dimensions - 1], math.prod(one.shape[-dimensions:])
        )  # (T, C, X*Y)
        ends.append((lines.min(axis=(0, 2)), lines.max(axis=(0, 2))))  # (C,) both
    return np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)
