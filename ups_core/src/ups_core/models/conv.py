"""A lean dilated convolutional network that advances a state by one frame.

Three ideas carry it. The halo is fetched once and consumed by *valid* convolutions, so no layer pads.
Residual blocks with growing dilation see as far as information travels within one frame. And where
the equation conserves a field, the network predicts the *flux* F through the cell faces, not the
change: u_next = u + F(i-1/2) - F(i+1/2), whose sum over a periodic grid vanishes whatever F is
(LeVeque, Finite Volume Methods for Hyperbolic Problems, eq. 4.4). The mean is then kept exactly, and
errors can move mass but not make it, which keeps long rollouts in place.

Where the equation is the same for a moving observer, every state is seen by the one who moves with its
mean, to the nearest whole cell a frame, so that the boost is exact on the grid. The network then need
not learn what a uniform flow does, and a faster one than in training is nothing new to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.models.layers import CONV, crop, pad, with_parameters
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.architectures import ConvConfig


class Conv(nn.Module):
    """(B, C, X[, Y]) and (B, P) to the state one frame later, (B, C, X[, Y]); normalised values."""

    #: A shifted state gives the shifted next state: nothing to learn from shifted samples.
    shift_equivariant = True

    def __init__(self, config: ConvConfig, problem: Problem) -> None:
        super().__init__()
        d, width, kernel = problem.dimensions, config.width, config.kernel
        conv, channels = CONV[d], len(problem.fields)
        self.boundary, self.dimensions, self.boost = problem.boundary, d, problem.boost
        self.margins = [kernel // 2 * dilation for dilation in config.dilations]
        self.halo = kernel // 2 + sum(self.margins)
        flux = config.conservative and problem.periodic
        self.kept = [c for c in range(channels) if flux and problem.conserved[c]]
        self.free = [c for c in range(channels) if c not in self.kept]
        self.lift = conv(channels + len(problem.varying), width, kernel)
        self.blocks = nn.ModuleList(conv(width, width, kernel, dilation=n) for n in config.dilations)
        self.head = conv(width, d * len(self.kept) + len(self.free), 1)
        with torch.no_grad():  # start near the identity: a frame resembles the one before
            self.head.weight.mul_(0.1)

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        if self.boost is None:
            return self.advance(u, parameters)
        cells = torch.round(u.mean(dim=-1, keepdim=True) / self.boost)  # (B, 1, 1), cells a frame
        at_rest = self.advance(u - cells * self.boost, parameters)  # (B, 1, X)
        x = torch.arange(u.shape[-1], device=u.device)  # (X,)
        behind = (x - cells.long()) % u.shape[-1]  # (B, 1, X)
        return at_rest.gather(-1, behind) + cells * self.boost

    def advance(self, u: Tensor, parameters: Tensor) -> Tensor:
        """One frame, seen by an observer at rest."""
        h = self.lift(pad(with_parameters(u, parameters), self.halo, self.boundary))  # (B, W, X+2m)
        for block, margin in zip(self.blocks, self.margins, strict=True):
            h = crop(h, margin, self.dimensions) + block(F.silu(h))  # (B, W, X+2m'), m' = m - margin
        out = self.head(F.silu(h))  # (B, D*kept + free, X[, Y])
        flux, source = out.split([self.dimensions * len(self.kept), len(self.free)], dim=1)
        if not self.free:
            return u + self._inflow(flux)
        if not self.kept:
            return u + source
        change = torch.empty_like(u)
        change[:, self.kept], change[:, self.free] = self._inflow(flux), source
        return u + change

    def _inflow(self, flux: Tensor) -> Tensor:
        """Face fluxes (B, D*C, X[, Y]), entry i at the face behind cell i, to net inflow (B, C, X[, Y])."""
        inflow = torch.zeros((), device=flux.device)
        for axis, f in enumerate(flux.chunk(self.dimensions, dim=1), start=2):  # f (B, C, X[, Y])
            inflow = inflow + torch.roll(f, 1, axis) - f
        return inflow
