"""Pieces that networks share: boundary-aware padding and convolutions by number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.models.problem import Problem


def convolve(
    h: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Tensor:
    """The valid convolution of h (B, C, X[, Y[, Z]]) with ``weight`` (C', C/groups, K[, K[, K]]).

    Values lie in memory with their channels last, for which kernels are faster. A line is taken for a plane
    of one row: for lines there is no such form.
    """
    if h.ndim == 3:
        row, kernel = _channels_last(h.unsqueeze(2)), _channels_last(weight.unsqueeze(2))  # (B, C, 1, X)
        return F.conv2d(row, kernel, bias, (1, *stride), 0, (1, *dilation), groups).squeeze(2)
    operation = F.conv2d if h.ndim == 4 else F.conv3d
    return operation(_channels_last(h), weight, bias, stride, 0, dilation, groups)


def for_convolution(weight: Tensor) -> Tensor:
    """The same weight in the form in which :func:`convolve` need not copy it."""
    return _channels_last(weight.unsqueeze(2)).squeeze(2) if weight.ndim == 3 else _channels_last(weight)


def pointwise(h: Tensor, weight: Tensor) -> Tensor:
    """h (B, C, X[, Y[, Z]]) and ``weight`` (C', C) to (B, C', X[, Y[, Z]]): a convolution of width 1."""
    return (h.movedim(1, -1) @ weight.T).movedim(-1, 1)


def _channels_last(h: Tensor) -> Tensor:
    form = torch.channels_last if h.ndim == 4 else torch.channels_last_3d
    return h.contiguous(memory_format=form)


class Convolution:
    """Mixed into torch's convolutions: their weights, and the same numbers by :func:`convolve`."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def _conv_forward(self, h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        assert not any(self.padding), "pad() knows the boundary"
        return convolve(h, weight, bias, self.stride, self.dilation, self.groups)


class Conv1d(Convolution, nn.Conv1d):
    pass


class Conv2d(Convolution, nn.Conv2d):
    pass


class Conv3d(Convolution, nn.Conv3d):
    pass


CONV: dict[int, type[Conv1d] | type[Conv2d] | type[Conv3d]] = {1: Conv1d, 2: Conv2d, 3: Conv3d}
CONV_TRANSPOSE: dict[int, type[nn.ConvTranspose1d] | type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]] = {
    1: nn.ConvTranspose1d,
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
INTERPOLATION = {1: "linear", 2: "bilinear", 3: "trilinear"}


def pad(u: Tensor, width: int, boundary: Sequence[str]) -> Tensor:
    """``width`` points more on both sides of every spatial axis of u (B, C, X[, Y]).

    Periodic axes wrap around (also when ``width`` exceeds the grid), Dirichlet axes are filled with
    zeros, Neumann axes repeat their outermost value.
    """
    u = u.movedim(1, -1)  # (B, X[, Y], C): so that gradients, too, have their channels last in memory
    for axis, kind in enumerate(boundary, start=1):
        n = u.shape[axis]
        if kind == "periodic":
            if width <= n:
                u = torch.cat([u.narrow(axis, n - width, width), u, u.narrow(axis, 0, width)], dim=axis)
            else:
                u = u.index_select(axis, torch.arange(-width, n + width, device=u.device) % n)
        elif kind == "neumann":
            u = u.index_select(axis, torch.arange(-width, n + width, device=u.device).clamp(0, n - 1))
        else:
            u = F.pad(u, [0, 0] * (u.ndim - 1 - axis) + [width, width])
    return u.movedim(-1, 1)


def narrow(u: Tensor, axis: int, start: int, length: int) -> Tensor:
    """``length`` points of one axis of u (B, C, X[, Y]), as :meth:`torch.Tensor.narrow`; see :func:`pad`."""
    return u.movedim(1, -1).narrow(axis - 1, start, length).movedim(-1, 1)


def crop(u: Tensor, width: int) -> Tensor:
    """The inverse of :func:`pad`: drop ``width`` points from both ends of every spatial axis."""
    for axis in range(2, u.ndim):
        u = narrow(u, axis, width, u.shape[axis] - 2 * width)
    return u


def coarsen(h: Tensor, boundary: Sequence[str]) -> Tensor:
    """h (B, C, X[, Y]) on a grid of twice the spacing, (B, C, X/2[, Y/2]), by local means.

    Axes are cut into pairs, but for an odd one between walls: there every other node stays, both outermost
    ones included (2n + 1 nodes become n + 1). So the coarse grid is its own mirror image as the fine one is.
    A single point stays: a code of three dimensions has soon as few.
    """
    pairs = zip(h.shape[2:], _pairs(h.shape[2:], boundary), strict=True)
    window = [1 if n == 1 else 2 if two else 3 for n, two in pairs]
    step, margin = [min(w, 2) for w in window], [w // 3 for w in window]
    pool = POOL[len(window)]
    return pool(h, window, stride=step, padding=margin, ceil_mode=True, count_include_pad=False)


def refine(h: Tensor, shape: Sequence[int], boundary: Sequence[str]) -> Tensor:
    """What :func:`coarsen` has made coarse, back on the grid of this ``shape``: (B, C, *shape).

    Along a periodic axis a pair gets the value of both; between walls values are interpolated linearly.
    Neither moves anything to a side, which in a rollout would add up.
    """
    kinds = [
        "nearest" if kind == "periodic" else "halves" if two else "ends"
        for kind, two in zip(boundary, _pairs(shape, boundary), strict=True)
    ]
    for kind in sorted({*kinds}):
        sizes = [n if kind == own else old for n, old, own in zip(shape, h.shape[2:], kinds, strict=True)]
        if kind == "nearest":
            h = F.interpolate(h, sizes, mode="nearest")
        else:
            h = F.interpolate(h, sizes, mode=INTERPOLATION[len(shape)], align_corners=kind == "ends")
    return h


def _pairs(shape: Sequence[int], boundary: Sequence[str]) -> list[bool]:
    """For each axis, whether it is cut into pairs."""
    return [kind == "periodic" or n % 2 == 0 for n, kind in zip(shape, boundary, strict=True)]


def with_parameters(u: Tensor, parameters: Tensor) -> Tensor:
    """u (B, C, X[, Y]) and parameters (B, P) to (B, C+P, X[, Y]): each parameter a constant channel."""
    if parameters.shape[1] == 0:
        return u
    space = u.shape[2:]
    p = parameters.reshape(*parameters.shape, *[1] * len(space)).expand(-1, -1, *space)  # (B, P, X[, Y])
    return torch.cat([u, p], dim=1)


class Padded(nn.Module):
    """A convolution that keeps the grid, padded as the problem's boundary asks."""

    def __init__(self, problem: Problem, channels_in: int, channels_out: int, kernel: int = 3) -> None:
        super().__init__()
        self.boundary, self.width = problem.boundary, kernel // 2
        self.conv = CONV[problem.dimensions](channels_in, channels_out, kernel)

    def forward(self, u: Tensor) -> Tensor:
        return self.conv(pad(u, self.width, self.boundary))  # (B, C_out, X[, Y])


class Film(nn.Module):
    """Scales and shifts of hidden channels as functions of the parameters (Perez et al., AAAI 2018).

    ``film(parameters)`` gives, for each of ``places`` in a network of ``width`` channels, what
    :func:`modulate` takes there. The identity where the problem has no parameters that vary.
    """

    def __init__(self, parameters: int, width: int, places: int, hidden: int = 32) -> None:
        super().__init__()
        self.width, self.places = width, places
        if parameters:
            self.lift = nn.Linear(parameters, hidden)
            self.head = nn.Linear(hidden, 2 * width * places)
            with torch.no_grad():  # start near the identity
                self.head.weight.mul_(0.1)
                self.head.bias.zero_()

    def forward(self, parameters: Tensor) -> list[Tensor | None]:
        """(B, P) to one (2, B, W) for each place: scales less 1, over shifts."""
        if not parameters.shape[1]:
            return [None] * self.places
        out = self.head(F.silu(self.lift(parameters)))  # (B, 2*W*places)
        return list(out.reshape(-1, self.places, 2, self.width).permute(1, 2, 0, 3))


def modulate(h: Tensor, film: Tensor | None) -> Tensor:
    """h (B, W, X[, Y]) with each channel scaled and shifted by ``film`` (2, B, W)."""
    if film is None:
        return h
    scale, shift = film.reshape(*film.shape, *[1] * (h.ndim - 2))  # (B, W, 1[, 1]) both
    return h * (1 + scale) + shift
