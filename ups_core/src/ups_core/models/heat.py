"""What diffuses, diffused: the exact solution of the heat equation for one frame.

Where the family declares with which coefficient D its fields diffuse, that part of a frame is known in closed
form: a wave of wavenumber k shrinks by exp(-D k² Δt). A network that has to learn it finds strong diffusion
hard, where within a frame all waves but the longest vanish to less than it can resolve.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ups_core.models.fourier import waves
from ups_core.models.problem import Diffusion, Problem


class Heat(nn.Module):
    """States (B, C, X[, Y]) on a periodic grid, and what varies (B, P), to those states a frame later, or
    as many as ``lead`` (B,)."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        assert problem.diffusion is not None
        self.diffusion: Diffusion = problem.diffusion
        self.fixed = self.diffusion.place is None and not problem.leads[1:]
        for axis, (n, h) in enumerate(zip(problem.shape, problem.spacing, strict=True)):
            basis, _, square = waves(n, n * h)  # (K, X), (K,)
            if self.fixed:
                left = torch.exp(-self.diffusion.scale * square)[:, None]  # (K, 1), of each wave
                self.register_buffer(f"frame{axis}", (basis.T @ (left * basis)).float(), persistent=False)
            else:
                self.register_buffer(f"waves{axis}", basis.float(), persistent=False)
                self.register_buffer(f"square{axis}", square.float(), persistent=False)

    def forward(self, u: Tensor, parameters: Tensor, lead: Tensor | None = None) -> Tensor:
        much = None if self.fixed else self._much(parameters, lead)  # (B,)
        for axis in range(2, u.ndim):
            u = self._along(u.movedim(axis, -1), axis - 2, much).movedim(-1, axis)
        return u

    def _much(self, parameters: Tensor, lead: Tensor | None) -> Tensor:
        """D Δt of each sample, (B,)."""
        frame = self.diffusion.of(parameters) if self.diffusion.place is not None else self.diffusion.scale
        if lead is None:
            assert isinstance(frame, Tensor)
            return frame
        return frame * lead

    def _along(self, u: Tensor, axis: int, much: Tensor | None) -> Tensor:
        """(B, ..., X) diffused along its last axis."""
        if much is None:
            return u @ self.get_buffer(f"frame{axis}")
        basis, square = self.get_buffer(f"waves{axis}"), self.get_buffer(f"square{axis}")
        left = torch.exp(-much[:, None] * square)  # (B, K)
        left = left.reshape(u.shape[0], *[1] * (u.ndim - 2), -1)  # (B, ..., K)
        return u @ basis.T * left @ basis
