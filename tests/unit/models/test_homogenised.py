"""The solver inside the network, against a dense one, and the network around it."""

from __future__ import annotations

import pytest
import torch

from ups_core.api.architectures import HomogenisedConfig
from ups_core.errors import InvalidSpec
from ups_core.models.homogenised import Diffusion

CONFIG = HomogenisedConfig.model_validate({"width": 4})


def dense(kx: torch.Tensor, ky: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
    """The five-point system written out node by node."""
    batch, x, y = f.shape
    matrix = torch.zeros(batch, x, y, x, y, dtype=f.dtype)
    for i in range(x):
        for j in range(y):
            for k, (p, q) in (
                (kx[:, i, j], (i - 1, j)),
                (kx[:, i + 1, j], (i + 1, j)),
                (ky[:, i, j], (i, j - 1)),
                (ky[:, i, j + 1], (i, j + 1)),
            ):
                matrix[:, i, j, i, j] += k
                if 0 <= p < x and 0 <= q < y:
                    matrix[:, i, j, p, q] -= k
    return torch.linalg.solve(matrix.reshape(batch, x * y, x * y), f.reshape(batch, -1)).reshape(f.shape)


def system(x: int, y: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, x + 1, y), (2, x, y + 1), (2, x, y))
    return [torch.rand(s, generator=generator, dtype=torch.float64).add(0.1).requires_grad_() for s in shapes]


@pytest.mark.parametrize(("x", "y"), [(4, 4), (3, 5), (5, 1), (1, 3)])
def test_the_system_is_solved_exactly_and_so_is_its_adjoint(x: int, y: int):
    given = system(x, y)
    torch.testing.assert_close(Diffusion.apply(*given), dense(*given))
    assert torch.autograd.gradcheck(Diffusion.apply, given)


def test_on_the_square_a_constant_medium_gives_the_known_solution(square):
    problem = square(shape=(32, 32), spacing=(1 / 32,) * 2, elliptic=True)
    model = CONFIG.build(problem)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()  # conductivity and source are then 1 everywhere
    u = model(torch.zeros(1, 1, 32, 32), torch.zeros(1, 0))[0, 0]
    assert u[0].abs().max() == 0
    assert u[16, 16].item() == pytest.approx(0.07367, rel=2e-3)  # -Δu = 1 at the centre of the unit square
    torch.testing.assert_close(u[1:], u[1:].flip(0))


def test_a_line_with_an_insulated_end(line):
    problem = line(steady=True, inputs=("a",), boundary=("neumann",), elliptic=True, conserved=(False,))
    with pytest.raises(InvalidSpec, match="given values"):
        CONFIG.build(problem)


def test_a_finer_grid_needs_no_other_weights(square):
    torch.manual_seed(0)
    model = CONFIG.build(square(elliptic=True))
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        for layer in model.network.head:
            layer.weight[:, -1] = 0.25  # what it takes from the input itself
    x = torch.arange(64) / 64
    medium = torch.sin(torch.pi * x)[:, None] * torch.sin(torch.pi * x)
    fine = model(medium[None, None], torch.zeros(1, 0))[0, 0]
    coarse = model(medium[None, None, ::2, ::2], torch.zeros(1, 0))[0, 0]
    torch.testing.assert_close(fine[::2, ::2], coarse, rtol=0, atol=3e-4)


def test_it_is_refused_where_the_family_declares_no_such_operator(square):
    with pytest.raises(InvalidSpec, match="solves -∇"):
        CONFIG.build(square())
