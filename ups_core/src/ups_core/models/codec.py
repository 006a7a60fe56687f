"""Averages over patches, a coarser picture of the same problem, and the decoder back.

All that a family declares holds for averages, too: sums that are kept, symmetries, the moving observer,
diffusion. So whatever advances a code is built as it would be for the fields. Where a grid resolves more than
the dynamics need, averages say all that there is to say: below a patch a front has the one profile that
equation and parameters give it, which a decoder can learn. Where they do not, the decoder's error says so.
Learned channels are not part of a code: they bring a state back more closely, but nothing is known of how
they move, and rollouts of them went astray.

The decoder sees the code around a patch and the parameters, and predicts all the patch's points at once, so
that all its work is done on the coarse grid. Averages of what it gives are exactly those of the code:
whatever sum a rollout of codes keeps, the decoded fields keep.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ups_core.api.architectures import ConvConfig
from ups_core.errors import InvalidSpec
from ups_core.models.conv import Conv
from ups_core.models.layers import Padded
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.stages import CodecConfig


class Codec(nn.Module):
    """State (B, C, X[, Y]) to code (B, C, X/s[, Y/s]) and back, s = ``downsample``; normalised values."""

    def __init__(self, config: CodecConfig, problem: Problem) -> None:
        super().__init__()
        s, channels = config.downsample, len(problem.fields)
        if any(n % s or n < 2 * s for n in problem.shape):
            raise InvalidSpec(
                "the grid cannot be divided into whole patches",
                where="spec.stages[codec].config.downsample",
                found=f"{' x '.join(map(str, problem.shape))} points, downsample {s}",
                expected="a divisor of the points along each axis, at most half of them",
                fix="set downsample to a smaller one, or remove the stage codec",
            )
        self.patch = s
        #: A uniform speed changes nothing but the averages.
        self.at_rest = problem.boost is not None
        fine = channels * s**problem.dimensions
        self.linear = Padded(problem, channels, fine, kernel=5)
        self.decoder = Conv(ConvConfig(width=config.width, dilations=[1, 1]), problem, channels, fine)
        with torch.no_grad():  # start with the averages
            for weights in (*self.linear.parameters(), *self.decoder.head.parameters()):
                weights.zero_()

    def encode(self, u: Tensor) -> Tensor:
        """The means over patches."""
        for axis in range(2, u.ndim):
            u = u.unflatten(axis, (-1, self.patch)).mean(axis + 1)
        return u  # (B, C, X/s[, Y/s])

    def decode(self, z: Tensor, parameters: Tensor) -> Tensor:
        """``parameters`` (B, P): those that vary, normalised."""
        space = tuple(range(2, z.ndim))
        seen = z - z.mean(space, keepdim=True) if self.at_rest else z
        patches = self.linear(seen) + self.decoder(seen, parameters)  # (B, C*s*s, X/s[, Y/s])
        patches = patches.unflatten(1, (-1, self.patch ** len(space)))  # (B, C, s*s, X/s[, Y/s])
        patches = patches - patches.mean(2, keepdim=True)
        return joined(patches + z.unsqueeze(2), self.patch)  # (B, C, X[, Y])

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        return self.decode(self.encode(u), parameters)


def joined(patches: Tensor, s: int) -> Tensor:
    """Patches (B, C, s*s, X/s[, Y/s]), the points of each in the order of the axes, as a grid (B, C, X[, Y]).

    >>> joined(torch.tensor([[[[0, 2], [1, 3]]]]), 2)
    tensor([[[0, 1, 2, 3]]])
    """
    axes = patches.ndim - 3
    u = patches.unflatten(2, (s,) * axes)  # (B, C, s[, s], X/s[, Y/s])
    order = [axis for n in range(axes) for axis in (2 + axes + n, 2 + n)]
    u = u.permute(0, 1, *order)  # (B, C, X/s, s[, Y/s, s])
    shape = [math.prod(u.shape[2 + 2 * n : 4 + 2 * n]) for n in range(axes)]
    return u.reshape(*u.shape[:2], *shape)
