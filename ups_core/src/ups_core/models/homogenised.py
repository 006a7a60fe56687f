"""Learned homogenisation: a network predicts the coefficients of a discretised operator, solved exactly.

For -∇·(κ∇u) = f the five-point finite-volume system couples neighbouring nodes by the conductances of the
faces between them. On a grid too coarse for the medium the right conductances are not those of the medium at
the nodes; what they are, and what the source is, is local and can be learned (numerical homogenisation:
Allaire & Brizzi, Multiscale Model. Simul. 4, 2005, by learning). The system is then symmetric positive
definite whatever the weights are, and its exact solution carries every point's influence to every other.

The solver eliminates line after line, a block Cholesky decomposition of the whole batch at once. The backward
pass solves the same system once more, for the adjoint: with A u = f and a loss L, the gradient of L by f is
λ = A⁻¹ ∂L/∂u, and that by a conductance k between nodes i and j is -(λ_i - λ_j)(u_i - u_j).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_core.errors import InvalidSpec
from ups_core.models.layers import CONV, Padded, with_parameters
from ups_core.models.problem import Problem

if TYPE_CHECKING:
    from ups_core.api.architectures import HomogenisedConfig


#: Conductivity with which a unit source on the unit square has a solution of order one.
SCALE = 0.05


class Homogenised(nn.Module):
    """Input (B, C, X[, Y]) and parameters (B, P) to the solution (B, 1, X[, Y]), zero on nodes on walls."""

    resolution_free = True

    def __init__(self, config: HomogenisedConfig, problem: Problem) -> None:
        super().__init__()
        _check(problem)
        channels_in = len(problem.inputs) + len(problem.varying)
        d, width, conv = problem.dimensions, config.width, CONV[problem.dimensions]
        self.dimensions, self.boundary, self.wall = d, problem.boundary, problem.wall
        self.lift = Padded(problem, channels_in, width)
        self.blocks = nn.ModuleList(Padded(problem, width, width) for _ in range(config.layers))
        #: Logarithms of the conductances of the faces across each axis, which see the nodes on both sides,
        #: and of the source.
        kernels = [*(self._across(axis) for axis in range(d)), 1]
        self.head = nn.ModuleList(conv(width + channels_in, 1, kernel) for kernel in kernels)
        with torch.no_grad():
            for layer, bias in zip(self.head, [math.log(SCALE)] * d + [0.0], strict=True):
                layer.get_parameter("weight").mul_(0.1)
                layer.get_parameter("bias").fill_(bias)

    def _across(self, axis: int) -> Any:
        """The kernel that spans the two nodes of a face across an axis."""
        return [2 if other == axis else 1 for other in range(self.dimensions)]

    def forward(self, a: Tensor, parameters: Tensor) -> Tensor:
        a = with_parameters(a, parameters)
        h = self.lift(a)  # (B, W, X[, Y])
        for block in self.blocks:
            h = h + block(F.silu(h))
        h = torch.cat([F.silu(h), a], dim=1)  # (B, W+C, X[, Y])
        source = self.head[-1](self._inside(h))[:, 0].exp()  # (B, X'[, Y']), X' nodes that are unknown
        faces = [self._conductances(h, axis) for axis in range(self.dimensions)]
        if self.dimensions == 1:
            none = torch.zeros_like(source.unsqueeze(2).expand(-1, -1, 2))
            u = Diffusion.apply(faces[0].unsqueeze(2), none, source.unsqueeze(2)).squeeze(2)  # (B, X')
        else:
            u = Diffusion.apply(*faces, source)  # (B, X', Y')
        return F.pad(u[:, None], [int(wall) for wall in reversed(self.wall) for _ in range(2)])

    def _inside(self, h: Tensor, *, but: int | None = None) -> Tensor:
        """Without the nodes on walls; those along the axis ``but`` stay."""
        for axis, wall in enumerate(self.wall):
            if axis != but:
                h = h.narrow(2 + axis, int(wall), h.shape[2 + axis] - 2 * int(wall))
        return h

    def _conductances(self, h: Tensor, axis: int) -> Tensor:
        """Of the faces between neighbours along an axis, in units of the spacing: (B, X'+1, Y').

        A wall without a node of its own is half a spacing from the outermost ones, and its face sees these
        twice; one that insulates conducts nothing.
        """
        at, wall = 2 + axis, self.wall[axis]
        h = self._inside(h, but=axis)
        if not wall:
            h = torch.cat([h.narrow(at, 0, 1), h, h.narrow(at, h.shape[at] - 1, 1)], dim=at)
        k = self.head[axis](h)[:, 0].exp().movedim(1 + axis, -1)  # (..., X'+1)
        reach = 0.0 if self.boundary[axis] == "neumann" else 1.0 if wall else 2.0
        k = torch.cat([reach * k[..., :1], k[..., 1:-1], reach * k[..., -1:]], dim=-1)
        intervals = k.shape[-1] if wall else k.shape[-1] - 1
        return (k * intervals**2).movedim(-1, 1 + axis)


class Diffusion(torch.autograd.Function):
    """Conductances of faces, (B, X+1, Y) and (B, X, Y+1), and sources (B, X, Y) to the solution (B, X, Y)."""

    @staticmethod
    def forward(ctx: Any, kx: Tensor, ky: Tensor, f: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        system = Factored(kx.double(), ky.double())
        u = system.solve(f.double())
        ctx.system, ctx.u, ctx.dtype = system, u, f.dtype
        return u.to(f.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        adjoint, u = ctx.system.solve(gradient.double()), ctx.u
        kx, ky = (-_jump(adjoint, axis) * _jump(u, axis) for axis in (1, 2))
        return kx.to(ctx.dtype), ky.to(ctx.dtype), adjoint.to(ctx.dtype)


class Factored:
    """The five-point matrix, factored line by line.

    With the lines' own blocks D and the diagonal couplings C between neighbouring lines, the Schur
    complements are S_0 = D_0 and S_i = D_i - C_i S_(i-1)⁻¹ C_i; their inverses are kept, (B, Y, Y) each.
    """

    def __init__(self, kx: Tensor, ky: Tensor) -> None:
        diagonal = kx[:, :-1] + kx[:, 1:] + ky[..., :-1] + ky[..., 1:]  # (B, X, Y)
        own = torch.diag_embed(diagonal)  # (B, X, Y, Y)
        for offset in (-1, 1):
            own = own - torch.diag_embed(ky[..., 1:-1], offset)
        self.coupling = kx  # (B, X+1, Y); entry i between the lines i-1 and i
        self.inverses: list[Tensor] = []
        for i in range(own.shape[1]):
            block = own[:, i]
            if i:
                c = kx[:, i]
                block = block - c[:, :, None] * self.inverses[-1] * c[:, None, :]
            self.inverses.append(torch.cholesky_inverse(torch.linalg.cholesky(block)))

    def solve(self, f: Tensor) -> Tensor:
        """(B, X, Y) to (B, X, Y)."""
        lines: list[Tensor] = []
        for i, inverse in enumerate(self.inverses):
            right = f[:, i]  # (B, Y)
            if i:
                right = right + self.coupling[:, i] * lines[-1]
            lines.append((inverse @ right.unsqueeze(-1)).squeeze(-1))
        for i in reversed(range(len(lines) - 1)):
            back = self.coupling[:, i + 1] * lines[i + 1]  # (B, Y)
            lines[i] = lines[i] + (self.inverses[i] @ back.unsqueeze(-1)).squeeze(-1)
        return torch.stack(lines, dim=1)


def _jump(u: Tensor, axis: int) -> Tensor:
    """Differences across all faces along an axis of u (B, X, Y); beyond the walls it is zero."""
    edge = torch.zeros_like(u.narrow(axis, 0, 1))
    return torch.diff(torch.cat([edge, u, edge], dim=axis), dim=axis)


def _check(problem: Problem) -> None:
    where = "spec.stages[operator].config.architecture"
    if not problem.elliptic:
        raise InvalidSpec(
            "this architecture solves -∇·(κ∇u) = f",
            where=where,
            found=f"homogenised, for the family {problem.family}",
            expected="a steady family that declares this operator",
            fix="set architecture: default",
        )
    if problem.dimensions > 2 or "periodic" in problem.boundary or "dirichlet" not in problem.boundary:
        raise InvalidSpec(
            "this architecture needs walls with given values",
            where=where,
            found=", ".join(problem.boundary),
            expected="one or two axes, no periodic one, one of them dirichlet at least",
            fix="set architecture: default",
        )
