"""Whether a test set is new: none of its initial states may be in train or val, in whatever guise.

Splits are dealt out by the hash of the raw initial state. That hash does not know a state again that was
rounded, shifted or mirrored; a network that was trained on such a copy has seen it all the same. So every
initial state (the input, where steady) is compared with all that were learned from, up to the family's
discrete symmetries and, where it declares shifts, cyclic shifts by whole nodes. The distance is the L2 norm
of the difference relative to that of the test state, both normalised by mean and deviation of train. Nodes on
a wall are left out: the opposite wall may have none, and of a mirrored copy nobody knows them.

A change of the observer's speed is no such disguise, although the equation may not see it: single waves
would then have an amplitude and nothing else, and independent ones would be taken for copies.

On a mesh, states are compared as they are stored, point by point: what a shift or a mirror makes of a state
lies at other points, where nobody knows it. So are those of particles, in the order in which they come.

Comparing all pairs under all shifts would cost an FFT a pair. The moduli of a state's Fourier coefficients do
not change under shifts, so the distance of two states' moduli is a lower bound of their distance, and so is
that of any part of them: a matrix product finds the few pairs that can be near, and only these are aligned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ups_core.errors import DataInvalid
from ups_core.evaluate.split import Split
from ups_core.models.problem import Problem
from ups_core.models.symmetry import apply, group

#: States nearer than this are one state. Storing in float32, shifting and mirroring move a state by some 1e-7
#: of its norm. Two independent draws come this near only by chance: a family whose states have two numbers
#: that no shift removes, which is the poorest there is (single waves), gives one such pair in some 10^8.
NEAR = 1e-4
#: Moduli that the matrix product compares: those that vary most over the first states that were learned from.
FEATURES = 512
#: Values of states, or of products, that are held at a time.
BLOCK_VALUES = 1 << 22
#: Pairs that a message names.
SHOWN = 10


@dataclass(frozen=True)
class Twin:
    """Sample ``index`` of a test set is sample ``other`` of what was learned from; relative ``distance``."""

    index: int
    other: int
    distance: float


def check(split: Split, learned: Sequence[Split], problem: Problem, scale: Mapping[str, np.ndarray]) -> None:
    """DataInvalid, with the samples' names, where an initial state of ``split`` was learned from.

    ``scale``: ``mean`` and ``std`` (C,) of the initial states' channels over train.
    """
    for known in learned:
        twins = sorted(find(split, known, problem, scale), key=lambda twin: (twin.index, twin.distance))
        if not twins:
            continue
        pairs = [
            f"{split.called(t.index)} is {known.called(t.other)} (distance {t.distance:.1g})"
            for t in twins[:SHOWN]
        ]
        more = [f"and {len(twins) - SHOWN} more"] if len(twins) > SHOWN else []
        raise DataInvalid(
            f"initial states of the test set {split.name} are in {known.name}",
            where=f"spec.splits.{split.name}",
            found="; ".join([*pairs, *more]),
            expected=f"none within {NEAR:g} of another, up to the symmetries and shifts of {problem.family}",
            fix="leave the copies out of the source, or by spec.convert.samples",
        )


def find(split: Split, known: Split, problem: Problem, scale: Mapping[str, np.ndarray]) -> list[Twin]:
    """Each test state that is nearer than :data:`NEAR` to one of ``known``, with its nearest.

    None where the nodes of one grid are not nodes of the other: such states cannot be compared.
    """
    steps = strides(split, known)
    if steps is None:
        return []
    if problem.scattered:
        problem = replace(problem, shifts=(), symmetries=())
    names, scale = problem.inputs, _symmetric(scale, problem)
    axes = tuple(2 + problem.space.index(letter) for letter in problem.shifts)
    _, some = next(_blocks(known, problem, steps[1], scale))  # (n, C, X[, Y])
    kept = np.argsort(_features(some, axes).var(axis=0), kind="stable")[::-1][:FEATURES]
    features = np.concatenate(
        [_features(u, axes)[:, kept] for _, u in _blocks(known, problem, steps[1], scale)]
    )
    squares = np.square(features).sum(axis=1)  # (M,), of features (M, K)
    nearest: dict[int, Twin] = {}
    for rows, states in _blocks(split, problem, steps[0], scale, BLOCK_VALUES // max(len(features), 1)):
        norms = np.linalg.norm(states.reshape(len(states), -1), axis=1)  # (n,)
        for element in group(problem):
            image = apply(element, torch.from_numpy(states), problem, names).numpy()
            own = _features(image, axes)[:, kept]
            both = np.square(own).sum(axis=1)[:, None] + squares
            bound = both - 2 * own @ features.T  # (n, M), squared
            # What cancellation leaves of equal features is some 1e-16 of their squares.
            for i, j in np.argwhere(bound < np.square(NEAR * norms)[:, None] + 1e-13 * both):
                if not norms[i]:
                    continue
                other = _state(known, problem, int(j), steps[1], scale)
                distance = aligned_distance(image[i], other, tuple(a - 1 for a in axes)) / norms[i]
                index = rows.start + int(i)
                if distance < NEAR and (index not in nearest or distance < nearest[index].distance):
                    nearest[index] = Twin(index, int(j), float(distance))
    return list(nearest.values())


def _symmetric(scale: Mapping[str, np.ndarray], problem: Problem) -> dict[str, np.ndarray]:
    """Means and deviations of the inputs (C,) that the problem's symmetries leave alone."""
    turns = [problem.turns(name) for name in problem.inputs]
    std = problem.shared(dict(zip(problem.inputs, scale["std"].tolist(), strict=True)))
    return {"mean": np.where(turns, 0.0, scale["mean"]), "std": np.array(std)}


def strides(one: Split, other: Split) -> tuple[int, int] | None:
    """Of which nodes both grids are made: every k-th of ``one``, every l-th of ``other``; None if of none."""
    if one.scattered:
        return (1, 1) if one.u.shape[-1] == other.u.shape[-1] else None
    for axis in (letter for letter in one.coordinates if letter != "T"):
        x, y = one.coordinates[axis], other.coordinates[axis]
        k, l = max(1, len(x) // len(y)), max(1, len(y) // len(x))  # noqa: E741
        if x[::k].shape != y[::l].shape or not np.allclose(x[::k], y[::l], rtol=1e-5, atol=1e-6):
            return None
    return k, l


def aligned_distance(u: np.ndarray, v: np.ndarray, axes: tuple[int, ...]) -> float:
    """The smallest ‖S u − v‖ over cyclic shifts S along ``axes``, for two states (C, X[, Y])."""
    if axes:
        product = np.conj(np.fft.fftn(u, axes=axes)) * np.fft.fftn(v, axes=axes)
        others = tuple(a for a in range(u.ndim) if a not in axes)
        correlation = np.fft.ifftn(product, axes=axes).real.sum(axis=others)  # over the shifted axes
        shift = np.unravel_index(int(correlation.argmax()), correlation.shape)
        u = np.roll(u, tuple(int(s) for s in shift), axis=axes)
    return float(np.linalg.norm(u - v))


def _features(u: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """(N, C, X[, Y]) to (N, K): what no shift along ``axes`` changes, with distances that are no larger."""
    kept = np.abs(np.fft.fftn(u, axes=axes, norm="ortho")) if axes else u
    return kept.reshape(len(u), -1)


def _blocks(
    split: Split, problem: Problem, stride: int, scale: Mapping[str, np.ndarray], most: int | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    size = BLOCK_VALUES // max(1, int(np.prod(split.states.shape[1:])))
    size = max(1, size if most is None else min(size, most))
    for start in range(0, len(split), size):
        rows = slice(start, min(start + size, len(split)))
        yield rows, _normalised(split.states[rows], problem, stride, scale)


def _state(
    split: Split, problem: Problem, index: int, stride: int, scale: Mapping[str, np.ndarray]
) -> np.ndarray:
    return _normalised(split.states[index : index + 1], problem, stride, scale)[0]


def _normalised(
    states: np.ndarray, problem: Problem, stride: int, scale: Mapping[str, np.ndarray]
) -> np.ndarray:
    """float64 (N, C, X[, Y]) at every ``stride``-th node that is on no wall."""
    u = states[(..., *[slice(stride * wall, None, stride) for wall in problem.wall])].astype(np.float64)
    channels = (1, -1, *[1] * (u.ndim - 2))
    return (u - scale["mean"].reshape(channels)) / scale["std"].reshape(channels)
