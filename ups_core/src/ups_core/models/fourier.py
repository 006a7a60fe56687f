"""The real Fourier transform of a periodic grid, by orthogonal matrices, one for each axis.

For the few points of a surrogate's grid a product with a matrix is as fast as a fast transform, and it
exports to formats that know no complex numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ups_core.models.problem import Problem


class Fourier(nn.Module):
    """Values on a periodic grid, (..., X[, Y]), to waves (..., K[, K']) and back; K = X, no wave is left out.

    ``square`` (K[, K']) holds |k|² of each wave, in radians per unit of length, squared.
    """

    square: Tensor

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.axes = [f"waves_{axis.lower()}" for axis in problem.space]
        square = torch.zeros((), dtype=torch.float64)
        for name, points, spacing in zip(self.axes, problem.shape, problem.spacing, strict=True):
            waves, squares = _waves(points, points * spacing)
            self.register_buffer(name, waves.float(), persistent=False)
            square = square[..., None] + squares
        self.register_buffer("square", square.float(), persistent=False)

    def waves(self, u: Tensor) -> Tensor:
        for axis, name in enumerate(self.axes, start=-len(self.axes)):
            u = (u.transpose(axis, -1) @ self.get_buffer(name).T).transpose(axis, -1)
        return u

    def values(self, modes: Tensor) -> Tensor:
        for axis, name in enumerate(self.axes, start=-len(self.axes)):
            modes = (modes.transpose(axis, -1) @ self.get_buffer(name)).transpose(axis, -1)
        return modes


def _waves(points: int, length: float) -> tuple[Tensor, Tensor]:
    """Sines and cosines as an orthogonal matrix (K, X), K = X, and the squares of their wavenumbers (K,)."""
    angle = 2 * math.pi * torch.arange(points, dtype=torch.float64) / points  # (X,)
    rows, numbers = [torch.full_like(angle, points**-0.5)], [0]
    for k in range(1, points // 2 + 1):
        if 2 * k == points:  # the sine of the highest wave vanishes on the grid
            rows, numbers = [*rows, (k * angle).cos() * points**-0.5], [*numbers, k]
            continue
        rows += [(k * angle).cos() * (2 / points) ** 0.5, (k * angle).sin() * (2 / points) ** 0.5]
        numbers += [k, k]
    return torch.stack(rows), (2 * math.pi / length * torch.tensor(numbers, dtype=torch.float64)) ** 2
