"""Steps of several frames: what a family declares of one, it declares of all of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ups_core.api.architectures import ARCHITECTURES
from ups_core.models.flow import Flow
from ups_core.models.heat import Heat
from ups_core.models.problem import Diffusion, Problem
from ups_core.models.rollout import frames

LEADS = (1, 2, 4)
NONE = torch.zeros(3, 0).double()


def state(problem: Problem) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (3, len(problem.fields), *problem.shape)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def lead(k: float) -> torch.Tensor:
    return torch.full((3,), k, dtype=torch.float64)


@pytest.mark.parametrize("place", [None, 0], ids=["one coefficient", "one for each sample"])
def test_diffusion_for_several_frames_is_that_of_each_in_turn(line, place):
    problem = line(leads=LEADS, varying=() if place is None else ("nu",))
    problem = replace(problem, diffusion=Diffusion(0.002, place, 0.5 * (place is not None)))
    heat, u = Heat(problem).double(), state(problem)
    p = NONE if place is None else torch.tensor([[-1.0], [0.0], [1.0]]).double()
    in_turn = u
    for _ in range(4):
        in_turn = heat(in_turn, p, lead(1))
    torch.testing.assert_close(heat(u, p, lead(4)), in_turn, atol=1e-6, rtol=0)
    single = Heat(replace(problem, leads=(1,))).double()
    torch.testing.assert_close(heat(u, p, lead(1)), single(u, p), atol=1e-6, rtol=0)


def test_a_flow_of_two_frames_is_one_frame_of_twice_the_flow(torus):
    n = 32
    shape = {"fields": ("w",), "inputs": ("w",), "conserved": (True,), "varying": (), "vorticity": "w"}
    plane = torus(**shape, shape=(n, n), spacing=(1 / n, 1 / n), turn=0.2, leads=LEADS)
    x = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    u = (torch.cos(x)[:, None] + torch.cos(x) + 0.3 * torch.sin(2 * x)).expand(3, 1, n, n)
    faster = Flow(replace(plane, turn=0.4)).double()
    torch.testing.assert_close(Flow(plane).double()(u, lead(2)), faster(u), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["conv", "gconv", "unet", "fno", "pdet"])
def test_the_network_is_told_how_long_the_step_is(line, name):
    torch.manual_seed(0)
    problem = line(leads=LEADS, diffusion=Diffusion(0.001))
    model, u = ARCHITECTURES[name]().build(problem).double(), state(problem)
    one, four = model(u, NONE), model(u, NONE, lead(4))
    assert (one - four).abs().max() > 1e-6
    torch.testing.assert_close(model(u, NONE, lead(1)), one, atol=0, rtol=0)
    mixed = model(u, NONE, torch.tensor([1.0, 4.0, 2.0]).double())  # each sample its own
    torch.testing.assert_close(mixed[:2], torch.stack([one[0], four[1]]))
    for after in (one, four):  # the mean is kept however far
        torch.testing.assert_close(after.mean(-1), u.mean(-1), atol=1e-12, rtol=0)


@pytest.mark.parametrize("k", LEADS)
def test_a_boosted_state_moves_as_many_frames_as_the_step_has(line, k):
    torch.manual_seed(0)
    problem = line(leads=LEADS, boost=0.7)
    model, u = ARCHITECTURES["gconv"]().build(problem).double(), state(line())
    u = u - u.mean(-1, keepdim=True) + 0.02  # away from the edge between two cells
    expected = torch.roll(model(u, NONE, lead(k)), -3 * k, -1) - 3 * 0.7
    torch.testing.assert_close(model(u - 3 * 0.7, NONE, lead(k)), expected)


def test_a_rollout_takes_steps_of_one_length(line):
    torch.manual_seed(0)
    problem = line(leads=LEADS)
    model, u = ARCHITECTURES["conv"]().build(problem).double(), state(problem)
    found = frames(model, u, NONE, every=2)
    with torch.no_grad():
        for _ in range(3):
            u = model(u, NONE, lead(2))
            torch.testing.assert_close(next(found), u)
