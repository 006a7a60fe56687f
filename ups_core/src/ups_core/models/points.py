"""From values at some points to values at any points, by way of tokens on a regular grid.

Points lie where they like; attention and convolution work on a grid. Each point gives to the corners of the
cell that it lies in, by its distance from them, and each corner takes the weighted mean of what it is given
(as particles give to cells: Hockney & Eastwood, Computer Simulation Using Particles, ch. 5; learned kernels
on neighbourhoods: Li et al., "Geometry-Informed Neural Operator", NeurIPS 2023). What is given is learned
from values and relative positions. The way back is the same in reverse and needs no values, so that any place
can be asked for. Both cost as many operations as there are points, whatever their order.

Weights fall to zero where a corner is left behind, so what is decoded is continuous in the place asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.models.pdet import Processor
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.architectures import PointsConfig


class Corners(NamedTuple):
    """The J = 2^D corners around each of N points.

    Attributes
    ----------
    node: (B, N, J), numbers of the corners among the K nodes of the grid.
    offset: (B, N, J, D), the point seen from the corner, in cells.
    weight: (B, N, J), which sum to 1 over the corners.
    """

    node: Tensor
    offset: Tensor
    weight: Tensor


class OnPoints(nn.Module):
    """A network on scattered points made a surrogate: values (B, C, M) at places (B, M, D), and (B, P).

    Transient: the state one frame later, at the same points; the network predicts the change. Steady: the
    solution at the points of the input. Normalised values, places in the units of the domain's ``box``.
    """

    def __init__(self, network: nn.Module, problem: Problem) -> None:
        super().__init__()
        assert problem.box is not None
        self.network, self.box, self.steady = network, problem.box, problem.steady
        if not problem.steady:
            with torch.no_grad():  # start near the identity: a frame resembles the one before
                network.get_parameter("head.weight").mul_(0.1)

    def forward(self, values: Tensor, parameters: Tensor, places: Tensor) -> Tensor:
        low, high = places.new_tensor(self.box).T  # (D,)
        out = self.network(values, (places - low) / (high - low), parameters)  # (B, C', M)
        return out if self.steady else values + out


def corners(places: Tensor, shape: Sequence[int], boundary: Sequence[str]) -> Corners:
    """Of ``places`` (B, N, D) in the unit box on a grid of ``shape``.

    Node i of n lies at i/n along a periodic axis, where any place has an image in the box, and at i/(n-1)
    between walls, where places outside of the box count with the nearest cell.
    """
    cells = [n if kind == "periodic" else n - 1 for n, kind in zip(shape, boundary, strict=True)]
    last = [math.inf if kind == "periodic" else n - 2 for n, kind in zip(shape, boundary, strict=True)]
    least = [-math.inf if kind == "periodic" else 0 for kind in boundary]
    position = places * places.new_tensor(cells)  # (B, N, D)
    first = position.floor().maximum(places.new_tensor(least)).minimum(places.new_tensor(last))
    corner = first[:, :, None] + places.new_tensor(list(product((0, 1), repeat=len(shape))))  # (B, N, J, D)
    offset = position[:, :, None] - corner
    along = corner.long() % torch.tensor(shape, device=places.device)
    strides = torch.tensor([math.prod(shape[axis + 1 :]) for axis in range(len(shape))], device=places.device)
    return Corners((along * strides).sum(-1), offset, (1 - offset.abs()).clamp(min=0).prod(-1))


class Points(nn.Module):
    """Values (B, C, N) at places (B, N, D), and parameters (B, P), to values (B, C', M) at any M places."""

    def __init__(self, config: PointsConfig, problem: Problem, channels_in: int, channels_out: int) -> None:
        super().__init__()
        width, d = config.width, problem.dimensions
        self.shape, self.boundary = (config.nodes,) * d, problem.boundary
        self.lift = nn.Linear(channels_in + d, width)
        self.patch = nn.Linear(width + 1, config.tokens)
        self.processor = Processor(config, problem)
        self.unpatch = nn.Linear(config.tokens, width)
        self.place = nn.Linear(d, width)
        #: Particles are asked at their own places alone, and what they do depends on their own values.
        self.own = problem.motion is not None
        if self.own:
            self.join, self.mix = nn.Linear(width + channels_in, width), nn.Linear(width, width)
        self.head = nn.Linear(width, channels_out)

    def forward(
        self, values: Tensor, places: Tensor, parameters: Tensor, queries: Tensor | None = None
    ) -> Tensor:
        """``queries`` (B, M, D): where the result is wanted; without them at ``places``. In the unit box."""
        near = corners(places, self.shape, self.boundary)
        z = self.processor(self.encode(values, near), parameters)  # (B, Z, K[, K'])
        h = self.decode(z, near if queries is None else corners(queries, self.shape, self.boundary))
        if self.own:
            h = self.join(torch.cat([h, values.mT], dim=2))  # (B, M, W)
            h = F.silu(h + self.mix(F.silu(h)))
        return self.head(h).mT

    def encode(self, values: Tensor, near: Corners) -> Tensor:
        """Values (B, C, N) at points to tokens on the grid, (B, Z, K[, K'])."""
        node, weight, nodes = near.node.flatten(1), near.weight.flatten(1), math.prod(self.shape)
        own = values.mT[:, :, None].expand(-1, -1, near.node.shape[2], -1)  # (B, N, J, C)
        given = F.silu(self.lift(torch.cat([own, near.offset], dim=-1))).flatten(1, 2)  # (B, N*J, W)
        share = torch.cat([weight[..., None] * given, weight[..., None]], dim=2)  # (B, N*J, W+1)
        # Not len(): an exported program would hold that number.
        empty = share.new_zeros(share.shape[0], nodes, share.shape[2])
        taken = empty.scatter_add(1, node[..., None].expand_as(share), share)  # (B, K, W+1)
        total, density = taken[..., :-1], taken[..., -1:]
        mean = total / density.clamp(min=1e-6)  # zero where no point is near
        # How many points a node speaks for, in units of the mean: less of them say less.
        crowd = density * (nodes / values.shape[2])
        z = self.patch(torch.cat([mean, crowd], dim=2))  # (B, K, Z)
        return z.mT.unflatten(2, self.shape)

    def decode(self, z: Tensor, near: Corners) -> Tensor:
        """Tokens on the grid, (B, Z, K[, K']), to what they say at places, (B, M, W)."""
        h = self.unpatch(z.flatten(2).mT)  # (B, K, W)
        index = near.node.flatten(1)[..., None].expand(-1, -1, h.shape[2])
        around = h.gather(1, index).unflatten(1, near.node.shape[1:])  # (B, M, J, W)
        return (near.weight[..., None] * F.silu(around + self.place(near.offset))).sum(2)
