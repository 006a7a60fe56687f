"""What a flow carries, followed along the flow: a semi-Lagrangian step without its diffusion.

Where the vorticity is carried by the flow that it makes, most of what happens within a frame is that eddies
move and wind up: far, and each of them differently. A network that looks a few points around has to learn
all of that as changes at fixed points. Here every point is followed back along the flow to where its fluid
came from, and takes the vorticity from there (Staniforth & Côté, Mon. Weather Rev. 119, 1991). It is
Galilean invariance point by point, and what is left to learn is small and local.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.models.fourier import waves
from ups_core.models.layers import pad
from ups_core.models.problem import Problem

#: Nodes along an axis that a value between the second and the third of them is interpolated from.
NODES = (-1, 0, 1, 2)


class Flow(nn.Module):
    """Vorticity (B, 1, X, Y), normalised, on a periodic box to what the flow makes of it within a frame, or
    within as many as ``lead`` (B,)."""

    x: Tensor
    y: Tensor
    slope_x: Tensor
    slope_y: Tensor
    inverse: Tensor

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        assert problem.turn is not None
        lengths = [n * h for n, h in zip(problem.shape, problem.spacing, strict=True)]
        found = [waves(n, length) for n, length in zip(problem.shape, lengths, strict=True)]
        (x, slope_x, square_x), (y, slope_y, square_y) = found
        square = square_x[:, None] + square_y  # (K, K'), |k|²
        inverse = torch.where(square > 0, problem.turn / square.clamp(min=1e-12), 0.0)
        dx, dy = problem.spacing  # a velocity along X is a slope along Y
        named = {
            "x": x,
            "y": y,
            "inverse": inverse,
            "slope_x": slope_x / dy,
            "slope_y": slope_y / dx,
        }
        for name, value in named.items():
            self.register_buffer(name, value.float(), persistent=False)

    def forward(self, w: Tensor, lead: Tensor | None = None) -> Tensor:
        step = 1 if lead is None else lead[:, None, None, None]
        before = step * self.velocity(w)
        # The flow is smoother than its vorticity, which here has only to give the flow a step later.
        after = step * self.velocity(linear(w, -half_way(before)))
        return cubic(w, -half_way((before + after) / 2))  # (B, 1, X, Y)

    def velocity(self, w: Tensor) -> Tensor:
        """(B, 1, X, Y) to the velocity along X and along Y, (B, 2, X, Y), in cells a frame."""
        stream = self.x @ w @ self.y.T * self.inverse  # (B, 1, K, K')
        return torch.cat([self.x.T @ stream @ self.slope_y, -(self.slope_x.T @ stream @ self.y)], dim=1)


def half_way(velocity: Tensor) -> Tensor:
    """The velocity (B, 2, X, Y) where the fluid at each node was half a frame ago: the midpoint rule."""
    return linear(velocity, -velocity / 2)


def linear(field: Tensor, moves: Tensor) -> Tensor:
    """A periodic field (B, C, X, Y) at ``moves`` (B, 2, X, Y) cells along X and Y from its nodes."""
    wide = pad(field, 1, ("periodic", "periodic"))  # (B, C, X+2, Y+2)
    places = []
    for axis, n in enumerate(field.shape[2:]):
        place = (_nodes(moves, axis) + moves[:, axis]) % n + 1  # (B, X, Y)
        places.append((place + 0.5) * (2 / (n + 2)) - 1)  # from edge to edge, -1 to 1
    grid = torch.stack(places[::-1], dim=-1)  # (B, X, Y, 2), the last axis first
    return F.grid_sample(wide, grid, align_corners=False)


def cubic(w: Tensor, moves: Tensor) -> Tensor:
    """A periodic field (B, 1, X, Y) at ``moves`` (B, 2, X, Y), by cubic polynomials: (B, 1, X, Y).

    ``grid_sample``'s bicubic kernel does not even give back a parabola.
    """
    ends = []
    for axis, n in enumerate(w.shape[2:]):
        whole = moves[:, axis].floor()
        t = moves[:, axis] - whole  # (B, X, Y), in [0, 1)
        first = _nodes(moves, axis) + whole.long()
        a, b, c = t + 1, t - 1, t - 2
        weights = (-t * b * c / 6, a * b * c / 2, -a * t * c / 2, a * t * b / 6)
        ends.append([((first + node) % n, weight) for node, weight in zip(NODES, weights, strict=True)])
    flat, columns = w.flatten(1), w.shape[3]
    total = torch.zeros((), device=w.device)
    for row, along_x in ends[0]:
        for column, along_y in ends[1]:
            value = flat.gather(1, (row * columns + column).flatten(1)).view_as(along_y)
            total = total + along_x * along_y * value  # (B, X, Y)
    return total[:, None]


def _nodes(moves: Tensor, axis: int) -> Tensor:
    """The number of each node along an axis, (X, 1) or (1, Y)."""
    shape = (-1, 1) if axis == 0 else (1, -1)
    return torch.arange(moves.shape[2 + axis], device=moves.device).reshape(shape)
