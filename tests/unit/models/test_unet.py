from __future__ import annotations

import pytest
import torch

from ups_core.api.architectures import UNetConfig
from ups_core.models.layers import coarsen, refine

CONFIG = UNetConfig.model_validate({"width": 16, "levels": 2})


def test_shape_and_wall_on_the_square(square):
    problem = square()
    model = CONFIG.build(problem)
    u = model(torch.randn(3, 1, 8, 8), torch.zeros(3, 0))
    assert u.shape == (3, 1, 8, 8)
    assert (u[:, :, 0] == 0).all()
    assert (u[:, :, :, 0] == 0).all()
    assert (u[:, :, 1:, 1:] != 0).all()


def test_the_medium_on_the_wall_tells_something(square):
    a = torch.randn(1, 1, 8, 8, requires_grad=True)
    CONFIG.build(square())(a, torch.zeros(1, 0))[0, 0, 1, 1].backward()
    assert a.grad is not None
    assert a.grad[0, 0, 0, 1] != 0


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("points", [7, 8, 13])
def test_line_of_any_length(line, points, fine):
    problem = line(steady=True, shape=(points,), boundary=("neumann",), fields=("u", "v"), inputs=("a",))
    model = CONFIG.model_copy(update={"fine": fine}).build(problem)
    assert model(torch.randn(2, 1, points), torch.zeros(2, 0)).shape == (2, 2, points)


def test_every_point_feels_every_other(square):
    model = UNetConfig.model_validate({"width": 16}).build(square())
    a = torch.randn(1, 1, 8, 8, requires_grad=True)
    model(a, torch.zeros(1, 0))[0, 0, 1, 1].backward()
    assert a.grad is not None
    assert a.grad[0, 0, 7, 7] != 0


def test_images_on_a_closed_grid_are_images_on_the_coarse_one():
    h = torch.randn(2, 3, 17, 9)
    walls = ("dirichlet", "neumann")
    coarse = coarsen(h, walls)
    assert coarse.shape == (2, 3, 9, 5)
    torch.testing.assert_close(coarsen(h.flip(2), walls), coarse.flip(2))
    back = refine(coarse, (17, 9), walls)
    torch.testing.assert_close(back[:, :, ::2, ::2], coarse)  # coarse nodes are nodes of the fine grid
    torch.testing.assert_close(refine(coarse.flip(3), (17, 9), walls), back.flip(3))


@pytest.mark.parametrize("points", [16, 17])
def test_nothing_moves_to_a_side_between_walls(points):
    """A straight line stays one, away from the walls, and mirrors commute, on grids of either parity."""
    x = torch.arange(points, dtype=torch.float64)[None, None]
    back = refine(coarsen(x, ["neumann"]), [points], ["neumann"])
    torch.testing.assert_close(back[..., 2:-2], x[..., 2:-2])
    h = torch.randn(2, 3, points)
    torch.testing.assert_close(coarsen(h.flip(2), ["neumann"]), coarsen(h, ["neumann"]).flip(2))


@pytest.mark.parametrize("boundary", [("periodic", "periodic"), ("periodic", "neumann")])
def test_grids_coarsen_and_refine_along_each_axis_by_its_boundary(boundary):
    h = torch.randn(1, 2, 12, 9)
    coarse = coarsen(h, boundary)
    assert coarse.shape == (1, 2, 6, 5)
    torch.testing.assert_close(coarsen(h.roll(2, 2), boundary), coarse.roll(1, 2))
    assert refine(coarse, (12, 9), boundary).shape == h.shape
    ones = torch.ones_like(h)
    torch.testing.assert_close(refine(coarsen(ones, boundary), (12, 9), boundary), ones)


def test_on_a_periodic_grid_a_shift_by_coarse_cells_commutes(torus):
    model = UNetConfig.model_validate({"width": 16, "levels": 3}).build(torus(shape=(16, 12)))
    u, none = torch.randn(1, 2, 16, 12), torch.zeros(1, 0)
    torch.testing.assert_close(model(u.roll((4, 8), (2, 3)), none), model(u, none).roll((4, 8), (2, 3)))


@pytest.mark.parametrize("kind", ["periodic", "neumann"])
def test_a_single_point_of_three_dimensions_stays(kind):
    h, boundary = torch.randn(2, 3, 1, 4, 1), (kind,) * 3
    coarse = coarsen(h, boundary)
    assert coarse.shape == (2, 3, 1, 2, 1)
    torch.testing.assert_close(coarsen(h[:, :, :, :1], boundary), h[:, :, :, :1])
    assert refine(coarse, h.shape[2:], boundary).shape == h.shape
