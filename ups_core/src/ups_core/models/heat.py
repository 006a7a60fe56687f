"""What diffuses, diffused: the exact solution of the heat equation for one frame.

Where the family declares with which coefficient D its fields diffuse, that part of a frame is known in closed
form: a wave of wavenumber k shrinks by exp(-D k² Δt). A network that has to learn it finds strong diffusion
hard, where within a frame all waves but the longest vanish to less than it can resolve.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ups_core.models.problem import Diffusion, Problem
from ups_core.models.stream import waves


class Heat(nn.Module):
    """States (B, C, X[, Y]) on a periodic grid, and what varies (B, P), to those states a frame later."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        assert problem.diffusion is not None
        self.diffusion: Diffusion = problem.diffusion
        for axis, (n, h) in enumerate(zip(problem.shape, problem.spacing, strict=True)):
            basis, _, square = waves(n, n * h)
            self.register_buffer(f"waves{axis}", basis.float(), persistent=False)
            self.register_buffer(f"square{axis}", square.float(), persistent=False)

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        strength = self.diffusion.of(parameters)  # (B,) or (), D Δt
        for axis in range(u.ndim - 2):
            basis, square = self.get_buffer(f"waves{axis}"), self.get_buffer(f"square{axis}")
            left = torch.exp(-strength[..., None] * square)  # (B, K) or (K,), what is left of each wave
            modes = u.movedim(2 + axis, -1) @ basis.T  # (B, C[, Y], K)
            if left.ndim == 2:
                left = left.reshape(len(left), *[1] * (u.ndim - 2), -1)
            u = (modes * left @ basis).movedim(-1, 2 + axis)
        return u
