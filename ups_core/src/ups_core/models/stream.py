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

from ups_core.models.fourier import waves
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
