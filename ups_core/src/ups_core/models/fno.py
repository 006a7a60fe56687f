"""A Fourier neural operator (Li et al., ICLR 2021), in real arithmetic.

Only the lowest Fourier modes are mixed, so only they are computed: by products with the matrix of the
discrete transform, axis by axis, which for the few modes and points of a surrogate is faster than a fast
transform of all of them, and which exports to formats that know no complex numbers. The same weights serve
any number of points.

Hidden states have their channels last, (B, X[, Y], W): there a layer that mixes channels is one product of
two matrices over all points of a batch, which is faster than a convolution of width 1.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.models.layers import with_parameters
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.architectures import FNOConfig


class FNO(nn.Module):
    """Channels on a grid, (B, C, X[, Y]), and parameters (B, P) to channels (B, C', X[, Y]) on it."""

    resolution_free = True

    def __init__(self, config: FNOConfig, problem: Problem, channels_in: int, channels_out: int) -> None:
        super().__init__()
        d, width = problem.dimensions, config.width
        channels_in += len(problem.varying)
        #: Coordinates are given where walls make places differ; else a shift of the state is all there is.
        self.shift_equivariant = problem.periodic
        self.lift = nn.Sequential(
            nn.Linear(channels_in + (0 if self.shift_equivariant else d), 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
        )
        self.blocks = nn.ModuleList(Block(width, config.modes, d) for _ in range(config.layers))
        self.widen = nn.Linear(width, 2 * width)
        self.head = nn.Linear(2 * width, channels_out)

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        u = with_parameters(u, parameters)
        if not self.shift_equivariant:
            u = torch.cat([u, _coordinates(u).expand(u.shape[0], -1, *u.shape[2:])], dim=1)
        h = self.lift(u.movedim(1, -1))  # (B, X[, Y], W)
        for block in self.blocks:
            h = block(h)
        return self.head(F.gelu(self.widen(h))).movedim(-1, 1)  # (B, C', X[, Y])


class Block(nn.Module):
    """Global mixing of low modes beside local mixing of channels, then a small perceptron at every point."""

    def __init__(self, width: int, modes: int, dimensions: int) -> None:
        super().__init__()
        self.spectral = Spectral(width, modes, dimensions)
        self.local = nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, width // 2), nn.Linear(width // 2, width)

    def forward(self, h: Tensor) -> Tensor:
        g = F.gelu(self.spectral(h) + self.local(h))  # (B, X[, Y], W)
        return h + self.outer(F.gelu(self.inner(g)))


class Spectral(nn.Module):
    """A linear map of channels for each of the lowest Fourier modes: (B, X[, Y], W) to the same.

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
        space = h.shape[1:-1]
        kept = [min(self.modes, (n + 1) // 2) for n in space]  # below the highest mode of an even grid
        *others, (n, m) = zip(space, kept, strict=True)
        z = _to_half(n, m, h.dtype, h.device) @ h  # (B[, X], K*2, W)
        z = z.unflatten(-2, (m, 2))  # (B[, X], K, 2, W)
        for axis, (points, modes) in enumerate(others, start=1):
            z = _along(z, axis, _to_modes(points, modes, h.dtype, h.device))
        shape = z.shape  # (B, K[, K'], 2, W)
        z = z.reshape(h.shape[0], -1, 2 * self.width).transpose(0, 1)  # (K, B, 2W)
        w = self.stack if all(k == self.modes for k in kept) else self.stack[self._index(kept)]
        re, im = w.split(self.width, dim=1)  # (K, W, W) both
        mixed = z @ torch.cat([torch.cat([re, im], dim=2), torch.cat([-im, re], dim=2)], dim=1)  # (K, B, 2W)
        z = mixed.transpose(0, 1).reshape(shape)
        for axis, (points, modes) in enumerate(others, start=1):
            z = _along(z, axis, _to_points(points, modes, h.dtype, h.device))
        return _from_half(n, m, h.dtype, h.device) @ z.flatten(-3, -2)  # (B, X[, Y], W)

    def _index(self, kept: list[int]) -> Tensor:
        """Which of the modes a coarse grid has."""
        m = self.modes
        axes = [range(m - n, m + n - 1) for n in kept[:-1]] + [range(kept[-1])]
        lengths = [2 * m - 1] * (len(kept) - 1) + [m]
        places = [sum(i * math.prod(lengths[a + 1 :]) for a, i in enumerate(p)) for p in product(*axes)]
        return torch.tensor(places, device=self.stack.device)


def _along(z: Tensor, axis: int, matrix: Tensor) -> Tensor:
    """A complex matrix (K, 2, N, 2) applied along an axis of z (..., N, ..., 2, W)."""
    k, _, n, _ = matrix.shape
    out = matrix.reshape(k * 2, n * 2) @ z.movedim(axis, -3).flatten(-3, -2)  # (..., K*2, W)
    return out.unflatten(-2, (k, 2)).movedim(-3, axis)


@lru_cache(maxsize=64)
def _to_half(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """n real points to the modes 0 ... m-1, (K*2, N)."""
    matrix = _exponential(n, range(m), -1) / n  # (N, K)
    return torch.stack([matrix.real, matrix.imag], 2).flatten(1).T.contiguous().to(device, dtype)


@lru_cache(maxsize=64)
def _from_half(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The modes 0 ... m-1 and their mirror images to n real points, (N, K*2)."""
    matrix = _exponential(n, range(m), 1)  # (N, K)
    matrix[:, 1:] *= 2
    return torch.stack([matrix.real, -matrix.imag], 2).flatten(1).to(device, dtype)


@lru_cache(maxsize=64)
def _to_modes(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """n complex points to the modes 1-m ... m-1, (K, 2, N, 2)."""
    return _real(_exponential(n, range(1 - m, m), -1).T / n).to(device, dtype)


@lru_cache(maxsize=64)
def _to_points(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The modes 1-m ... m-1 to n complex points, (N, 2, K, 2)."""
    return _real(_exponential(n, range(1 - m, m), 1)).to(device, dtype)


def _exponential(n: int, modes: range, sign: int) -> Tensor:
    """exp(sign 2πi x k / n), complex (N, K)."""
    angle = torch.outer(torch.arange(n, dtype=torch.float64), torch.tensor(modes, dtype=torch.float64))
    return torch.polar(torch.ones(()).double().expand_as(angle), sign * 2 * math.pi / n * angle)


def _real(matrix: Tensor) -> Tensor:
    """A complex matrix (M, N) as a real one for pairs on its right, (M, 2, N, 2)."""
    rows = torch.stack([matrix.real, -matrix.imag], -1), torch.stack([matrix.imag, matrix.real], -1)
    return torch.stack(rows, 1)


def _coordinates(u: Tensor) -> Tensor:
    """Places from 0 to 1 along each axis as channels, (1, D, X[, Y])."""
    lines = [torch.linspace(0, 1, n, dtype=u.dtype, device=u.device) for n in u.shape[2:]]
    return torch.stack(torch.meshgrid(*lines, indexing="ij"))[None]
