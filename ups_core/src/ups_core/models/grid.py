"""From a finer grid to the training grid and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ups_core.errors import DataInvalid
from ups_core.models.problem import Problem, nested, shape_text


def refinement(space: tuple[int, ...], problem: Problem) -> int:
    """How many times finer a grid of ``space`` points is than the training grid.

    DataInvalid where that is no whole number, the same along all axes, or where finer grids do not have
    the nodes of the training grid.
    """
    factor = space[0] // problem.shape[0]
    if (
        factor < 1
        or space != tuple(n * factor for n in problem.shape)
        or (factor > 1 and not nested(problem))
    ):
        raise DataInvalid(
            "the surrogate cannot be used on this grid",
            found=f"{shape_text(space)} points",
            expected=f"{shape_text(problem.shape)} points, as in training"
            + (", or a whole multiple along all axes" if nested(problem) else ""),
            fix="interpolate the input to the training grid",
        )
    return factor


def restrict(values: np.ndarray, factor: int) -> np.ndarray:
    """Every ``factor``-th node of (N, C, X[, Y])."""
    return np.ascontiguousarray(values[(..., *[slice(None, None, factor)] * (values.ndim - 2))])


def refine(u: Tensor, problem: Problem, factor: int) -> Tensor:
    """(N, C, X[, Y]) on the training grid to one that is ``factor`` times finer.

    Along periodic axes trigonometric, between walls cubic, where node i of n lies at i/n.
    """
    if factor == 1:
        return u
    for axis, kind in enumerate(problem.boundary, start=2):
        u = (_trigonometric if kind == "periodic" else _cubic)(u, axis, factor)
    return u


def _trigonometric(u: Tensor, axis: int, factor: int) -> Tensor:
    """Periodic interpolation through every node: the spectrum padded with zeros."""
    n = u.shape[axis]
    spectrum = torch.fft.rfft(u, dim=axis)
    if n % 2 == 0:  # the highest mode stands for both signs; on the finer grid they part
        spectrum.select(axis, n // 2).mul_(0.5)
    return torch.fft.irfft(spectrum, n=n * factor, dim=axis) * factor


def _cubic(u: Tensor, axis: int, factor: int) -> Tensor:
    """Cubic through the nodes of an axis that starts on a wall; the opposite wall is taken to be alike."""
    n = u.shape[axis]
    lines = torch.cat([u, u.narrow(axis, 0, 1)], dim=axis).movedim(axis, -1)  # (..., n+1)
    image = lines.reshape(1, 1, -1, n + 1)  # torch interpolates images only: one line a row
    fine = F.interpolate(image, (image.shape[2], n * factor + 1), mode="bicubic", align_corners=True)
    return fine[..., :-1].reshape(*lines.shape[:-1], n * factor).movedim(-1, axis)
