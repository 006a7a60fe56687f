"""A convolutional network that commutes with the family's exact symmetries, whatever its weights are.

What a mirror, a turn or a change of sign does to a state, it then does to the prediction: nothing of it has
to be learned, and errors cannot break it in a rollout. Hidden channels come in sets of |G|, one for each
element g of the group, and an element moves space and permutes the channels of a set (Cohen & Welling, ICML
2016, arXiv:1602.07576). So the kernel between channels (a, g) and (b, h) is that between (a, 1) and
(b, g⁻¹h), moved by g, and a layer has 1/|G| of the weights of an ordinary one of the same width and cost.

The body is that of :mod:`~ups_core.models.conv`: a halo fetched once, residual blocks of growing dilation.
Fluxes are predicted on the faces, from the nodes on both sides, since a mirror maps faces to faces.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.errors import InvalidSpec
from ups_core.models.layers import crop, pad, with_parameters
from ups_core.models.problem import Problem
from ups_core.models.symmetry import directions, group, quotients, rearrange, sign

if TYPE_CHECKING:
    from ups_core.api.architectures import GConvConfig

CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class GConv(nn.Module):
    """Channels on a grid, (B, C, X[, Y]), and parameters (B, P) to channels (B, C', X[, Y]) on it."""

    shift_equivariant = True
    symmetric = True

    def __init__(self, config: GConvConfig, problem: Problem, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.elements = group(problem)
        if config.width % len(self.elements):
            raise InvalidSpec(
                "the channels cannot be dealt out to the symmetries",
                where="spec.stages[operator].config.architecture.width",
                found=f"{config.width} channels, {len(self.elements)} symmetries",
                expected=f"a multiple of {len(self.elements)}",
                fix=f"set width to {max(1, round(config.width / len(self.elements))) * len(self.elements)}",
            )
        self.boundary, self.dimensions = problem.boundary, problem.dimensions
        self.margins = [config.kernel // 2 * dilation for dilation in config.dilations]
        sets, taps = config.width // len(self.elements), (config.kernel,) * problem.dimensions
        self.lift = Lift(problem, channels_in, len(problem.varying), sets, taps)
        self.blocks = nn.ModuleList(Inner(problem, sets, taps, dilation) for dilation in config.dilations)
        flux = (
            0
            if problem.steady or config.conserve != "flux" or not problem.periodic
            else sum(problem.conserved)
        )
        self.head = Head(problem, sets, flux, channels_out - flux * problem.dimensions)
        #: A flux looks one node ahead.
        self.halo = config.kernel // 2 + sum(self.margins) + int(flux > 0)

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        u = with_parameters(u, parameters)
        h = self.lift(pad(u, self.halo, self.boundary))  # (B, S*G, X+2m)
        for block, margin in zip(self.blocks, self.margins, strict=True):
            h = crop(h, margin, self.dimensions) + block(F.silu(h))  # (B, S*G, X+2m'), m' = m - margin
        return self.head(F.silu(h))  # (B, C', X[, Y])


class Lift(nn.Module):
    """States (B, C, X[, Y]), then constants, to sets of channels (B, S*G, X+2m[, Y+2m])."""

    def __init__(
        self, problem: Problem, states: int, constants: int, sets: int, taps: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.problem, self.elements, self.states = problem, group(problem), states
        self.weight = _uniform(sets, states + constants, *taps, fan_in=(states + constants) * math.prod(taps))
        self.bias = _uniform(sets, fan_in=(states + constants) * math.prod(taps))

    def forward(self, u: Tensor) -> Tensor:
        flipped = [rearrange(g, self.weight, self.problem) for g in self.elements]  # (S, C, K[, K]) each
        signs = u.new_ones(len(flipped), 1, u.shape[1], *[1] * self.problem.dimensions)
        signs[:, :, : self.states] *= u.new_tensor([sign(g) for g in self.elements]).reshape(
            -1, *[1] * (u.ndim)
        )
        weight = (torch.stack(flipped) * signs).transpose(0, 1).flatten(0, 1)  # (S*G, C, K[, K])
        return _convolve(u, weight, self.bias.repeat_interleave(len(self.elements)))


class Inner(nn.Module):
    """Sets of channels to sets of channels, (B, S*G, X[, Y]) to (B, S*G, X'[, Y'])."""

    def __init__(self, problem: Problem, sets: int, taps: tuple[int, ...], dilation: int) -> None:
        super().__init__()
        self.problem, self.elements, self.dilation = problem, group(problem), dilation
        self.places = quotients(self.elements, problem)
        order, fan_in = len(self.elements), sets * len(self.elements) * math.prod(taps)
        self.weight = _uniform(sets, sets, order, *taps, fan_in=fan_in)
        self.bias = _uniform(sets, fan_in=fan_in)

    def forward(self, h: Tensor) -> Tensor:
        sets, order, taps = self.weight.shape[0], len(self.elements), self.weight.shape[3:]
        kernels = [
            rearrange(g, self.weight[:, :, places].reshape(1, -1, *taps), self.problem)
            for g, places in zip(self.elements, self.places, strict=True)
        ]  # (1, S*S*G, K[, K]) each
        weight = torch.cat(kernels).reshape(order, sets, sets * order, *taps).transpose(0, 1).flatten(0, 1)
        return _convolve(h, weight, self.bias.repeat_interleave(order), self.dilation)


class Head(nn.Module):
    """Sets of channels to fluxes through faces, axis by axis, and over them to changes at nodes.

    Entry i of a flux is that between the nodes i and i + 1; its input (B, S*G, X+2[, Y+2]) starts at node -1.
    """

    def __init__(self, problem: Problem, sets: int, flux: int, plain: int) -> None:
        super().__init__()
        d, elements = problem.dimensions, group(problem)
        self.dimensions, self.flux, self.order = d, flux, len(elements)
        #: For each axis and element, what the flux through a face is made of: the axis and the direction
        #: that the element brings there.
        self.sources = [[_source(directions(g, problem)[:, axis]) for g in elements] for axis in range(d)]
        self.signs = [sign(g) for g in elements]
        # One tensor, so that it can be scaled as one: D fluxes of two nodes, then what is no flux.
        self.weight = _uniform(2 * d * flux + plain, sets, fan_in=2 * sets * len(elements))

    def forward(self, h: Tensor) -> Tensor:
        d, signs = self.dimensions, h.new_tensor(self.signs)
        faces, plain = self.weight.split([2 * d * self.flux, len(self.weight) - 2 * d * self.flux])
        out = []
        if self.flux:
            faces = faces.reshape(d, self.flux, 2, -1).mT  # (D, C, S, behind and ahead)
            for axis, sources in enumerate(self.sources):
                kernels = [
                    faces[source] * s if s > 0 else faces[source].flip(-1) * s for source, s in sources
                ]  # (C, S, 2) each
                weight = torch.stack(kernels, dim=2) * signs[:, None]  # (C, S, G, 2)
                weight = weight.reshape(self.flux, -1, *[2 if other == axis else 1 for other in range(d)])
                inside = h
                for other in range(d):
                    n = h.shape[2 + other] - 2
                    inside = inside.narrow(2 + other, 1, n + int(other == axis))
                out.append(CONVOLVE[d](inside, weight))  # (B, C, X[, Y])
            h = crop(h, 1, d)
        if len(plain):
            weight = (plain[:, :, None] * signs).reshape(len(plain), -1, *[1] * d)
            out.append(CONVOLVE[d](h, weight))  # (B, C', X[, Y])
        return torch.cat(out, dim=1)


def _source(column: Tensor) -> tuple[int, int]:
    """A unit vector as its axis and its direction, 1 or -1."""
    axis = int(column.abs().argmax())
    return axis, int(column[axis])


def _uniform(*shape: int, fan_in: int) -> nn.Parameter:
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))


def _convolve(h: Tensor, weight: Tensor, bias: Tensor, dilation: int = 1) -> Tensor:
    return CONVOLVE[h.ndim - 2](h, weight, bias, dilation=dilation)
