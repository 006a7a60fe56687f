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

from ups_core.models.fourier import Fourier
from ups_core.models.problem import Problem

#: ψ is given in units in which waves of so many periods a box are as large in it as in the vorticity.
PERIODS = 4


class Stream(nn.Module):
    """Vorticity (B, 1, X, Y) on a periodic box to its stream function (B, 1, X, Y), whose mean is zero."""

    inverse: Tensor

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.fourier = Fourier(problem)
        longest = max(n * h for n, h in zip(problem.shape, problem.spacing, strict=True))
        unit, square = (2 * math.pi * PERIODS / longest) ** 2, self.fourier.square
        inverse = torch.where(square > 0, unit / square.clamp(min=1e-12), 0.0)  # (K, K')
        self.register_buffer("inverse", inverse, persistent=False)

    def forward(self, w: Tensor) -> Tensor:
        return self.fourier.values(self.fourier.waves(w) * self.inverse)  # (B, 1, X, Y)
