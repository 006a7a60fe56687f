"""A convolutional network that commutes with a family's exact symmetries, whatever its weights are.

What a mirror, a turn or a change of sign does to a state, it then does to the prediction: nothing of it has
to be learned, and errors cannot break it in a rollout. Hidden channels come in sets of |G|, one for each
element g of the group, and an element moves space and permutes the channels of a set (Cohen & Welling, ICML
2016, arXiv:1602.07576). So the kernel between channels (a, g) and (b, h) is that between (a, 1) and
(b, g⁻¹h), moved by g, and a layer has 1/|G| of the weights of an ordinary one of the same width and cost.
Elements that turn vectors, and so do not the same to all fields, are left out, and learned from images.

The body is that of :mod:`~ups_core.models.conv`: a halo fetched once, residual blocks of growing dilation.
Fluxes are predicted on the faces, from the nodes on both sides, since a mirror maps faces to faces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.models.layers import convolve, crop, for_convolution, pad, pointwise, with_parameters
from ups_core.models.problem import Problem
from ups_core.models.symmetry import Element, directions, group, quotients, rearrange, scalar, sign

if TYPE_CHECKING:
    from ups_core.api.architectures import GConvConfig


class GConv(nn.Module):
    """Channels on a grid, (B, C, X[, Y]), and parameters (B, P) to channels (B, C', X[, Y]) on it."""

    shift_equivariant = True

    def __init__(self, config: GConvConfig, problem: Problem, channels_in: int, channels_out: int) -> None:
        super().__init__()
        dilations, self.boundary = config.blocks(problem), problem.boundary
        self.margins = [config.kernel // 2 * n for n in dilations]
        sets = max(1, round(config.width / len(_elements(problem))))
        taps = (config.kernel,) * problem.dimensions
        self.lift = Lift(problem, channels_in, len(problem.varying), sets, taps)
        self.blocks = nn.ModuleList(Inner(problem, sets, taps, n) for n in dilations)
        flux = (
            0
            if problem.steady or config.conserve != "flux" or not problem.periodic
            else sum(problem.conserved)
        )
        self.head = Head(problem, sets, flux, channels_out - flux * problem.dimensions)
        #: Not where weights are tied by some of the elements only.
        self.symmetric = len(_elements(problem)) == len(group(problem))
        #: A flux looks one node ahead.
        self.halo = config.kernel // 2 + sum(self.margins) + int(flux > 0)

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        u = with_parameters(u, parameters)
        h = self.lift(pad(u, self.halo, self.boundary))  # (B, S*G, X+2m)
        for block, margin in zip(self.blocks, self.margins, strict=True):
            h = crop(h, margin) + block(F.silu(h))  # (B, S*G, X+2m'), m' = m - margin
        return self.head(F.silu(h))  # (B, C', X[, Y])


class Tied(nn.Module):
    """A weight from which ``expand`` makes a kernel, each entry one of the weight's, its negative, or zero.

    What ``expand`` does is found out once, by what it does to the numbers 1, 2, 3 and so on. Of a set of
    channels all ``order`` have one bias, where there are any.
    """

    entries: Tensor
    signs: Tensor

    def __init__(
        self, shape: Sequence[int], fan_in: int, expand: Callable[[Tensor], Tensor], *, order: int = 0
    ) -> None:
        super().__init__()
        self.weight = _uniform(*shape, fan_in=fan_in)
        self.bias = _uniform(shape[0], fan_in=fan_in) if order else None
        self.order = order
        numbered = expand(torch.arange(1.0, 1 + self.weight.numel()).reshape(*shape))
        self.register_buffer("entries", (numbered.abs().long() - 1).clamp(min=0), persistent=False)
        self.register_buffer("signs", numbered.sign(), persistent=False)
        self.held: tuple[Tensor, Tensor | None] | None = None

    def tied(self) -> tuple[Tensor, Tensor | None]:
        """The kernel (C', C, K[, K]) and the bias (C',)."""
        if (held := self.held) is not None:
            return held
        entries = self.weight.flatten().index_select(0, self.entries.flatten()).view_as(self.entries)
        bias = None if self.bias is None else self.bias.repeat_interleave(self.order)
        return entries * self.signs, bias


@contextmanager
def held_kernels(*models: nn.Module) -> Iterator[None]:
    """Kernels are made once for all calls within, among which no weight may change: a rollout, for one."""
    tied = [module for model in models for module in model.modules() if isinstance(module, Tied)]
    for module in tied:
        kernel, bias = module.tied()
        module.held = for_convolution(kernel), bias
    try:
        yield
    finally:
        for module in tied:
            module.held = None


class Lift(Tied):
    """States (B, C, X[, Y]), then constants, to sets of channels (B, S*G, X+2m[, Y+2m])."""

    def __init__(
        self, problem: Problem, states: int, constants: int, sets: int, taps: tuple[int, ...]
    ) -> None:
        elements, channels = _elements(problem), states + constants

        def expand(weight: Tensor) -> Tensor:  # (S, C, K[, K]) to (S*G, C, K[, K])
            moved = []
            for g in elements:
                image = rearrange(g, weight, problem)
                moved.append(torch.cat([image[:, :states] * sign(g), image[:, states:]], dim=1))
            return torch.stack(moved, dim=1).flatten(0, 1)

        fan_in = channels * math.prod(taps)
        super().__init__((sets, channels, *taps), fan_in, expand, order=len(elements))

    def forward(self, u: Tensor) -> Tensor:
        return convolve(u, *self.tied())


class Inner(Tied):
    """Sets of channels to sets of channels, (B, S*G, X[, Y]) to (B, S*G, X-2m[, Y-2m])."""

    def __init__(self, problem: Problem, sets: int, taps: tuple[int, ...], dilation: int) -> None:
        elements = _elements(problem)
        places, order = quotients(elements, problem), len(elements)

        def expand(weight: Tensor) -> Tensor:  # (S, S, G, K[, K]) to (S*G, S*G, K[, K])
            moved = [
                rearrange(g, weight[:, :, row].flatten(1, 2), problem)
                for g, row in zip(elements, places, strict=True)
            ]  # (S, S*G, K[, K]) each
            return torch.stack(moved, dim=1).flatten(0, 1)

        fan_in = sets * order * math.prod(taps)
        super().__init__((sets, sets, order, *taps), fan_in, expand, order=order)
        self.dilation = (dilation,) * problem.dimensions

    def forward(self, h: Tensor) -> Tensor:
        return convolve(h, *self.tied(), dilation=self.dilation)


class Head(Tied):
    """Sets of channels to fluxes through faces, axis by axis, and over them to changes at nodes.

    Entry i of a flux is that between the nodes i and i + 1; its input (B, S*G, X+2[, Y+2]) starts at node -1.
    """

    def __init__(self, problem: Problem, sets: int, flux: int, plain: int) -> None:
        d, elements = problem.dimensions, _elements(problem)

        def expand(weight: Tensor) -> Tensor:  # (2*D*F + C', S) to (D*F + C', S*G, behind and ahead)
            faces = weight[: 2 * d * flux].reshape(d, flux, 2, sets).mT  # (D, F, S, behind and ahead)
            rows = []
            for axis in range(d):
                kernels = []
                for g in elements:
                    # The flux through a face is made of that through the face which g brings there.
                    source = directions(g, problem)[:, axis]
                    k = faces[int(source.abs().argmax())]  # (F, S, 2)
                    forward = source.sum() > 0
                    kernels.append(sign(g) * (k if forward else -k.flip(-1)))
                rows.append(torch.stack(kernels, dim=2))  # (F, S, G, 2)
            nodes = torch.stack([sign(g) * weight[2 * d * flux :] for g in elements], dim=2)  # (C', S, G)
            rows.append(torch.stack([nodes, torch.zeros_like(nodes)], dim=3))
            return torch.cat(rows).flatten(1, 2)

        super().__init__((2 * d * flux + plain, sets), 2 * sets * len(elements), expand)
        self.dimensions, self.flux = d, flux

    def forward(self, h: Tensor) -> Tensor:
        d, flux, (kernel, _) = self.dimensions, self.flux, self.tied()  # (D*F + C', S*G, 2)
        both, plain = kernel[: d * flux].mT.flatten(0, 1), kernel[d * flux :, :, 0]  # of faces, of nodes
        points = pointwise(h, torch.cat([both, plain]))  # (B, 2*D*F + C', X+2[, Y+2])
        if not flux:
            return points
        sides, nodes = points.split([len(both), len(plain)], dim=1)
        out = []
        for axis, pair in enumerate(sides.chunk(d, dim=1)):  # (B, 2*F, X+2[, Y+2])
            ahead = [slice(1 + (a == axis), n - 1 + (a == axis)) for a, n in enumerate(h.shape[2:])]
            out.append(crop(pair[:, ::2], 1) + pair[(slice(None), slice(1, None, 2), *ahead)])
        return torch.cat([*out, crop(nodes, 1)], dim=1)  # (B, D*F + C', X[, Y])


def _elements(problem: Problem) -> list[Element]:
    """The elements that weights are tied by: they do the same to all fields, and bring nodes to nodes."""
    if not problem.steady and any(problem.wall):
        return [()]
    return scalar(group(problem), problem)


def _uniform(*shape: int, fan_in: int) -> nn.Parameter:
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))
