"""A velocity that carries itself, against Hopf's and Lax's formula on a grid some hundred times finer."""

from __future__ import annotations

import math

import pytest
import torch

from ups_core.api.architectures import ARCHITECTURES
from ups_core.models.characteristics import Characteristics
from ups_core.models.symmetry import apply, group

FINE = 8192


def averages(potential, points: int) -> torch.Tensor:
    """Averages of the cells of a periodic unit interval, (1, 1, X), of the derivative of ``potential``."""
    faces = potential(torch.arange(points + 1, dtype=torch.float64) / points)
    return (faces.diff() * points)[None, None]


def literal(potential, dt: float):
    """min_y φ(y) + (x - y)² / (2 Δt), over many y."""
    y = torch.arange(-FINE, 2 * FINE, dtype=torch.float64) / FINE
    return lambda x: (potential(y) + (x[:, None] - y) ** 2 / (2 * dt)).amin(1)


def wave(x: torch.Tensor) -> torch.Tensor:
    """The potential of u = sin(2πx) + cos(4πx) / 2, which breaks after 0.12."""
    return -torch.cos(2 * math.pi * x) / (2 * math.pi) + torch.sin(4 * math.pi * x) / (8 * math.pi)


def carried(line, u: torch.Tensor, dt: float) -> torch.Tensor:
    points = u.shape[-1]
    return Characteristics(line(shape=(points,), boost=1 / points / dt)).double()(u)


@pytest.mark.parametrize(("dt", "expected"), [(0.04, 4e-4), (0.3, 4e-3)])
def test_the_formula_is_solved_before_and_after_waves_break(line, dt, expected):
    errors = {}
    for points in (32, 64):
        truth = averages(literal(wave, dt), points)
        errors[points] = float((carried(line, averages(wave, points), dt) - truth).square().mean().sqrt())
    assert errors[64] < expected
    assert errors[32] > 2.5 * errors[64]


def test_a_front_moves_with_the_mean_of_both_sides(line):
    """By less than a cell: only the average of the cell that it is in can tell."""
    u = torch.where(torch.arange(64) < 20, 1.0, -0.5).double()[None, None]
    after = carried(line, u, 0.025)  # 0.4 cells a frame
    assert after[0, 0, 10:20].tolist() == pytest.approx([1.0] * 10)
    assert float(after[0, 0, 20]) == pytest.approx(-0.5 + 1.5 * 0.4, abs=0.02)
    assert after[0, 0, 21:30].tolist() == pytest.approx([-0.5] * 9, abs=0.02)


def test_sums_are_kept_and_images_give_images(line):
    problem = line(boost=0.3)
    u = torch.randn(4, 1, 16, dtype=torch.float64)
    model = Characteristics(problem).double()
    torch.testing.assert_close(model(u).sum(-1), u.sum(-1))
    torch.testing.assert_close(model(u.roll(5, -1)), model(u).roll(5, -1))
    for element in group(problem):
        image = apply(element, u, problem, problem.fields)
        torch.testing.assert_close(model(image), apply(element, model(u), problem, problem.fields))


@pytest.mark.parametrize("name", ["conv", "gconv", "unet", "fno"])
def test_networks_go_on_from_what_was_carried(line, name):
    problem = line(boost=0.3)
    u = torch.randn(2, 1, 16)
    u = u - u.mean(-1, keepdim=True)
    for followed in (True, False):
        model = ARCHITECTURES[name].model_validate({"characteristics": followed, "width": 16}).build(problem)
        with torch.no_grad():
            for p in model.network.head.parameters():
                p.zero_()  # a network that adds nothing
        torch.testing.assert_close(
            model(u, torch.zeros(2, 0)), Characteristics(problem)(u) if followed else u
        )


def test_only_a_velocity_that_carries_itself_is_followed(line):
    model = ARCHITECTURES["conv"].model_validate({"characteristics": True}).build(line(boost=None))
    assert model.characteristics is None
