"""A Fourier neural operator (Li et al., ICLR 2021), in real arithmetic.

Only the lowest Fourier modes are mixed, so only they are computed: by products with the matrix of the
discrete transform, axis by axis, which for the few modes and points of a surrogate is faster than a fast
transform of all of them, and which exports to formats that know no complex numbers. The same weights serve
any number of points.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.models.layers import CONV, with_parameters
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.architectures import FNOConfig


class FNO(nn.Module):
    """Channels on a grid, (B, C, X[, Y]), and parameters (B, P) to channels (B, C', X[, Y]) on it."""

    def __init__(self, config: FNOConfig, problem: Problem, channels_in: int, channels_out: int) -> None:
        super().__init__()
        d, width = problem.dimensions, config.width
        conv = CONV[d]
        channels_in += len(problem.varying)
        #: Coordinates are given where walls make places differ; else a shift of the state is all there is.
        self.shift_equivariant = problem.periodic
        self.lift = nn.Sequential(
            conv(channels_in + (0 if self.shift_equivariant else d), 2 * width, 1),
            nn.GELU(),
            conv(2 * width, width, 1),
        )
        self.blocks = nn.ModuleList(Block(width, config.modes, d) for _ in range(config.layers))
        self.widen = conv(width, 2 * width, 1)
        self.head = conv(2 * width, channels_out, 1)

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        u = with_parameters(u, parameters)
        if not self.shift_equivariant:
            u = torch.cat([u, _coordinates(u).expand(u.shape[0], -1, *u.shape[2:])], dim=1)
        h = self.lift(u)  # (B, W, X[, Y])
        for block in self.blocks:
            h = block(h)
        return self.head(F.gelu(self.widen(h)))  # (B, C', X[, Y])


class Block(nn.Module):
    """Global mixing of low modes beside local mixing of channels, then a small perceptron at every point."""

    def __init__(self, width: int, modes: int, dimensions: int) -> None:
        super().__init__()
        conv = CONV[dimensions]
        self.spectral = Spectral(width, modes, dimensions)
        self.local = conv(width, width, 1)
        self.inner, self.outer = conv(width, width // 2, 1), conv(width // 2, width, 1)

    def forward(self, h: Tensor) -> Tensor:
        g = F.gelu(self.spectral(h) + self.local(h))  # (B, W, X[, Y])
        return h + self.outer(F.gelu(self.inner(g)))


class Spectral(nn.Module):
    """A linear map of channels for each of the lowest Fourier modes: (B, W, X[, Y]) to the same.

    ``modes`` m along the last axis are k = 0 ... m-1, along every other one -(m-1) ... m-1; a grid too
    coarse for some of them does without. Complex values are pairs, in an axis of length 2.
    """

    def __init__(self, width: int, modes: int, dimensions: int) -> None:
        super().__init__()
        self.width, self.modes = width, modes
        count = modes * (2 * modes - 1) ** (dimensions - 1)
        #: Real parts over imaginary parts of a matrix for each mode, (K, 2W, W).
        self.stack = nn.Parameter(torch.randn(count, 2 * width, width) / width)

    def forward(self, h: Tensor) -> Tensor:
        space = h.shape[2:]
        kept = [min(self.modes, (n + 1) // 2) for n in space]  # below the highest mode of an even grid
        *others, (n, m) = zip(space, kept, strict=True)
        z = (h @ _to_half(n, m, h.dtype, h.device)).unflatten(-1, (m, 2))  # (B, W, X[, Y -> K], 2)
        for axis, (points, modes) in enumerate(others, start=2):
            z = _along(z, axis, _to_modes(points, modes, h.dtype, h.device))
        shape = z.shape  # (B, W, K[, K'], 2)
        z = z.flatten(2, -2).permute(2, 0, 3, 1).flatten(2)  # (K, B, 2W)
        w = self.stack if all(k == self.modes for k in kept) else self.stack[self._index(kept)]
        re, im = w.split(self.width, dim=1)  # (K, W, W) both
        mixed = z @ torch.cat([torch.cat([re, im], dim=2), torch.cat([-im, re], dim=2)], dim=1)  # (K, B, 2W)
        z = mixed.unflatten(2, (2, self.width)).permute(1, 3, 0, 2).reshape(shape)
        for axis, (points, modes) in enumerate(others, start=2):
            z = _along(z, axis, _to_points(points, modes, h.dtype, h.device))
        return z.flatten(-2) @ _from_half(n, m, h.dtype, h.device)  # (B, W, X[, Y])

    def _index(self, kept: list[int]) -> Tensor:
        """Which of the modes a coarse grid has."""
        m = self.modes
        axes = [range(m - n, m + n - 1) for n in kept[:-1]] + [range(kept[-1])]
        lengths = [2 * m - 1] * (len(kept) - 1) + [m]
        places = [sum(i * math.prod(lengths[a + 1 :]) for a, i in enumerate(p)) for p in product(*axes)]
        return torch.tensor(places, device=self.stack.device)


def _along(z: Tensor, axis: int, matrix: Tensor) -> Tensor:
    """A complex matrix (N, 2, K, 2) applied along an axis of z (..., N, ..., 2)."""
    n, _, k, _ = matrix.shape
    out = z.movedim(axis, -2).flatten(-2) @ matrix.reshape(n * 2, k * 2)  # (..., K*2)
    return out.unflatten(-1, (k, 2)).movedim(-2, axis)


@lru_cache(maxsize=64)
def _to_half(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """n real points to the modes 0 ... m-1, (N, K*2)."""
    matrix = _exponential(n, range(m), -1) / n
    return torch.view_as_real(matrix).flatten(1).to(device, dtype)


@lru_cache(maxsize=64)
def _from_half(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The modes 0 ... m-1 and their mirror images to n real points, (K*2, N)."""
    matrix = _exponential(n, range(m), 1).T  # (K, N)
    matrix[1:] *= 2
    return torch.stack([matrix.real, -matrix.imag], 1).flatten(0, 1).to(device, dtype)


@lru_cache(maxsize=64)
def _to_modes(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """n complex points to the modes 1-m ... m-1, (N, 2, K, 2)."""
    return _real(_exponential(n, range(1 - m, m), -1) / n).to(device, dtype)


@lru_cache(maxsize=64)
def _to_points(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The modes 1-m ... m-1 to n complex points, (K, 2, N, 2)."""
    return _real(_exponential(n, range(1 - m, m), 1).T).to(device, dtype)


def _exponential(n: int, modes: range, sign: int) -> Tensor:
    """exp(sign 2πi x k / n), complex (N, K)."""
    angle = torch.outer(torch.arange(n, dtype=torch.float64), torch.tensor(modes, dtype=torch.float64))
    return torch.polar(torch.ones(()).double().expand_as(angle), sign * 2 * math.pi / n * angle)


def _real(matrix: Tensor) -> Tensor:
    """A complex matrix (N, K) as a real one for pairs on its left, (N, 2, K, 2)."""
    return torch.stack([torch.view_as_real(matrix), torch.view_as_real(1j * matrix)], 1)


def _coordinates(u: Tensor) -> Tensor:
    """Places from 0 to 1 along each axis as channels, (1, D, X[, Y])."""
    lines = [torch.linspace(0, 1, n, dtype=u.dtype, device=u.device) for n in u.shape[2:]]
    return torch.stack(torch.meshgrid(*lines, indexing="ij"))[None]
