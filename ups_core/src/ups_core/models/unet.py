"""A U-shaped convolutional network: local detail and global balance in one pass.

Elliptic problems couple every point with every other. The contracting half carries information over the
whole domain at low cost; the skip connections return the detail of the input (Ronneberger et al., "U-Net",
MICCAI 2015).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.models.layers import CONV, Padded, coarsen, refine, with_parameters
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.architectures import UNetConfig


class Block(nn.Module):
    """h + conv(silu(norm(h))), (B, W, X[, Y]) to the same."""

    def __init__(self, problem: Problem, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(max(width // 16, 1), width)
        self.conv = Padded(problem, width, width)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.conv(F.silu(self.norm(h)))


class UNet(nn.Module):
    """Channels on a grid, (B, C, X[, Y]), and parameters (B, P) to channels (B, C', X[, Y]) on it."""

    def __init__(self, config: UNetConfig, problem: Problem, channels_in: int, channels_out: int) -> None:
        super().__init__()
        d, widths = problem.dimensions, [config.width * 2**level for level in range(config.levels)]
        self.boundary, self.fine = problem.boundary, config.fine
        self.lift = Padded(problem, channels_in + len(problem.varying), widths[0])
        pairs = list(pairwise(widths))
        self.left = nn.ModuleList(Block(problem, w) for w in widths)
        self.down = nn.ModuleList(Padded(problem, fine, coarse) for fine, coarse in pairs)
        self.up = nn.ModuleList(CONV[d](coarse, fine, 1) for fine, coarse in pairs)
        self.right = nn.ModuleList(Block(problem, w) for w in widths[:-1])
        self.head = CONV[d](widths[0], channels_out, 1)

    def forward(self, a: Tensor, parameters: Tensor) -> Tensor:
        h = self.left[0](self.lift(with_parameters(a, parameters)))  # (B, W, X[, Y])
        skips = []
        for down, block in zip(self.down, self.left[1:], strict=True):
            skips.append(h)
            h = F.silu(h)
            coarse = coarsen(down(h), self.boundary) if self.fine else down(coarsen(h, self.boundary))
            h = block(coarse)  # (B, 2W, X/2[, Y/2])
        for up, block, skip in zip(reversed(self.up), reversed(self.right), reversed(skips), strict=True):
            h = block(skip + refine(up(h), skip.shape[2:], self.boundary))  # (B, W, X[, Y])
        return self.head(F.silu(h))  # (B, C', X[, Y])
