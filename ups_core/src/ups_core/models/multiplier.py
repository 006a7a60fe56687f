"""A Fourier multiplier: all that there is to learn of a linear equation with constant coefficients.

A map of states on a periodic grid that is linear and commutes with shifts multiplies each Fourier mode by a
number, or by a matrix where there are several fields, and every such map is of this form (Grafakos, Classical
Fourier Analysis, theorem 2.5.10, for the line). So a frame of such an equation needs no hidden layer: the
numbers are the weights, the loss is convex in them, and a rollout multiplies by their powers. Where
parameters vary, a small network of these gives the numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.errors import InvalidSpec
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.architectures import MultiplierConfig


class Multiplier(nn.Module):
    """(B, C, X[, Y]) and (B, P) to the state one frame later, (B, C, X[, Y]); normalised values."""

    shift_equivariant = True
    free: Tensor
    turning: Tensor

    def __init__(self, config: MultiplierConfig, problem: Problem) -> None:
        super().__init__()
        _check(problem)
        #: Conserved channels, and those that a rollout keeps in the range of its initial state.
        self.kept = [c for c, whether in enumerate(problem.conserved) if whether]
        self.bounded = [c for c, whether in enumerate(problem.bounded) if whether and config.bounded]
        fields, half = len(problem.fields), problem.shape[-1] // 2 + 1
        #: What each mode does to the fields less the identity, in real and imaginary parts.
        self.shape = (*problem.shape[:-1], half, fields, fields, 2)  # (K[, K'], C, C, 2)
        free = torch.ones(*self.shape[:-2], 1, 1)
        free[(0,) * problem.dimensions] = 1 - torch.tensor(problem.conserved).float()[:, None, None]
        #: Zero where the mean of a field would change that is conserved, (K[, K'], C, 1, 1); else one.
        self.register_buffer("free", free, persistent=False)
        turning = torch.ones(half)
        turning[[0, -1] if problem.shape[-1] % 2 == 0 else [0]] = 0
        #: Zero for the waves along the last axis that have no phase, (K,); else one.
        self.register_buffer("turning", turning, persistent=False)
        if problem.varying:
            self.lift = nn.Linear(len(problem.varying), config.hidden)
            self.inner = nn.Linear(config.hidden, config.hidden)
            self.head = nn.Linear(config.hidden, math.prod(self.shape))
            with torch.no_grad():  # start near the identity
                self.head.weight.mul_(0.1)
                self.head.bias.zero_()
        else:
            self.head = nn.Parameter(torch.zeros(self.shape))

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        others = tuple(range(2, u.ndim - 1))
        modes = torch.fft.fftn(torch.fft.rfft(u), dim=others) if others else torch.fft.rfft(u)
        modes = modes.movedim(1, -1)[..., None]  # (B, K[, K'], C, 1)
        change = torch.view_as_complex(self._change(parameters) * self.free) @ modes
        back = change[..., 0].movedim(-1, 1)  # (B, C, K[, K'])
        back = torch.fft.ifftn(back, dim=others) if others else back
        # What a real state cannot have, some implementations of the inverse drop and others do not.
        back = torch.complex(back.real, back.imag * self.turning)
        return u + torch.fft.irfft(back, n=u.shape[-1])  # (B, C, X[, Y])

    def _change(self, parameters: Tensor) -> Tensor:
        """(B, P) to (B or nothing, K[, K'], C, C, 2)."""
        if isinstance(self.head, nn.Parameter):
            return self.head
        hidden = F.silu(self.inner(F.silu(self.lift(parameters))))  # (B, H)
        return self.head(hidden).unflatten(1, self.shape)


def _check(problem: Problem) -> None:
    if problem.linear:
        return
    raise InvalidSpec(
        "this architecture is for linear equations with constant coefficients on periodic grids",
        where="spec.stages[operator].config.architecture",
        found=f"multiplier, for the family {problem.family}",
        expected="a transient family that declares linear, periodic along every axis",
        fix="set architecture: default",
    )
