"""Architectures of surrogates: each config is a small dataclass-like model that builds its module.

A config holds hyperparameters only. What comes from the data (channels, grid, boundary) arrives
as a :class:`ups_core.models.problem.Problem` when ``build`` is called, and ``build`` alone imports
torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from ups_core.api.model import Model

if TYPE_CHECKING:
    from torch import nn

    from ups_core.models.advance import Advance
    from ups_core.models.problem import Problem


#: What networks on grids take from a family's declarations beside conserved sums; all can be switched off.
PHYSICS = ("galilean", "stream", "advect", "characteristics", "diffuse", "bounded")


class BaseArchitecture(Model):
    """What all architectures share."""

    def fitted(self, problem: Problem) -> Self:
        """The same with what it leaves to the problem written out."""
        return self

    def build(self, problem: Problem) -> nn.Module:
        """The untrained network, normalised values in and out."""
        raise NotImplementedError


class GridArchitecture(BaseArchitecture):
    """What all networks on grids share: how they keep what the family declares."""

    conserve: Literal["flux", "projection", "none"] = "flux"
    """How the sum of a conserved field is kept on periodic grids: by predicting fluxes between cells, by
    taking the mean off each change, or not at all."""
    galilean: bool = True
    """See each state as the observer who moves with its mean, where the family declares that invariance or,
    if a declaration leaves it out, the training data show it."""
    stream: bool = True
    """See the stream function beside the vorticity, where the family declares one that carries everything."""
    advect: bool = True
    """Move that vorticity along its own flow first, and learn what is left."""
    characteristics: bool = False
    """Follow a conserved velocity on a line along its characteristics first, and learn what is left, where
    the family declares it Galilean invariant or the data show it. For fronts thinner than a cell."""
    diffuse: bool = True
    """Diffuse the state first, where the family declares with which coefficient, and learn what is left."""
    bounded: bool = True
    """Keep the values of a rollout in the range of its initial state, widened by a twentieth on both sides,
    where the family declares a maximum principle."""

    def network(self, problem: Problem, channels_in: int, channels_out: int) -> nn.Module:
        """``forward(u, parameters)``: channels on a grid, and what varies, to channels on the same grid,
        without any physics."""
        raise NotImplementedError

    def build(self, problem: Problem) -> nn.Module:
        from ups_core.models.advance import Solve

        if not problem.steady:
            return self.advance(problem)
        return Solve(self.network(problem, len(problem.inputs), len(problem.fields)), problem)

    def advance(self, problem: Problem) -> Advance:
        """The network made one frame of a transient problem."""
        from ups_core.models.advance import Advance, channels_out

        given = len(problem.inputs) + int(self.stream and problem.vorticity is not None)
        foreseen = (
            self.advect and problem.turn is not None,
            self.characteristics and problem.boost is not None,
            self.diffuse and problem.diffusion is not None,
        )
        given += len(problem.fields) * any(foreseen)
        # How long a step is, is one more thing that varies.
        told = replace(problem, varying=(*problem.varying, "dt")) if problem.leads[1:] else problem
        network = self.network(told, given, channels_out(problem, self.conserve))
        switches = {name: getattr(self, name) for name in PHYSICS}
        return Advance(network, problem, conserve=self.conserve, **switches)


Dilations = Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1, max_length=16)]


class ConvConfig(GridArchitecture):
    """A lean dilated convolutional network, which sees as far as information travels within a frame."""

    name: Literal["conv"] = "conv"
    width: Annotated[int, Field(ge=1, le=1024)] = 32
    """Channels of the hidden layers."""
    kernel: Annotated[int, Field(ge=3, le=15)] = 5
    """Width of the convolutions in grid points; odd."""
    dilations: Dilations | None = None
    """Dilation of each residual block, in order. To each side a point sees `kernel // 2 * (1 + sum)` points:
    information should not travel farther within a frame. By default 1, 2, 4 and, on a line, on to 64 at most,
    until that is as far as one and a half standard deviations of the velocity carry an observer who moves
    along in the longest step or, where there is none, a quarter of the line."""
    averages: bool = False
    """Carry averages of cells through a rollout, and reconstruct the values at points from them, where the
    family declares a conserved field on a periodic grid. For fronts thinner than a cell."""

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("kernel must be odd")
        return kernel

    def blocks(self, problem: Problem) -> list[int]:
        """The dilation of each residual block."""
        if self.dilations is not None:
            return self.dilations
        found = [1, 2, 4]
        if problem.dimensions > 1:  # every axis has the halo of the longest
            return found
        far = problem.shape[0] / 4
        if problem.boost is not None and self.galilean:
            far = 1.5 * problem.leads[-1] / problem.boost
        while self.kernel // 2 * (1 + sum(found)) < far and found[-1] < 64:
            found.append(2 * found[-1])
        return found

    def fitted(self, problem: Problem) -> Self:
        if self.dilations is not None:
            return self
        return self.model_copy(update={"dilations": self.blocks(problem)})

    def build(self, problem: Problem) -> nn.Module:
        kept = self.conserve != "none" and problem.periodic and any(problem.conserved)
        if not self.averages or problem.steady or not kept:
            return super().build(problem)
        from ups_core.models.averages import Averaged

        off = dict.fromkeys(PHYSICS, False)
        near = self.model_copy(update={"width": max(1, self.width // 2), "dilations": [1, 1], **off})
        average, reconstruct = (near.model_copy(update={"conserve": c}) for c in (self.conserve, "none"))
        return Averaged(self.advance(problem), average.advance(problem), reconstruct.advance(problem))

    def network(self, problem: Problem, channels_in: int, channels_out: int) -> nn.Module:
        from ups_core.models.conv import Conv

        return Conv(self, problem, channels_in, channels_out)


class GConvConfig(ConvConfig):
    """The same network with weights that commute with the family's mirror images, turns and signs, as far as
    these do the same to all fields. Channels come in sets, of one for each of these: `width` is rounded to
    whole sets."""

    name: Literal["gconv"] = "gconv"  # pyright: ignore[reportIncompatibleVariableOverride]

    def network(self, problem: Problem, channels_in: int, channels_out: int) -> nn.Module:
        from ups_core.models.gconv import GConv

        return GConv(self, problem, channels_in, channels_out)


class UNetConfig(GridArchitecture):
    """A U-shaped convolutional network, in which every point sees every other one."""

    name: Literal["unet"] = "unet"
    width: Annotated[int, Field(ge=1, le=1024)] = 32
    """Channels at the finest level; they double at each coarser one."""
    levels: Annotated[int, Field(ge=1, le=6)] = 3
    """Number of resolutions, the finest included."""
    fine: bool = False
    """Convolve a level before it is coarsened and not after: in the plane at four times the cost."""

    def network(self, problem: Problem, channels_in: int, channels_out: int) -> nn.Module:
        from ups_core.models.unet import UNet

        return UNet(self, problem, channels_in, channels_out)


class FNOConfig(GridArchitecture):
    """A Fourier neural operator: mixes the lowest Fourier modes of the whole domain in each layer."""

    name: Literal["fno"] = "fno"
    conserve: Literal["flux", "projection", "none"] = "projection"
    """How the sum of a conserved field is kept on periodic grids: by predicting fluxes between cells, by
    taking the mean off each change, or not at all."""
    width: Annotated[int, Field(ge=2, le=1024)] = 32
    """Channels of the hidden layers."""
    modes: Annotated[int, Field(ge=1, le=128)] = 16
    """Fourier modes kept along each axis, in each direction."""
    layers: Annotated[int, Field(ge=1, le=16)] = 4
    """Number of spectral layers."""

    def network(self, problem: Problem, channels_in: int, channels_out: int) -> nn.Module:
        from ups_core.models.fno import FNO

        return FNO(self, problem, channels_in, channels_out)


class Tokens(Model):
    """The transformer on a grid of tokens that :class:`PDETConfig` and :class:`PointsConfig` share."""

    tokens: Annotated[int, Field(ge=1, le=4096)] = 48
    """Channels of a token; a multiple of `groups`."""
    groups: Annotated[int, Field(ge=1, le=256)] = 4
    """Groups of channels, each with an attention of its own."""
    depth: Annotated[int, Field(ge=1, le=16)] = 1
    """Blocks at each level, on the way down and on the way up."""
    levels: Annotated[int, Field(ge=1, le=6)] = 2
    """Levels of tokens. From one to the next, two merge along each axis."""

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.tokens % self.groups:
            raise ValueError("tokens must be a multiple of groups")
        return self


class PDETConfig(Tokens, GridArchitecture):
    """A transformer on latent tokens whose attention is among groups of channels: what is far is seen at a
    cost that grows as the number of tokens. Tokens merge and part again, as in a U-Net."""

    name: Literal["pdet"] = "pdet"
    width: Annotated[int, Field(ge=1, le=1024)] = 16
    """Channels of the two layers on the grid itself, before and behind the tokens."""
    patch: Annotated[int, Field(ge=1, le=64)] = 4
    """Grid points in a token along each axis. A token is made from its own points and from half as many on
    either side."""

    def network(self, problem: Problem, channels_in: int, channels_out: int) -> nn.Module:
        from ups_core.models.pdet import PDET

        return PDET(self, problem, channels_in, channels_out)


class PointsConfig(Tokens, BaseArchitecture):
    """A transformer on tokens, for values at scattered points: these give to the tokens near them, and take
    what has been computed from them. For families of kind mesh and particles."""

    name: Literal["points"] = "points"
    width: Annotated[int, Field(ge=1, le=1024)] = 32
    """Channels of what points give to the grid and take from it."""
    nodes: Annotated[int, Field(ge=2, le=1024)] = 16
    """Tokens along each axis; a multiple of 2 to the power of `levels` - 1."""
    conserve: Literal["projection", "none"] = "projection"
    """How the sum over particles of a conserved field is kept: by taking the mean off each change, or not."""

    @model_validator(mode="after")
    def _whole_levels(self) -> Self:
        if self.nodes % 2 ** (self.levels - 1):
            raise ValueError("nodes must be a multiple of 2^(levels-1)")
        return self

    def build(self, problem: Problem) -> nn.Module:
        from ups_core.models.particles import OnParticles
        from ups_core.models.points import OnPoints, Points

        if problem.motion is None:
            return OnPoints(Points(self, problem, len(problem.inputs), len(problem.fields)), problem)
        values = len(problem.fields) - len(problem.motion.positions)
        network = Points(self, problem, values, len(problem.fields))
        return OnParticles(network, problem, conserve=self.conserve != "none")


class MultiplierConfig(BaseArchitecture):
    """A number, or a matrix of the fields, for each Fourier mode: whatever a linear equation with constant
    coefficients does within a frame. For families that declare that, on periodic grids."""

    name: Literal["multiplier"] = "multiplier"
    hidden: Annotated[int, Field(ge=1, le=1024)] = 64
    """Hidden units of the network that gives the numbers, where parameters vary."""
    bounded: bool = True
    """As that of the other architectures."""

    def build(self, problem: Problem) -> nn.Module:
        from ups_core.models.multiplier import Multiplier

        return Multiplier(self, problem)


class HomogenisedConfig(BaseArchitecture):
    """A small network inside a solver: it predicts the coefficients of the family's discretised operator,
    which is then solved exactly. No pure surrogate, and reported as what it is."""

    name: Literal["homogenised"] = "homogenised"
    width: Annotated[int, Field(ge=1, le=256)] = 24
    """Channels of the hidden layers."""
    layers: Annotated[int, Field(ge=0, le=8)] = 1
    """Hidden layers."""

    def build(self, problem: Problem) -> nn.Module:
        from ups_core.models.advance import Solve
        from ups_core.models.homogenised import Homogenised

        return Solve(Homogenised(self, problem), problem)


Architecture = Annotated[
    ConvConfig
    | GConvConfig
    | UNetConfig
    | FNOConfig
    | PDETConfig
    | PointsConfig
    | MultiplierConfig
    | HomogenisedConfig,
    Field(discriminator="name"),
]

#: Name of each architecture and its config, in the order the documentation lists them.
ARCHITECTURES: dict[str, type[BaseArchitecture]] = {
    "conv": ConvConfig,
    "gconv": GConvConfig,
    "unet": UNetConfig,
    "fno": FNOConfig,
    "pdet": PDETConfig,
    "points": PointsConfig,
    "multiplier": MultiplierConfig,
    "homogenised": HomogenisedConfig,
}


def default_architecture(
    *, steady: bool, dimensions: int, scattered: bool = False, linear: bool = False
) -> GConvConfig | UNetConfig | PointsConfig | MultiplierConfig:
    """What ``architecture: default`` means: the best on validation data for this kind of problem.

    ``linear``: each Fourier mode evolves on its own.
    """
    if scattered:
        return PointsConfig()
    if linear:
        return MultiplierConfig()
    if steady:
        return UNetConfig(fine=True)
    if dimensions > 1:
        return UNetConfig(width=16, levels=4)
    return GConvConfig()
