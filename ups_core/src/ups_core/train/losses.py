"""What training makes small: relative errors, one number per sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

#: Added to the squared ratio: the square root has no gradient at zero, where constant frames start.
EPSILON = 1e-14
#: Added to the mean square of the truth, in normalised units: a frame may vanish.
FLOOR = 1e-12


def relative_l2(prediction: Tensor, truth: Tensor) -> Tensor:
    """||prediction - truth|| / ||truth|| over channels and space, (B, C, X[, Y]) twice to (B,)."""
    axes = tuple(range(1, truth.ndim))
    error = (prediction - truth).square().mean(axes)  # (B,)
    return (error / (truth.square().mean(axes) + FLOOR) + EPSILON).sqrt()


def relative_h1(
    prediction: Tensor, truth: Tensor, spacing: Sequence[float], boundary: Sequence[str]
) -> Tensor:
    """The same in the norm ||u||² + ||grad u||², with one-sided differences: (B, C, X[, Y]) to (B,).

    Asks for right slopes, not only right values: a steady flux is a slope.
    """
    error = _h1_square(prediction - truth, spacing, boundary)  # (B,)
    return (error / (_h1_square(truth, spacing, boundary) + FLOOR) + EPSILON).sqrt()


def _h1_square(u: Tensor, spacing: Sequence[float], boundary: Sequence[str]) -> Tensor:
    axes = tuple(range(1, u.ndim))
    total = u.square().mean(axes)  # (B,)
    for axis, (h, kind) in enumerate(zip(spacing, boundary, strict=True), start=2):
        slope = torch.roll(u, -1, axis) - u if kind == "periodic" else torch.diff(u, dim=axis)
        total = total + (slope / h).square().mean(axes)
    return total
