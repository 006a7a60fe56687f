"""What carries itself, followed along its characteristics for a frame: a conservation law without diffusion.

Where one field on a line is conserved and the equation is the same for a moving observer, the field is a
velocity that carries itself: but for what is linear, as diffusion, it is u_t + (u²/2)_x = 0. Waves
steepen into fronts, which swallow what runs into them, and where they are a frame later is a competition
between all that is near enough to arrive. A network finds it hard to learn who wins; the answer is known.
With the potential φ, φ_x = u,

    φ(x, t + Δt) = min_y φ(y, t) + (x - y)² / (2 Δt)

(Hopf's and Lax's formula: Lax, Comm. Pure Appl. Math. 10, 1957; Evans, Partial Differential Equations,
§3.3). The change of φ at a face between cells is what has flowed through it, so that averages of cells
are moved to averages of cells and their sum is kept, however sharp the fronts. Between its faces a cell
is taken as linear, with the slope between its neighbours, and the minimum of that is found exactly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ups_core.models.problem import Problem

#: Speeds that are followed, in standard deviations of the field.
FASTEST = 6.0


class Characteristics(nn.Module):
    """Averages of the cells of a periodic line, (B, 1, X), normalised, to those a frame later."""

    away: Tensor

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        assert problem.boost is not None
        #: The speed of one cell a frame, which is also what a slope of one cell a cell has.
        self.unit = problem.boost
        self.reach = min(math.ceil(FASTEST / self.unit), (problem.shape[0] + 1) // 2)
        #: From a face to the middle of each cell within reach, in cells, (2R,).
        self.register_buffer("away", torch.arange(2 * self.reach) - self.reach + 0.5, persistent=False)

    def forward(self, u: Tensor) -> Tensor:
        flux = -self.fall(u[:, 0])[:, None]  # (B, 1, X), through the face ahead of each cell
        return u + torch.roll(flux, 1, -1) - flux

    def fall(self, u: Tensor) -> Tensor:
        """How much the potential changes within a frame at the face ahead of each cell, (B, X) twice."""
        r = self.reach
        slope = (torch.roll(u, -1, -1) - torch.roll(u, 1, -1)) / 2  # (B, X)
        wide, slope = (torch.cat([v[:, -r:], v, v[:, :r]], dim=1) for v in (u, slope))  # (B, R+X+R)
        # φ behind each cell, and at the end, (B, R+X+R+1)
        faces = torch.cat([torch.zeros_like(u[:, :1]), wide.cumsum(1)], dim=1)

        def near(values: Tensor) -> Tensor:  # (B, R+X+R) to (B, X, 2R): the cells around the face ahead
            return values.unfold(1, 2 * r, 1)[:, 1:]

        mean, slope, behind = near(wide), near(slope), near(faces[:, :-1])  # (B, X, 2R) each
        here = faces[:, r + 1 : u.shape[-1] + r + 1, None]  # (B, X, 1)
        # φ within a cell, s in [-1/2, 1/2] from its middle: φ(-1/2) + u (s + 1/2) + u' (s² - 1/4) / 2.
        # With unit (s + away)² / 2 it is a parabola; where that opens downwards the minimum is at an end.
        with torch.no_grad():  # around a minimum nothing depends on its place
            curvature = (slope + self.unit).clamp(min=1e-3 * self.unit)
            s = (-(mean + self.unit * self.away) / curvature).clamp(-0.5, 0.5)
        potential = behind - here + mean * (s + 0.5) + slope * (s * s - 0.25) / 2
        return (potential + self.unit / 2 * (s + self.away) ** 2).amin(-1)
