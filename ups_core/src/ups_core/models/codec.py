"""An encoder to a coarse grid of codes, and the decoder back.

Both are linear maps between patches and codes plus a small convolutional correction, so that training
starts from a linear code and only has to learn what that misses. All convolutions are padded by the
problem's boundary: a shift by a whole patch shifts the code by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.errors import InvalidSpec
from ups_core.models.layers import CONV, CONV_TRANSPOSE, Padded
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.stages import CodecConfig


class Codec(nn.Module):
    """State (B, C, X[, Y]) to code (B, Z, X/s[, Y/s]) and back, s = ``downsample``; normalised values."""

    def __init__(self, config: CodecConfig, problem: Problem) -> None:
        super().__init__()
        d, s, width, channels = problem.dimensions, config.downsample, config.width, len(problem.fields)
        if any(n % s for n in problem.shape):
            raise InvalidSpec(
                "the grid cannot be divided into whole patches",
                where="spec.stages[codec].config.downsample",
                found=f"{' x '.join(map(str, problem.shape))} points, downsample {s}",
                expected="a divisor of the points along each axis",
                fix="set downsample to 1 or 2",
            )
        conv, back = CONV[d], CONV_TRANSPOSE[d]
        self.encoder = nn.ModuleDict(
            {
                "lift": conv(channels, config.latent_channels, s, stride=s),
                "patch": conv(channels, width, s, stride=s),
                "mix": Padded(problem, width, width),
                "head": conv(width, config.latent_channels, 1),
            }
        )
        self.decoder = nn.ModuleDict(
            {
                "lift": Padded(problem, config.latent_channels, width),
                "mix": Padded(problem, width, width),
                "patch": back(width, width, s, stride=s),
                "head": Padded(problem, width, channels),
                "linear": back(config.latent_channels, channels, s, stride=s),
            }
        )

    def encode(self, u: Tensor) -> Tensor:
        h = self.encoder["patch"](u)  # (B, W, X/s[, Y/s])
        h = h + self.encoder["mix"](F.silu(h))
        return self.encoder["lift"](u) + self.encoder["head"](F.silu(h))  # (B, Z, X/s[, Y/s])

    def decode(self, z: Tensor) -> Tensor:
        h = self.decoder["lift"](z)  # (B, W, X/s[, Y/s])
        h = h + self.decoder["mix"](F.silu(h))
        h = self.decoder["patch"](F.silu(h))  # (B, W, X[, Y])
        return self.decoder["linear"](z) + self.decoder["head"](F.silu(h))  # (B, C, X[, Y])

    def forward(self, u: Tensor) -> Tensor:
        return self.decode(self.encode(u))
