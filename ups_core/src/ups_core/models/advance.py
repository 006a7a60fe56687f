"""A network made a surrogate: what the physics says of every problem of a kind, whatever the architecture.

A raw network turns channels on a grid, and the parameters that vary, into channels on the same grid.
:class:`Advance` makes of it one frame of a transient problem, :class:`Solve` the solution of a steady one.
What a family declares is held here, exactly, so that no network has to learn it:

**Conservation.** Where the equation conserves a field, the network predicts the *flux* F through the cell
faces, not the change: u_next = u + F(i-1/2) - F(i+1/2), whose sum over a periodic grid vanishes whatever F
is (LeVeque, Finite Volume Methods for Hyperbolic Problems, eq. 4.4). The mean is then kept exactly, and
errors can move mass but not make it, which keeps long rollouts in place. The weaker form, a *projection*,
takes the mean off the change.

**Galilean invariance.** Where the equation is the same for a moving observer, every state is seen by the
one who moves with its mean, to the nearest whole cell a frame, so that the boost is exact on the grid. The
network then need not learn what a uniform flow does, and a faster one than in training is nothing new.

**A maximum principle.** Where no value of a solution leaves the range of the initial state, none of a rollout
does (:mod:`~ups_core.models.bounds`).

**The flow of a vorticity.** Where a field is the vorticity of the flow that carries it, the network is given
the stream function beside it (:mod:`~ups_core.models.stream`), and the state is moved along that flow
(:mod:`~ups_core.models.flow`).

**Characteristics.** Where a conserved field on a line is a velocity that carries itself, it can be followed
along its characteristics (:mod:`~ups_core.models.characteristics`): for fronts thinner than a cell.

**Diffusion.** Where its coefficient is known, the state is diffused exactly (:mod:`~ups_core.models.heat`).
The network sees the states before and after, and predicts what is left.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.models.characteristics import Characteristics
from ups_core.models.flow import Flow
from ups_core.models.heat import Heat
from ups_core.models.problem import Problem
from ups_core.models.stream import Stream

Conservation = Literal["flux", "projection", "none"]


class Advance(nn.Module):
    """(B, C, X[, Y]) and (B, P) to the state one frame later, (B, C, X[, Y]); normalised values.

    Where the problem has several ``leads``, to the state that many frames later: ``lead`` (B,), else 1.
    """

    def __init__(
        self,
        network: nn.Module,
        problem: Problem,
        *,
        conserve: Conservation,
        galilean: bool,
        stream: bool,
        advect: bool,
        characteristics: bool,
        diffuse: bool,
        bounded: bool,
    ) -> None:
        super().__init__()
        self.network, self.dimensions = network, problem.dimensions
        #: A shifted state gives the shifted next state: nothing to learn from shifted samples.
        self.shift_equivariant = bool(getattr(network, "shift_equivariant", False)) and problem.periodic
        #: The same of the family's discrete symmetries.
        self.symmetric = bool(getattr(network, "symmetric", False))
        self.boost = problem.boost if galilean else None
        self.stream = Stream(problem) if stream and problem.vorticity is not None else None
        self.flow = Flow(problem) if advect and problem.turn is not None else None
        self.characteristics = (
            Characteristics(problem) if characteristics and problem.boost is not None else None
        )
        self.heat = Heat(problem) if diffuse and problem.diffusion is not None else None
        self.vorticity = problem.fields.index(problem.vorticity) if problem.vorticity else 0
        self.conserve, self.leads = conserve, problem.leads
        kept = problem.conserved if conserve != "none" and problem.periodic else ()
        self.kept = [c for c, whether in enumerate(kept) if whether]
        self.free = [c for c in range(len(problem.fields)) if c not in self.kept]
        #: Channels that a rollout keeps in the range of its initial state.
        self.bounded = [c for c, whether in enumerate(problem.bounded) if whether and bounded]
        with torch.no_grad():  # start near the identity: a frame resembles the one before
            network.get_parameter("head.weight").mul_(0.1)

    def forward(self, u: Tensor, parameters: Tensor, lead: Tensor | None = None) -> Tensor:
        if self.leads[1:] and lead is None:
            lead = u.new_ones(u.shape[0])
        if self.boost is None:
            return self.at_rest(u, parameters, lead)
        cell = self.boost if lead is None else (self.boost / lead)[:, None, None]  # (B, 1, 1), a step
        cells = cells_a_frame(u, cell)  # (B, 1, 1)
        after = self.at_rest(u - cells * cell, parameters, lead)  # (B, 1, X)
        return carried(after, cells) + cells * cell

    def at_rest(self, u: Tensor, parameters: Tensor, lead: Tensor | None) -> Tensor:
        """One step, seen by an observer at rest."""
        given = [u]
        if self.stream is not None:
            given.append(self.stream(u.narrow(1, self.vorticity, 1)))  # (B, 1, X, Y)
        if any(part is not None for part in (self.flow, self.characteristics, self.heat)):
            u = self.foreseen(u, parameters, lead)
            given.append(u)
        out = self.network(torch.cat(given, dim=1), self.told(parameters, lead))  # (B, channels_out, X[, Y])
        if not self.kept:
            return u + out
        kept, change = out.split([out.shape[1] - len(self.free), len(self.free)], dim=1)
        if self.conserve == "flux":
            kept = self._inflow(kept)
        else:
            kept = kept - kept.mean(tuple(range(2, u.ndim)), keepdim=True)
        if not self.free:
            return u + kept
        both = torch.empty_like(u)
        both[:, self.kept], both[:, self.free] = kept, change
        return u + both

    def told(self, parameters: Tensor, lead: Tensor | None) -> Tensor:
        """What the network is told of a step: parameters (B, P) and its logarithm, from -1 to 1, (B, P+1)."""
        if lead is None:
            return parameters
        return torch.cat([parameters, 2 * (lead.log() / math.log(self.leads[-1]))[:, None] - 1], dim=1)

    def foreseen(self, u: Tensor, parameters: Tensor, lead: Tensor | None = None) -> Tensor:
        """What the family's declarations alone say of the next frame, from which the network goes on."""
        if self.flow is not None:
            before = u.narrow(1, self.vorticity, 1)
            after = self.flow(before, lead)  # (B, 1, X, Y)
            if self.vorticity in self.kept:
                after = after + (before - after).mean((2, 3), keepdim=True)
            u = u.index_copy(1, torch.tensor([self.vorticity], device=u.device), after)
        if self.characteristics is not None:
            u = self.characteristics(u)
        return u if self.heat is None else self.heat(u, parameters, lead)

    def _inflow(self, flux: Tensor) -> Tensor:
        """Face fluxes (B, D*C, X[, Y]), entry i at the face behind cell i, to net inflow (B, C, X[, Y])."""
        inflow = torch.zeros((), device=flux.device)
        for axis, f in enumerate(flux.chunk(self.dimensions, dim=1), start=2):  # f (B, C, X[, Y])
            inflow = inflow + torch.roll(f, 1, axis) - f
        return inflow


def cells_a_frame(u: Tensor, boost: float | Tensor) -> Tensor:
    """How far the mean of u (B, 1, X) carries it within a frame, to the nearest whole cell: (B, 1, 1)."""
    return torch.round(u.mean(dim=-1, keepdim=True) / boost)


def carried(u: Tensor, cells: Tensor) -> Tensor:
    """u (B, 1, X) shifted cyclically by ``cells`` (B, 1, 1)."""
    x = torch.arange(u.shape[-1], device=u.device)  # (X,)
    return u.gather(-1, (x - cells.long()) % u.shape[-1])


def channels_out(problem: Problem, conserve: Conservation) -> int:
    """How many channels a network of :class:`Advance` predicts: a flux has as many as the grid has axes."""
    if conserve != "flux" or not problem.periodic:
        return len(problem.fields)
    return sum(problem.dimensions if kept else 1 for kept in problem.conserved)


class Solve(nn.Module):
    """Input (B, C, X[, Y]) and parameters (B, P) to the solution (B, C', X[, Y]); normalised values.

    Where node 0 of an axis lies on a wall, the opposite wall has no node. There the network sees the *closed*
    grid, which has both: only that one is its own mirror image, and the nodes on the wall tell of the medium
    beside it. What nobody knows of the added nodes is filled with zero, the mean of training; the solution
    is zero on all walls.
    """

    def __init__(self, network: nn.Module, problem: Problem) -> None:
        super().__init__()
        self.network, self.wall = network, problem.wall
        #: Whether images of inputs give images of solutions: nothing to learn from them, or to average.
        self.symmetric = bool(getattr(network, "symmetric", False))
        #: Whether the network means the same on any grid of the domain, a finer one included.
        self.resolution_free = bool(getattr(network, "resolution_free", False))
        self.shift_equivariant = bool(getattr(network, "shift_equivariant", False)) and problem.periodic

    def forward(self, a: Tensor, parameters: Tensor) -> Tensor:
        return self.open(self.closed(self.close(a), parameters))

    def closed(self, a: Tensor, parameters: Tensor) -> Tensor:
        """The solution on the closed grid, for an input on the closed grid."""
        u = self.network(a, parameters)  # (B, C', X+1[, Y+1])
        for axis, wall in enumerate(self.wall, start=2):
            u = u.narrow(axis, int(wall), u.shape[axis] - 2 * int(wall))
        return F.pad(u, [int(wall) for wall in reversed(self.wall) for _ in range(2)])

    def close(self, values: Tensor) -> Tensor:
        """(B, C, X[, Y]) with a node, of value zero, on every wall that has none: (B, C, X+1[, Y+1])."""
        return F.pad(values, [side for wall in reversed(self.wall) for side in (0, int(wall))])

    def open(self, values: Tensor) -> Tensor:
        """The inverse of :meth:`close`."""
        for axis, wall in enumerate(self.wall, start=2):
            values = values.narrow(axis, 0, values.shape[axis] - int(wall))
        return values
