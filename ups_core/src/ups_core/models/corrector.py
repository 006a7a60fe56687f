"""A generative model of what an operator leaves out: samples of its residual, from noise.

The residual r is the truth less the operator's prediction, in units of its standard deviation in training.
Noise n is mixed into it by an angle, z = cos(t) r + sin(t) n, and a network learns the velocity
dz/dt = cos(t) n - sin(t) r. This is the diffusion of Karras et al. (2022, arXiv:2206.00364) at the noise
level tan(t), with its preconditioning: for data of unit variance, c_in z is the mixture above, and
c_skip, c_out make the network's target the velocity (Lu & Song 2025, arXiv:2410.11081, sec. 3). Followed
from pure noise to t = 0, the velocity carries noise to samples. A Gaussian residual of unit variance has
none: the noise is the sample, however few the steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.models.advance import carried, cells_a_frame
from ups_core.models.device import device_of
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.architectures import GridArchitecture

#: The noise level at which sampling starts, in units of the residual; its angle is nearly a right one.
FIRST_LEVEL = 20.0
START = math.atan(FIRST_LEVEL)


def stacked(
    z: Tensor, given: Tensor, prediction: Tensor, *, boost: float | None, wall: Sequence[bool]
) -> Tensor:
    """What a network is shown of a step: (B, C', X[, Y]), without the nodes that lie on walls.

    ``given`` is what the operator was given, ``prediction`` what it made of that, and z lies on the grid of
    the prediction.
    """
    if boost is not None:  # the observer who moves with the mean, as the operator does
        cells = cells_a_frame(given, boost)
        given = carried(given, cells) - cells * boost
        prediction = prediction - cells * boost
    seen = torch.cat([z, given, prediction], dim=1)  # (B, C', X[, Y])
    for axis, on_wall in enumerate(wall, start=2):
        seen = seen.narrow(axis, int(on_wall), seen.shape[axis] - int(on_wall))
    return seen


class Corrector(nn.Module):
    """A network that is given what the operator was, what it predicted, and a mixture with its angle."""

    def __init__(self, network: nn.Module, problem: Problem, *, galilean: bool) -> None:
        super().__init__()
        self.network, self.wall = network, problem.wall
        self.shift_equivariant = bool(getattr(network, "shift_equivariant", False)) and problem.periodic
        self.boost = problem.boost if galilean else None
        kept = problem.conserved if problem.periodic else ()
        self.kept = [c for c, whether in enumerate(kept) if whether]
        self.fields, self.shape = len(problem.fields), problem.shape
        with torch.no_grad():  # start near the velocity of a Gaussian, which is zero
            network.get_parameter("head.weight").mul_(0.1)

    @classmethod
    def of(cls, architecture: GridArchitecture, problem: Problem) -> Corrector:
        """The untrained corrector whose network is of this architecture."""
        # What is not conserved itself is no flux, and the angle is one number more beside the parameters.
        plain = architecture.model_copy(update={"conserve": "none"})
        asked = replace(problem, varying=(*problem.varying, "angle"))
        channels = 2 * len(problem.fields) + len(problem.inputs)  # mixture, prediction, what that was made of
        return cls(plain.network(asked, channels, len(problem.fields)), problem, galilean=plain.galilean)

    def forward(
        self, z: Tensor, angle: Tensor, given: Tensor, prediction: Tensor, parameters: Tensor
    ) -> Tensor:
        """Velocity (B, C, X[, Y]) of mixtures z at ``angle`` (B,); normalised values, parameters (B, P)."""
        seen = stacked(z, given, prediction, boost=self.boost, wall=self.wall)  # (B, C', X[, Y])
        out = self.network(seen, torch.cat([parameters, angle[:, None]], dim=1))  # (B, C, X[, Y])
        return self.admissible(F.pad(out, [side for wall in reversed(self.wall) for side in (int(wall), 0)]))

    def admissible(self, values: Tensor) -> Tensor:
        """What a residual can be: without a mean where the field is conserved, zero on walls."""
        if self.kept:
            values = values.clone()
            kept = values[:, self.kept]
            values[:, self.kept] = kept - kept.mean(tuple(range(2, values.ndim)), keepdim=True)
        for axis, wall in enumerate(self.wall, start=2):
            if wall:
                values = values.clone()
                values.narrow(axis, 0, 1).zero_()
        return values

    def noise(self, samples: int, generator: torch.Generator) -> Tensor:
        """White noise that a residual can be, (B, C, X[, Y])."""
        white = torch.randn(samples, self.fields, *self.shape, generator=generator)
        return self.admissible(white.to(device_of(self)))

    def sample(
        self, noise: Tensor, given: Tensor, prediction: Tensor, parameters: Tensor, steps: int
    ) -> Tensor:
        """Residuals (B, C, X[, Y]) from noise, in ``steps`` evaluations; a function of the noise alone.

        Euler steps in the angle. Steps along circles (DDIM) would be exact for a residual without any
        scatter, and lose half the variance of a Gaussian one in four steps.
        """
        z, stride = noise, START / steps
        for i in range(steps):
            angle = z.new_full((len(z),), START - i * stride)  # (B,)
            z = z - stride * self(z, angle, given, prediction, parameters)
        return z
