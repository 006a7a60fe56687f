"""A transformer on latent tokens, whose attention is among channels and not among places.

Overlapping patches of the grid become K tokens of Z numbers each, (B, Z, K): those of a level lie on a grid
of their own. Attention between the channels of a group weighs each channel by its likeness to the others
over all tokens, which couples all places at a cost that grows as K, not as its square (XCiT: El-Nouby et
al., NeurIPS 2021; DaViT: Ding et al., ECCV 2022). A depth-wise convolution mixes neighbouring tokens, a
perceptron the channels of each. Tokens merge, two along each axis, and part again, as in a U-Net. Where
parameters vary, they scale and shift what enters each of these (adaptive normalisation: Peebles & Xie,
ICCV 2023).

Patches overlap on the way in and on the way out, and the fields go round the tokens, too, so that no seams
of patches show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.errors import InvalidSpec
from ups_core.models.layers import CONV, CONV_TRANSPOSE, Film, Padded, modulate, pad
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.architectures import PDETConfig, Tokens


class PDET(nn.Module):
    """Channels on a grid, (B, C, X[, Y]), and parameters (B, P) to channels (B, C', X[, Y]) on it."""

    def __init__(self, config: PDETConfig, problem: Problem, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.boundary, self.whole = problem.boundary, config.patch * 2 ** (config.levels - 1)
        _check_whole(problem, self.whole)
        width, tokens = config.width, config.tokens
        self.lift = Padded(problem, channels_in, width)
        self.patch = Patch(problem, width, tokens, config.patch)
        self.processor = Processor(config, problem)
        self.unpatch = Unpatch(problem, tokens, width, config.patch)
        self.mix = Padded(problem, width, width)
        self.head = CONV[problem.dimensions](width, channels_out, 1)

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        h = self.lift(u)  # (B, W, X[, Y])
        z = self.patch(_to_whole(F.silu(h), self.whole, self.boundary))  # (B, Z, K[, K'])
        z = self.processor(z, parameters)
        h = h + _to_size(self.unpatch(z), h.shape[2:])  # (B, W, X[, Y])
        h = h + self.mix(F.silu(h))
        return self.head(F.silu(h))  # (B, C', X[, Y])


class Processor(nn.Module):
    """Tokens on a grid, (B, Z, K[, K']), and parameters (B, P) to tokens on the same grid."""

    def __init__(self, config: Tokens, problem: Problem) -> None:
        super().__init__()
        d, z, levels = problem.dimensions, config.tokens, config.levels
        conv, back = CONV[d], CONV_TRANSPOSE[d]
        self.down = nn.ModuleList(conv(z, z, 2, stride=2) for _ in range(levels - 1))
        self.up = nn.ModuleList(back(z, z, 2, stride=2) for _ in range(levels - 1))
        self.left = nn.ModuleList(Blocks(config, problem) for _ in range(levels - 1))
        self.bottom = Blocks(config, problem)
        self.right = nn.ModuleList(Blocks(config, problem) for _ in range(levels - 1))

    def forward(self, z: Tensor, parameters: Tensor) -> Tensor:
        skips = []
        for blocks, down in zip(self.left, self.down, strict=True):
            z = blocks(z, parameters)
            skips.append(z)
            z = down(z)  # (B, Z, K/2[, K'/2])
        z = self.bottom(z, parameters)
        for up, blocks, skip in zip(self.up, self.right, reversed(skips), strict=True):
            z = blocks(skip + up(z), parameters)  # (B, Z, K[, K'])
        return z


class Blocks(nn.ModuleList):
    """``depth`` blocks, one after the other."""

    def __init__(self, config: Tokens, problem: Problem) -> None:
        super().__init__(Block(config, problem) for _ in range(config.depth))

    def forward(self, z: Tensor, parameters: Tensor) -> Tensor:
        for block in self:
            z = block(z, parameters)
        return z


class Block(nn.Module):
    """z + f(z, parameters), three times: neighbours, channel groups, a perceptron at every token."""

    def __init__(self, config: Tokens, problem: Problem) -> None:
        super().__init__()
        z, conv = config.tokens, CONV[problem.dimensions]
        self.boundary = problem.boundary
        self.film = Film(len(problem.varying), z, places=3)
        self.norms = nn.ModuleList(nn.GroupNorm(1, z) for _ in range(3))
        self.local = conv(z, z, 3, groups=z)
        self.attention = ChannelAttention(z, config.groups)
        self.inner, self.outer = nn.Linear(z, 2 * z), nn.Linear(2 * z, z)

    def forward(self, z: Tensor, parameters: Tensor) -> Tensor:
        film = self.film(parameters)
        near, far, own = self.norms
        z = z + self.local(pad(modulate(near(z), film[0]), 1, self.boundary))  # (B, Z, K[, K'])
        space = z.shape[2:]
        z = z + self.attention(modulate(far(z), film[1]).flatten(2)).unflatten(2, space)
        h = modulate(own(z), film[2]).movedim(1, -1)  # (B, K[, K'], Z)
        return z + self.outer(F.silu(self.inner(h))).movedim(-1, 1)


class ChannelAttention(nn.Module):
    """Attention among the Z/G channels of each of G groups: tokens (B, Z, K) to the same.

    Weights are softmax(τ q̂ k̂ᵀ), (Z/G, Z/G), with q̂ and k̂ of unit length along the tokens and a learned τ
    for each group (XCiT, eq. 4): any order and any number of tokens will do.
    """

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.temperature = nn.Parameter(torch.ones(groups))

    def forward(self, z: Tensor) -> Tensor:
        qkv = self.qkv(z.mT).mT.unflatten(1, (3, self.groups, -1))  # (B, 3, G, Z/G, K)
        q, k, v = qkv.unbind(1)  # (B, G, Z/G, K) each
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        weights = torch.softmax((q @ k.mT) * self.temperature[:, None, None], dim=-1)  # (B, G, Z/G, Z/G)
        return self.out((weights @ v).flatten(1, 2).mT).mT  # (B, Z, K)


class Patch(nn.Module):
    """Fields (B, W, X[, Y]) to tokens (B, Z, X/s[, Y/s]), each from its patch and half of the next ones."""

    def __init__(self, problem: Problem, width: int, tokens: int, size: int) -> None:
        super().__init__()
        self.boundary, self.overlap = problem.boundary, size // 2
        self.conv = CONV[problem.dimensions](width, tokens, size + 2 * self.overlap, stride=size)

    def forward(self, h: Tensor) -> Tensor:
        return self.conv(pad(h, self.overlap, self.boundary))


class Unpatch(nn.Module):
    """The transposed map: every point is the sum of what the patches that reach it give."""

    def __init__(self, problem: Problem, tokens: int, width: int, size: int) -> None:
        super().__init__()
        self.boundary, self.cut = problem.boundary, size + size // 2
        self.conv = CONV_TRANSPOSE[problem.dimensions](tokens, width, size + 2 * (size // 2), stride=size)

    def forward(self, z: Tensor) -> Tensor:
        h = self.conv(pad(z, 1, self.boundary))
        for axis in range(2, h.ndim):  # what the padded tokens gave outside of the grid
            h = h.narrow(axis, self.cut, h.shape[axis] - 2 * self.cut)
        return h  # (B, W, X[, Y])


def _to_whole(h: Tensor, size: int, boundary: Sequence[str]) -> Tensor:
    """h (B, W, X[, Y]) continued behind the far wall of each axis to whole patches."""
    for axis, kind in enumerate(boundary, start=2):
        n = h.shape[axis]
        rim = h.narrow(axis, n - 1, 1)
        beyond = rim if kind == "neumann" else torch.zeros_like(rim)
        h = torch.cat([h, *[beyond] * (-n % size)], dim=axis)
    return h


def _to_size(h: Tensor, size: Sequence[int]) -> Tensor:
    """The first ``size`` points of h (B, W, X'[, Y']) along each axis."""
    for axis, n in enumerate(size, start=2):
        h = h.narrow(axis, 0, n)
    return h


def _check_whole(problem: Problem, size: int) -> None:
    for n, kind in zip(problem.shape, problem.boundary, strict=True):
        if kind == "periodic" and n % size:
            raise InvalidSpec(
                "the grid cannot be divided into whole patches",
                where="spec.stages[operator].config.architecture.patch",
                found=f"{n} points, {size} in a token of the coarsest level (patch * 2^(levels-1))",
                expected="a divisor of the points along each periodic axis",
                fix="set patch or levels lower",
            )
