"""What a surrogate is asked, once it has been found to fit what it was trained on.

All of the input is looked at before anything is computed, so that a refusal comes at once;
:mod:`~ups_core.models.limits` has the rules about values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ups_core.data.particles import Period, wrapped
from ups_core.errors import DataInvalid, InvalidSpec
from ups_core.models import limits, places
from ups_core.models.domain import Domain
from ups_core.models.grid import refinement, restrict
from ups_core.models.problem import Problem, shape_text
from ups_core.models.rollout import BATCH_VALUES


@dataclass(frozen=True)
class Accepted:
    """Input that fits: values (N, C, X[, Y]) on a grid ``factor`` times finer than that of training.

    On a mesh: values (N, C, M) at ``places`` (N, M, D). Of particles the ``periods`` of their coordinates.
    """

    values: np.ndarray
    parameters: np.ndarray
    factor: int
    single: bool
    places: np.ndarray | None = None
    periods: tuple[Period, ...] = ()

    def slices(self) -> Iterator[slice]:
        size = max(1, BATCH_VALUES // math.prod(self.values.shape[1:]))
        return (slice(i, min(i + size, len(self.values))) for i in range(0, len(self.values), size))

    def part(self, batch: slice) -> np.ndarray:
        # Wrapped in float64: far from the box, float32 has too few digits.
        values = np.asarray(self.values[batch], dtype=np.float64 if self.periods else None)
        return wrapped(values, self.periods).astype(np.float32)  # a copy: torch wants writable memory

    def where(self, batch: slice) -> Tensor | None:
        """The places (B, M, D) of these rows; None on a grid."""
        return None if self.places is None else torch.from_numpy(self.places[batch].astype(np.float32))

    def batches(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Rows, their values on the training grid (B, C, X[, Y]) and parameters (B, P)."""
        for batch in self.slices():
            yield batch, restrict(self.part(batch), self.factor), self.parameters[batch]

    def into(self, out: np.ndarray | None, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The result, and the same memory with an axis N in front in any case."""
        whole = np.empty(shape, np.float32) if out is None else out
        if whole.shape != shape:
            raise InvalidSpec(
                "out has another shape", found=shape_text(whole.shape), expected=shape_text(shape)
            )
        return whole, whole[None] if self.single else whole


def accept(
    given: np.ndarray,
    parameters: Any,
    coordinates: Mapping[str, np.ndarray] | None,
    units: Mapping[str, str] | None,
    *,
    problem: Problem,
    domain: Domain,
    fixed: Mapping[str, float],
    any_grid: bool,
    extrapolate: bool,
) -> Accepted:
    """The input of a surrogate of ``problem``, which has seen ``domain``.

    ``fixed`` are the parameters that were the same in all training samples; ``any_grid``: what is predicted
    means the same on every grid. Errors as in :meth:`ups_core.surrogate.Surrogate.rollout`.
    """
    values, single = rows_of(np.asarray(given), problem)
    where = None
    if problem.mesh:
        where = places.places_of(problem, coordinates or {}, *values.shape[::2], extrapolate=extrapolate)
    if problem.motion is not None:
        places.check_number(problem, values.shape[2], extrapolate=extrapolate)
    factor = 1 if any_grid or problem.scattered else refinement(values.shape[2:], problem)
    limits.check_units(domain, units or {})
    limits.check_coordinates(domain, problem, coordinates or {}, values.shape[2:])
    table = _table(parameters, len(values), problem, domain, fixed, extrapolate=extrapolate)
    accepted = Accepted(values, table, factor, single, where, problem.periods)
    for batch in accepted.slices():
        part = accepted.part(batch)
        finite = np.isfinite(part).reshape(len(part), -1).all(axis=1)  # (B,)
        if not finite.all():
            bad = batch.start + int(np.flatnonzero(~finite)[0])
            raise DataInvalid("the input is not finite", where=f"sample {bad}", expected="finite values")
        places.check_particles(problem, part)
        if not extrapolate:
            limits.check_values(domain, part, batch.start)
    return accepted


def rows_of(values: np.ndarray, problem: Problem) -> tuple[np.ndarray, bool]:
    """(N, C, X[, Y]), and whether one sample without N was given; DataInvalid for another layout."""
    channels = problem.inputs
    single = values.ndim == len(problem.axes) + 1
    rows = values[None] if single else values
    if rows.ndim != len(problem.axes) + 2 or rows.shape[1] != len(channels) or not len(rows):
        raise DataInvalid(
            "the input has another layout",
            found=f"shape {shape_text(values.shape)}",
            expected=f"(N, C, {', '.join(problem.axes)}), one sample or more, channels {', '.join(channels)}",
        )
    return rows, single


def _table(
    given: Any,
    samples: int,
    problem: Problem,
    domain: Domain,
    fixed: Mapping[str, float],
    *,
    extrapolate: bool,
) -> np.ndarray:
    """Parameters (N, P), with what was fixed in training filled in."""
    names = problem.parameters
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        table = np.asarray(given, dtype=np.float64)
        _expect("parameters", table, (samples, len(names)))
        given = dict(zip(names, table.T, strict=True))
    if unknown := [name for name in given if name not in names]:
        raise DataInvalid(
            f"there is no parameter {unknown[0]}",
            found=", ".join(given),
            expected=", ".join(names) or "none",
        )
    columns = []
    for known in domain.parameters:
        name = known.name
        if name not in given and name not in fixed:
            raise DataInvalid(
                f"the parameter {name} is needed",
                expected=f"{name} in parameters: it varied in training, {known.low:g} to {known.high:g}",
            )
        column = np.asarray(given.get(name, fixed.get(name)), dtype=np.float64)
        if column.ndim:
            _expect(f"the parameter {name}", column, (samples,))
        column = np.broadcast_to(column, samples)
        if name in fixed and not np.allclose(column, fixed[name], rtol=1e-5):
            raise DataInvalid(
                f"the surrogate knows one value of {name} only",
                found=f"{name} = {column[np.argmax(np.abs(column - fixed[name]))]:g}",
                expected=f"{name} = {fixed[name]:g}, as in training",
                fix="train on a dataset in which it varies",
            )
        if name not in fixed:
            limits.check_parameter(known, column, extrapolate=extrapolate)
        columns.append(column)
    return np.stack(columns, axis=1) if columns else np.zeros((samples, 0))


def _expect(what: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise DataInvalid(
            f"{what} of another layout",
            found=f"shape {shape_text(array.shape)}",
            expected=f"{shape_text(shape)}: one row for each sample",
        )
