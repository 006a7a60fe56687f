"""The flow that a vorticity makes, by its stream function.

In two dimensions an incompressible flow is the rotated gradient of a stream function ψ, and its vorticity is
ω = -Δψ (Batchelor, An Introduction to Fluid Dynamics, sec. 2.2 and 7.1). ψ at a place depends on the
vorticity everywhere: a network that looks a few points around would have to guess what carries them. Given
ψ beside ω, it sees the flow as slopes, and what is left to learn is local. On a periodic box ψ is known
exactly, wave by wave.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ups_core.models.problem import Problem

#: ψ is given in units in which waves of so many periods a box are as large in it as in the vorticity.
PERIODS = 4


class Stream(nn.Module):
    """Vorticity (B, 1, X, Y) on a periodic box to its stream function (B, 1, X, Y), whose mean is zero.

    In real arithmetic, by the matrices of the real Fourier transform along each axis.
    """

    waves_x: Tensor
    waves_y: Tensor
    inverse: Tensor

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        lengths = [n * h for n, h in zip(problem.shape, problem.spacing, strict=True)]
        found = [waves(n, length) for n, length in zip(problem.shape, lengths, strict=True)]
        bases, _, squares = zip(*found, strict=True)
        square = squares[0][:, None] + squares[1]  # (K, K'), |k|²
        unit = (2 * math.pi * PERIODS / max(lengths)) ** 2
        inverse = torch.where(square > 0, unit / square.clamp(min=1e-12), 0.0)
        for name, value in (("waves_x", bases[0]), ("waves_y", bases[1]), ("inverse", inverse)):
            self.register_buffer(name, value.float(), persistent=False)

    def forward(self, w: Tensor) -> Tensor:
        modes = self.waves_x @ w @ self.waves_y.T  # (B, 1, K, K')
        return self.waves_x.T @ (modes * self.inverse) @ self.waves_y  # (B, 1, X, Y)


def waves(points: int, length: float) -> tuple[Tensor, Tensor, Tensor]:
    """Sines and cosines as an orthogonal matrix (K, X), K = X; their slopes (K, X); their |k|² (K,)."""
    angle = 2 * math.pi * torch.arange(points, dtype=torch.float64) / points  # (X,)
    rows, slopes, numbers = [torch.full_like(angle, points**-0.5)], [torch.zeros_like(angle)], [0]
    for k in range(1, points // 2 + 1):
        if 2 * k == points:  # the sine of the highest wave vanishes on the grid, and so does its slope
            rows.append((k * angle).cos() * points**-0.5)
            slopes.append(torch.zeros_like(angle))
            numbers.append(k)
            continue
        cosine, sine = ((k * angle).cos() * (2 / points) ** 0.5, (k * angle).sin() * (2 / points) ** 0.5)
        rows += [cosine, sine]
        slopes += [-k * sine, k * cosine]
        numbers += [k, k]
    unit = 2 * math.pi / length
    return torch.stack(rows), torch.stack(slopes) * unit, (unit * torch.tensor(numbers).double()) ** 2
