"""Architectures of surrogates: each config is a small dataclass-like model that builds its module.

A config holds hyperparameters only. What comes from the data (channels, grid, boundary) arrives
as a :class:`ups_core.models.problem.Problem` when ``build`` is called, and ``build`` alone imports
torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from ups_core.api.model import Model

if TYPE_CHECKING:
    from torch import nn

    from ups_core.models.problem import Problem


class ConvConfig(Model):
    """A lean dilated convolutional network; advances a state by one frame on a periodic grid."""

    name: Literal["conv"] = "conv"
    width: Annotated[int, Field(ge=1, le=1024)] = 32
    """Channels of the hidden layers."""
    kernel: Annotated[int, Field(ge=3, le=15)] = 5
    """Width of the convolutions in grid points; odd."""
    dilations: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1, max_length=16)] = [
        1,
        2,
        4,
        4,
    ]
    """Dilation of each residual block, in order."""
    conservative: bool = True
    """Update by a flux difference where the family conserves a field, so that its sum is kept exactly."""

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("kernel must be odd")
        return kernel

    def build(self, problem: Problem) -> nn.Module:
        from ups_core.models.conv import Conv

        return Conv(self, problem)


class UNetConfig(Model):
    """A U-shaped convolutional network; maps the input of a steady problem to its solution."""

    name: Literal["unet"] = "unet"
    width: Annotated[int, Field(ge=1, le=1024)] = 32
    """Channels at the finest level; they double at each coarser one."""
    levels: Annotated[int, Field(ge=1, le=6)] = 3
    """Number of resolutions, the finest included."""

    def build(self, problem: Problem) -> nn.Module:
        from ups_core.models.unet import UNet

        return UNet(self, problem)


Architecture = Annotated[ConvConfig | UNetConfig, Field(discriminator="name")]

#: Name of each architecture and its config, in the order the documentation lists them.
ARCHITECTURES: dict[str, type[ConvConfig] | type[UNetConfig]] = {"conv": ConvConfig, "unet": UNetConfig}


def default_architecture(*, steady: bool) -> ConvConfig | UNetConfig:
    """What ``architecture: default`` means: the best of the benchmark for this kind of problem."""
    return UNetConfig() if steady else ConvConfig()
