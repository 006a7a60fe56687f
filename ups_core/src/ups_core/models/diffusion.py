"""What diffusion alone makes of a state.

Where a family's equation has a linear diffusion, u_t = ... + ν Δu, that part of a frame is known: on a
periodic box each wave k decays by exp(-ν |k|² dt). Where ν spans decades it is all that the parameter changes
in the equation, and a network spends much on it; taken off, what is left is what the other terms do, and
much of that is the same at every ν. (A single ν is learned as well without.) Classical solvers take the
linear part exactly for a reason like it (exponential time differencing: Cox & Matthews, J. Comput. Phys.
176, 2002).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ups_core.models.fourier import Fourier
from ups_core.models.problem import Problem


class Diffusion(nn.Module):
    """States (B, C, X[, Y]) and parameters (B, P), as networks are given them, to the change in one frame.

    The mean of a field does not change.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        assert problem.diffusivity is not None
        self.fourier, self.diffusivity = Fourier(problem), problem.diffusivity

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        spread = self.diffusivity.of(parameters).reshape(-1, *[1] * (u.ndim - 1))  # (B, 1, 1[, 1])
        loss = torch.expm1(-spread * self.fourier.square)  # (B, 1, K[, K'])
        return self.fourier.values(self.fourier.waves(u) * loss)  # (B, C, X[, Y])
