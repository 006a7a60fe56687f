"""A network on scattered points made a surrogate of particles, which carry the points with them.

Normalised coordinates are shares of the box. A frame later a particle is where its velocity has carried it
(the mean of the velocities before and after, which is exact to second order), but for a displacement that the
network predicts, in units of how far particles go in a frame; where there are no velocities, that is all.

Interactions depend on differences: no sum over all particles is lost where the family says that it is
conserved, since the mean is taken off the changes. Coordinates along periodic axes come back to the box; no
particle goes through a wall.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ups_core.models.problem import Problem


class OnParticles(nn.Module):
    """(B, C, M) and (B, P) to the state one frame later, (B, C, M); normalised values, channels in any order.

    ``network`` turns values (B, C-D, M) at places (B, M, D), and (B, P), into the changes of the values and
    the displacements, (B, C, M).
    """

    carried: Tensor
    periodic: Tensor

    def __init__(self, network: nn.Module, problem: Problem, *, conserve: bool) -> None:
        super().__init__()
        motion = problem.motion
        assert motion is not None
        self.network, self.stride = network, motion.stride
        self.places = list(motion.positions)
        self.values, self.order = motion.parted(len(problem.fields))
        self.velocities = [self.values.index(c) for c in motion.velocities]
        self.kept = [i for i, c in enumerate(self.values) if conserve and problem.conserved[c]]
        self.register_buffer("carried", torch.tensor(motion.carried)[:, None], persistent=False)  # (D, 1)
        periodic = torch.tensor([kind == "periodic" for kind in problem.boundary])[:, None]
        self.register_buffer("periodic", periodic, persistent=False)  # (D, 1)
        with torch.no_grad():  # start near the identity: a frame resembles the one before
            network.get_parameter("head.weight").mul_(0.1)

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        places, values = u[:, self.places], u[:, self.values]  # (B, D, M), (B, C-D, M)
        out = self.network(values, places.mT, parameters)  # (B, C, M)
        change, shift = out.split([len(self.values), len(self.places)], dim=1)
        if self.kept:
            kept = torch.zeros(len(self.values), 1, device=u.device)
            kept[self.kept] = 1
            change = change - kept * change.mean(2, keepdim=True)
        after = values + change  # (B, C-D, M)
        moved = places + self.stride * shift  # (B, D, M)
        if self.velocities:
            moved = moved + self.carried * (values[:, self.velocities] + after[:, self.velocities]) / 2
        moved = torch.where(self.periodic, moved.remainder(1), moved.clamp(0, 1))
        return torch.cat([after, moved], dim=1)[:, self.order]


def displaced(prediction: Tensor, truth: Tensor, start: Tensor, problem: Problem) -> tuple[Tensor, Tensor]:
    """Both (B, C, M) with, in place of where particles are, how far they are from ``start`` (B, C, M).

    The truth has gone the shortest way, in units of how far particles go in a frame: then all channels are of
    order one, and places count in a loss as much as velocities. The prediction has gone as far, and from
    there the shortest way to where it is: else one that misses by little, about half a period from the start,
    could count as a whole period off.
    """
    motion = problem.motion
    assert motion is not None
    predicted, true = list(prediction.unbind(1)), list(truth.unbind(1))  # (B, M) each
    for c, kind in zip(motion.positions, problem.boundary, strict=True):
        way, off = truth[:, c] - start[:, c], prediction[:, c] - truth[:, c]
        if kind == "periodic":
            way, off = way - way.round(), off - off.round()
        predicted[c], true[c] = (way + off) / motion.stride, way / motion.stride
    return torch.stack(predicted, dim=1), torch.stack(true, dim=1)


def units(problem: Problem) -> Tensor:
    """Of what order normalised channels change in a frame, (C, 1): 1, of places their stride."""
    out = torch.ones(len(problem.fields), 1)
    if problem.motion is not None:
        out[list(problem.motion.positions)] = problem.motion.stride
    return out
