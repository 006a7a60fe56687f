"""A lean dilated convolutional network.

The halo is fetched once and consumed by *valid* convolutions, so no layer pads. Residual blocks with
growing dilation see as far as information travels within one frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.models.layers import CONV, crop, pad, with_parameters
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.architectures import ConvConfig


class Conv(nn.Module):
    """Channels on a grid, (B, C, X[, Y]), and parameters (B, P) to channels (B, C', X[, Y]) on it."""

    shift_equivariant = True

    def __init__(self, config: ConvConfig, problem: Problem, channels_in: int, channels_out: int) -> None:
        super().__init__()
        width, kernel, conv = config.width, config.kernel, CONV[problem.dimensions]
        dilations, self.boundary = config.blocks(problem), problem.boundary
        self.margins = [kernel // 2 * n for n in dilations]
        self.halo = kernel // 2 + sum(self.margins)
        self.lift = conv(channels_in + len(problem.varying), width, kernel)
        self.blocks = nn.ModuleList(conv(width, width, kernel, dilation=n) for n in dilations)
        self.head = conv(width, channels_out, 1)

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        u = with_parameters(u, parameters)
        h = self.lift(pad(u, self.halo, self.boundary))  # (B, W, X+2m)
        for block, margin in zip(self.blocks, self.margins, strict=True):
            h = crop(h, margin) + block(F.silu(h))  # (B, W, X+2m'), m' = m - margin
        return self.head(F.silu(h))  # (B, C', X[, Y])
