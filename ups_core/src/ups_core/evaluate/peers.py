"""What a surrogate must beat: the trivial guess, and the classical solver on the same grid.

- **persistence** (transient): the last given frame, repeated. One step ahead, the true frame before.
  Particles that have velocities go on with these, straight ahead.
- **mean** (steady): the mean solution of the training split. A test set on another grid gets that
  mean field interpolated linearly onto its nodes; nodes outside the training grid take the value of
  the nearest one inside (on periodic axes the field wraps around). On a mesh whose points differ between
  samples, the mean over all of them.
- **solver**: the family's own solver, in float64, started from the same initial frame (or input) at
  the data's own, coarse resolution. Its error is what discretisation alone costs there.
- **fno**: a tuned Fourier neural operator, trained on the same arrays for the same CPU seconds. To an
  evaluation it is one more :class:`Surrogate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ups_core.data.families.base import Solver
from ups_core.evaluate.split import Split, Window


class Surrogate(Protocol):
    """What evaluation needs of a trained model; arrays are NumPy, in physical units."""

    @property
    def leads(self) -> tuple[int, ...]: ...

    def rollout(
        self,
        u0: np.ndarray,
        steps: int,
        parameters: np.ndarray | None = None,
        *,
        coordinates: Mapping[str, np.ndarray] | None = None,
        every: int = 1,
    ) -> np.ndarray: ...

    def solve(
        self,
        a: np.ndarray,
        parameters: np.ndarray | None = None,
        *,
        coordinates: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray: ...


def persistence(split: Split, batch: slice, frames: Window) -> np.ndarray:
    """The last given frame at every predicted one: (n, steps, C, X[, Y])."""
    still = np.repeat(split.u[batch, frames.start : frames.given], frames.steps, axis=1)
    t = split.coordinates["T"]
    return _flown(still, t[frames.predicted] - t[frames.start], split)


def one_step_persistence(split: Split, batch: slice, frames: Window) -> np.ndarray:
    """The true frame before every predicted one: (n, steps, C, X[, Y])."""
    t = split.coordinates["T"][frames.covered]
    return _flown(split.u[batch, frames.start : frames.start + frames.steps], np.diff(t), split)


def _flown(u: np.ndarray, after: np.ndarray, split: Split) -> np.ndarray:
    """States u (n, T, C, M) whose particles have gone on for the times ``after`` (T,); others as they are."""
    if not split.flights:
        return u
    u = np.array(u)
    for place, velocity in split.flights:
        u[:, :, place] += after[:, None] * u[:, :, velocity]
    return u


def surrogate_rollout(
    model: Surrogate, split: Split, batch: slice, frames: Window, every: int = 1
) -> np.ndarray:
    """The closed-loop rollout from the last given frame, in steps of ``every``: (n, steps, C, X[, Y])."""
    start, more = np.array(split.u[batch, frames.start]), _places(split, batch)  # (n, C, X[, Y])
    return model.rollout(start, frames.steps, parameters=_columns(split, batch), every=every, **more)


def surrogate_one_step(model: Surrogate, split: Split, batch: slice, frames: Window) -> np.ndarray:
    """Every predicted frame from the true frame before it: (n, steps, C, X[, Y])."""
    before = np.array(split.u[batch, frames.start : frames.start + frames.steps])  # (n, steps, C, X[, Y])
    n, steps = before.shape[:2]
    columns = _columns(split, batch)
    if columns is not None:
        columns = np.repeat(columns, steps, axis=0)
    places = _places(split, batch, repeat=steps)
    after = model.rollout(before.reshape(n * steps, *before.shape[2:]), 1, parameters=columns, **places)
    return after.reshape(before.shape)


def solver_rollout(solver: Solver, split: Split, batch: slice, frames: Window) -> np.ndarray:
    """The classical solution at the predicted frames: (n, steps, C, X[, Y]), float64."""
    times = split.coordinates["T"][frames.covered]
    solution = solver(
        split.u[batch, frames.start].astype(np.float64),
        coordinates={**split.nodes(batch), "T": times},
        parameters=_float64(split.named_parameters(batch)),
    )
    return solution[:, 1:]


def solver_steady(solver: Solver, split: Split, batch: slice) -> np.ndarray:
    """The classical solution of a steady problem: (n, C, X[, Y]), float64."""
    assert split.a is not None
    given = split.a[batch].astype(np.float64)
    return solver(
        given, coordinates=split.nodes(batch), parameters=_float64(split.named_parameters(batch)), input=given
    )


def surrogate_steady(model: Surrogate, split: Split, batch: slice) -> np.ndarray:
    """The surrogate's solution of a steady problem: (n, C, X[, Y])."""
    assert split.a is not None
    return model.solve(np.array(split.a[batch]), parameters=_columns(split, batch), **_places(split, batch))


def mean_solution(train: Split) -> np.ndarray:
    """The mean of the training solutions: (C, X[, Y]), float64, read batch by batch."""
    total = np.zeros(train.u.shape[1:], dtype=np.float64)
    for batch in train.batches():
        total += train.u[batch].sum(axis=0, dtype=np.float64)
    return total / len(train)


def mean_at_points(train: Split, split: Split) -> np.ndarray:
    """The mean of the training solutions at the points of a split, (C, M); over all points if they differ."""
    mean = mean_solution(train)  # (C, M')
    if same_points(train, split):
        return mean
    return np.repeat(mean.mean(axis=-1, keepdims=True), split.u.shape[-1], axis=-1)


def same_points(train: Split, split: Split) -> bool:
    """Whether all samples of both have the same points."""
    pairs = [(train.coordinates[axis], split.coordinates[axis]) for axis in "XY"]
    return all(
        own.shape[1] == other.shape[1] and (own == own[0]).all() and (other == own[0]).all()
        for own, other in pairs
    )


def resample(
    values: np.ndarray,
    source: Mapping[str, np.ndarray],
    target: Mapping[str, np.ndarray],
    boundary: Mapping[str, str],
) -> np.ndarray:
    """(C, X[, Y]) from the nodes ``source`` to the nodes ``target``, linearly along each axis in turn."""
    for axis, letter in enumerate([a for a in "XYZ" if a in source], start=1):
        old, new = source[letter], target[letter]
        if len(old) == len(new) and np.array_equal(old, new):
            continue
        period = (old[1] - old[0]) * len(old) if boundary.get(letter) == "periodic" else None
        values = np.apply_along_axis(
            lambda line, o=old, n=new, p=period: np.interp(n, o, line, period=p), axis, values
        )
    return values


def _columns(split: Split, batch: slice) -> np.ndarray | None:
    return split.parameters[batch] if split.parameter_names else None


def _places(split: Split, batch: slice, repeat: int = 1) -> dict[str, Any]:
    """What a surrogate on scattered points is given besides: ``coordinates``; nothing on a grid."""
    if not split.mesh:
        return {}
    along = {axis: nodes for axis, nodes in split.nodes(batch).items() if axis != "T"}
    return {"coordinates": {axis.lower(): np.repeat(x, repeat, axis=0) for axis, x in along.items()}}


def _float64(parameters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(values, dtype=np.float64) for name, values in parameters.items()}
