"""A critic: what the error of a candidate for the next frame will turn out to be, before the truth is known.

It sees what a corrector sees, with the drawn residual in place of a mixture, and gives the logarithm of the
root mean square error in units of the residual. The network's one channel is the logarithm of the expected
square error at each point; the mean over space is taken of the squares, as the error itself takes it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ups_core.models.corrector import stacked
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.architectures import GridArchitecture


class Critic(nn.Module):
    """A network on the grid, pooled to one number for each candidate."""

    def __init__(self, network: nn.Module, problem: Problem, *, galilean: bool) -> None:
        super().__init__()
        self.network, self.wall = network, problem.wall
        self.shift_equivariant = bool(getattr(network, "shift_equivariant", False)) and problem.periodic
        self.boost = problem.boost if galilean else None

    @classmethod
    def of(cls, architecture: GridArchitecture, problem: Problem) -> Critic:
        """The untrained critic whose network is of this architecture."""
        channels = 2 * len(problem.fields) + len(
            problem.inputs
        )  # residual, prediction, what that was made of
        return cls(architecture.network(problem, channels, 1), problem, galilean=architecture.galilean)

    def forward(self, residual: Tensor, given: Tensor, prediction: Tensor, parameters: Tensor) -> Tensor:
        """Log error (B,) of drawn residuals (B, C, X[, Y]); normalised values, parameters (B, P)."""
        seen = stacked(residual, given, prediction, boost=self.boost, wall=self.wall)  # (B, C', X[, Y])
        local = self.network(seen, parameters).flatten(1)  # (B, X[*Y])
        return (local.logsumexp(1) - math.log(local.shape[1])) / 2


def log_error(residual: Tensor, truth: Tensor) -> Tensor:
    """What a critic learns: the log of the root mean square difference of (B, C, X[, Y]) twice, (B,)."""
    # Nothing that is drawn hits the truth; where rounding says so, its logarithm is still a number.
    tiny = torch.finfo(residual.dtype).tiny
    return (residual - truth).square().flatten(1).mean(1).clamp(min=tiny).log() / 2
