"""The family's solver on coarser and finer grids: what a given error costs without a surrogate.

A solver that is more accurate than the surrogate and slower proves nothing: on a coarser grid it may be as
inaccurate and faster. So the solver is run on grids of half, or twice, as many points along each axis, again
and again, until its error lies on the other side of the surrogate's. It is given the same frame, cut or
padded in Fourier space, and its frames are brought back in the same way, so this is for periodic axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ups_core.data.families.base import Solver
from ups_core.evaluate import metrics
from ups_core.evaluate.judgement import Meter
from ups_core.evaluate.split import Split, Window

#: Samples that the settings are compared on, the first of the split: the solver is deterministic, and a finer
#: grid costs 4 to 8 times as much.
SAMPLES = 32
#: Grids have at least this many points along an axis, and at most this many times those of the data.
COARSEST, FINEST = 8, 4
#: A grid twice as fine that leaves more than this share of the error is not what limits it.
STALLED = 0.9


@dataclass(frozen=True)
class Setting:
    """The solver on a grid of ``points`` along the first axis: its nRMSE, and what its frames cost."""

    points: int
    error: float
    meter: Meter


def settings(
    solver: Solver, split: Split, frames: Window, own: float, at_data: Setting, tick: Callable[[], None]
) -> list[Setting]:
    """Settings whose errors lie on both sides of ``own``, where there are such, from coarse to fine.

    ``own`` is the surrogate's nRMSE on the first :data:`SAMPLES` samples, ``at_data`` the solver on the
    data's own grid. Only the last setting on each way is past ``own``, so nothing is run that is not needed.
    """
    found, factor = [at_data], 1.0
    points = split.u.shape[3:]
    step = 0.5 if at_data.error <= own else 2.0
    while np.isfinite(own) and np.isfinite(found[-1].error):
        last = found[-1].error
        if (step < 1 and last > own) or (step > 1 and last <= own):
            break
        factor *= step
        if factor > FINEST or any(n * factor < COARSEST or (n * factor) % 2 for n in points):
            break
        found.append(_at(solver, split, frames, factor))
        tick()
        if step > 1 and found[-1].error > STALLED * last:
            break
    return sorted(found, key=lambda setting: setting.points)


def resize(u: np.ndarray, points: Sequence[int]) -> np.ndarray:
    """Periodic fields (..., X[, Y]) on ``points`` nodes along each axis, from the same first node: float64.

    The trigonometric interpolant; on a coarser grid without the modes that this cannot hold.
    """
    for axis, count in zip(range(u.ndim - len(points), u.ndim), points, strict=True):
        n = u.shape[axis]
        if n == count:
            continue
        c = np.moveaxis(np.fft.rfft(u, axis=axis, norm="forward"), axis, -1)  # (..., K)
        if n % 2 == 0 and count > n:  # the highest mode stands for both signs; on the finer grid they part
            c[..., -1] *= 0.5
        c = c[..., : (count + 1) // 2]  # and on a coarser grid it has none that it could stand for
        u = np.moveaxis(np.fft.irfft(c, n=count, axis=-1, norm="forward"), -1, axis)
    return u


def _at(solver: Solver, split: Split, frames: Window, factor: float) -> Setting:
    own = split.u.shape[3:]
    points = tuple(round(n * factor) for n in own)
    coordinates = {"T": split.coordinates["T"][frames.covered]}
    for axis, count in zip("XYZ", points, strict=False):
        x = split.coordinates[axis]
        length = (x[-1] - x[0]) * len(x) / (len(x) - 1)
        coordinates[axis] = x[0] + length / count * np.arange(count)

    def solve(batch: slice, meter: Meter) -> np.ndarray:
        initial = resize(split.u[batch, frames.start].astype(np.float64), points)  # (n, C, X'[, Y'])
        parameters = {k: v.astype(np.float64) for k, v in split.named_parameters(batch).items()}
        with meter.running(len(initial) * frames.steps), np.errstate(all="ignore"):
            return solver(initial, coordinates=coordinates, parameters=parameters)  # (n, T + 1, C, X'[, Y'])

    solve(slice(0, 1), Meter())  # a first call plans and allocates, which is no part of the cost of a frame
    meter, errors, size = Meter(), [], _batch(split, points)
    for start in range(0, min(SAMPLES, len(split)), size):
        batch = slice(start, min(start + size, SAMPLES, len(split)))
        found = resize(solve(batch, meter)[:, 1:], own)
        errors.append(metrics.nrmse(found, split.u[batch, frames.predicted]))
    return Setting(points[0], float(metrics.mean_defined(np.concatenate(errors))), meter)


def _batch(split: Split, points: Sequence[int]) -> int:
    """Samples at once, so that a finer grid takes no more memory."""
    some = next(split.batches())
    return max(1, int((some.stop - some.start) * np.prod(split.u.shape[3:]) / np.prod(points)))
