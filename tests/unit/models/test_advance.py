"""What every architecture keeps, whatever its weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ups_core.api.architectures import ARCHITECTURES
from ups_core.models.advance import Solve

SMALL = {
    "conv": {"width": 4, "dilations": [1]},
    "unet": {"width": 4, "levels": 2},
    "fno": {"width": 4, "modes": 2, "layers": 1},
    "pdet": {"width": 4, "tokens": 4, "patch": 2, "groups": 2, "levels": 1},
}


def build(name, problem, **config):
    torch.manual_seed(0)
    return ARCHITECTURES[name].model_validate({**SMALL[name], **config}).build(problem).double()


def state(problem):
    generator = torch.Generator().manual_seed(1)
    u = torch.randn(3, len(problem.fields), *problem.shape, generator=generator, dtype=torch.float64)
    return u, torch.zeros(3, 0).double()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("conserve", ["flux", "projection", "none"])
def test_the_mean_is_kept_where_it_is_asked_for(name, conserve, line, torus):
    cube = {"space": "XYZ", "shape": (6, 6, 6), "spacing": (0.1,) * 3, "boundary": ("periodic",) * 3}
    for problem in (line(), torus(conserved=(False, True)), line(**cube, wall=(False,) * 3)):
        u, none = state(problem)
        after = build(name, problem, conserve=conserve)(u, none)
        drift = (after - u).mean(tuple(range(2, u.ndim))).abs().amax(0)  # (C,)
        assert after.shape == u.shape
        assert (drift[-1] < 1e-12) == (conserve != "none")
        assert len(drift) == 1 or drift[0] > 1e-6


@pytest.mark.parametrize("name", SMALL)
def test_between_walls_nothing_is_kept(name, line):
    problem = line(boundary=("neumann",), shifts=())
    u, none = state(problem)
    assert (build(name, problem)(u, none) - u).mean(2).abs().max() > 1e-6


@pytest.mark.parametrize("name", SMALL)
def test_a_boosted_state_gives_the_boosted_next_state(name, line):
    problem = replace(line(), boost=0.7)
    u, none = state(problem)
    u = u - u.mean(-1, keepdim=True) + 0.1  # away from the edge between two cells
    model = build(name, problem)
    expected = torch.roll(model(u, none), -3, -1) - 3 * 0.7
    torch.testing.assert_close(model(u - 3 * 0.7, none), expected)
    plain = build(name, problem, galilean=False)
    assert (plain(u - 2.1, none) - torch.roll(plain(u, none), -3, -1) + 2.1).abs().max() > 1e-3


class Convolved(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, a, parameters):
        return torch.nn.functional.conv2d(a, self.weight, padding=1)


def test_the_closed_grid_is_its_own_mirror_image(square):
    """A network that commutes with mirrors makes a surrogate that does, walls included."""
    torch.manual_seed(0)
    weight = torch.randn(1, 1, 3, 3)
    model = Solve(Convolved((weight + weight.flip(-1)) / 2), square())
    a = torch.randn(2, 1, 8, 8)
    closed = model.close(a)  # (B, C, X+1, Y+1)
    assert torch.equal(model.open(closed), a)
    assert (closed[..., -1] == 0).all()
    mirrored = model.closed(closed.flip(-1), torch.zeros(2, 0)).flip(-1)
    torch.testing.assert_close(model.open(mirrored), model(a, torch.zeros(2, 0)))
    for wall in (mirrored[..., 0], mirrored[..., -1], mirrored[:, :, 0], mirrored[:, :, -1]):
        assert (wall == 0).all()
