"""Vorticity followed along its own flow, against the pseudo-spectral solver without viscosity."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ups_core.api.architectures import ARCHITECTURES
from ups_core.data.families import FAMILIES
from ups_core.models.flow import Flow, cubic, linear
from ups_core.models.symmetry import apply, group
from ups_core.simulate.navier_stokes import solve

POINTS = 32
NODES = torch.arange(POINTS, dtype=torch.float64) * 2 * math.pi / POINTS


@pytest.fixture
def flow(torus):
    """A problem whose vorticity of one turns the fluid by so much in a frame; the box is 1 by 1."""

    def make(turn: float):
        changes = {"fields": ("w",), "inputs": ("w",), "conserved": (True,), "varying": (), "vorticity": "w"}
        square = {"shape": (POINTS, POINTS), "spacing": (1 / POINTS,) * 2}
        return torus(**changes, **square, turn=turn, symmetries=FAMILIES["navier_stokes2d"].symmetries)

    return make


def eddies() -> torch.Tensor:
    """A few waves, (1, 1, X, Y)."""
    x, y = NODES[:, None], NODES
    return (torch.sin(x + 2 * y) + torch.cos(2 * x - y + 0.3) + torch.sin(x) * torch.cos(y))[None, None]


@pytest.mark.parametrize("between", [linear, cubic])
def test_nodes_are_hit_exactly_and_the_box_is_periodic(between):
    w = torch.randn(2, 1, 8, 6, dtype=torch.float64)
    moves = torch.tensor([3.0, -13.0], dtype=torch.float64).reshape(1, 2, 1, 1).expand(2, 2, 8, 6)
    torch.testing.assert_close(between(w, moves), w.roll((-3, 13), (2, 3)))


def test_a_cubic_is_given_back_between_nodes():
    """Along X, away from the jump at the end of the box."""
    x = torch.arange(16, dtype=torch.float64)
    moves = torch.full((1, 2, 16, 4), 0.3, dtype=torch.float64)
    w = (x**3 - 7 * x)[None, None, :, None].expand(1, 1, 16, 4)
    expected = ((x + 0.3) ** 3 - 7 * (x + 0.3))[2:13, None].expand(-1, 4)
    torch.testing.assert_close(cubic(w, moves)[0, 0, 2:13], expected)


def test_a_shear_flow_leaves_its_vorticity(flow):
    w = torch.sin(3 * NODES)[None, None, :, None].expand(1, 1, POINTS, POINTS)
    torch.testing.assert_close(Flow(flow(5.0)).double()(w), w, atol=1e-4, rtol=0)


def test_little_is_left_and_less_in_a_shorter_frame(flow):
    w, dt = eddies(), 0.4
    left = []
    for interval in (dt, dt / 2):
        truth = solve(
            w.numpy(), coordinates={"T": np.array([0, interval])}, parameters={"Nu": np.array([0.0])}
        )
        moved = Flow(flow(interval)).double()(w).numpy()
        left.append(np.linalg.norm(moved - truth[:, 1]) / np.linalg.norm(truth[:, 1] - w.numpy()))
    assert left[0] < 0.05
    assert left[1] < left[0] / 2


def test_images_of_a_state_give_images_of_the_next(flow):
    problem = flow(0.5)
    w = torch.randn(1, 1, POINTS, POINTS, dtype=torch.float64)
    step = Flow(problem).double()
    for element in group(problem):
        torch.testing.assert_close(step(apply(element, w, problem)), apply(element, step(w), problem))


@pytest.mark.parametrize("name", ["unet", "fno"])
def test_networks_go_on_from_the_moved_vorticity(flow, name):
    """Whose mean is kept, which that of the interpolation alone is not."""
    w = eddies().float()
    for advect in (True, False):
        model = ARCHITECTURES[name].model_validate({"advect": advect, "width": 16}).build(flow(0.4))
        with torch.no_grad():
            for p in model.network.head.parameters():
                p.zero_()  # a network that adds nothing
        after = model(w + 1, torch.zeros(1, 0))
        start = Flow(flow(0.4))(w + 1) if advect else w + 1
        torch.testing.assert_close(after, start - start.mean() + (w + 1).mean())
