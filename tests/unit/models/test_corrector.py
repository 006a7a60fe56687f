"""Samples of residuals: their shapes, what they keep, and their distribution where it is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ups_core.api.architectures import ConvConfig, UNetConfig
from ups_core.models.corrector import START, Corrector
from ups_core.models.problem import Problem
from ups_core.models.rollout import ensemble
from ups_core.train.residuals import mixed


def corrector(problem: Problem, *, galilean: bool = False) -> Corrector:
    if problem.steady:
        return Corrector.of(UNetConfig(width=16, levels=2), problem)
    return Corrector.of(ConvConfig(width=4, dilations=[1], galilean=galilean), problem)


def draw(made: Corrector, problem: Problem, samples: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(samples, len(problem.inputs), *problem.shape, generator=generator)
    prediction = torch.randn(samples, len(problem.fields), *problem.shape, generator=generator)
    return made.sample(made.noise(samples, generator), given, prediction, torch.zeros(samples, 0), 3)


def test_conserved_fields_get_residuals_without_a_mean(torus):
    problem = torus(conserved=(True, False))
    drawn = draw(corrector(problem), problem)  # (B, 2, X, Y)
    assert drawn.shape == (3, 2, 12, 10)
    assert drawn[:, 0].mean((1, 2)).abs().max() < 1e-6
    assert drawn[:, 1].mean((1, 2)).abs().max() > 1e-3


def test_walls_stay_at_zero(square):
    problem = square()
    drawn = draw(corrector(problem), problem)
    assert drawn.shape == (3, 1, 8, 8)
    assert not drawn[:, :, 0].any()
    assert not drawn[:, :, :, 0].any()
    assert drawn[:, :, 1:, 1:].abs().min() > 0


def test_a_moving_observer_sees_the_same_residual(line):
    """Given and prediction of a state that moves by two cells a frame: the residual moves along."""
    problem = line(boost=0.5)
    made, generator = corrector(problem, galilean=True), torch.Generator().manual_seed(0)
    given, prediction, z = (torch.randn(2, 1, 16, generator=generator) for _ in range(3))
    given = given - given.mean(-1, keepdim=True)
    angle, p = torch.tensor([0.3, 1.2]), torch.zeros(2, 0)
    at_rest = made(z, angle, given, prediction, p)
    moving = made(z.roll(2, -1), angle, given + 1, prediction.roll(2, -1) + 1, p)
    torch.testing.assert_close(moving, at_rest.roll(2, -1), rtol=1e-4, atol=1e-5)


class Ideal(Corrector):
    """The velocity of a Gaussian residual N(mean, std²): the expectation of cos(t) n - sin(t) r given z."""

    def __init__(self, problem: Problem, mean: float, std: float) -> None:
        nn.Module.__init__(self)
        self.wall, self.kept, self.fields, self.shape = problem.wall, [], 1, problem.shape
        self.mean, self.std = mean, std

    def forward(self, z, angle, given, prediction, parameters):
        c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
        variance = (c * self.std) ** 2 + s**2
        off = z - c * self.mean
        r = self.mean + c * self.std**2 / variance * off
        n = s / variance * off
        return c * n - s * r


@pytest.mark.parametrize(("mean", "std", "steps", "tolerance"), [(0, 1, 1, 0.01), (0.5, 0.6, 24, 0.03)])
def test_samples_of_a_gaussian_have_its_mean_and_variance(line, mean, std, steps, tolerance):
    made = Ideal(line(conserved=(False,)), mean, std)
    noise = made.noise(8000, torch.Generator().manual_seed(0))  # (B, 1, 16)
    nothing = torch.zeros(8000, 1, 16)
    drawn = made.sample(noise, nothing, nothing, torch.zeros(8000, 0), steps)
    assert float(drawn.mean()) == pytest.approx(mean, abs=tolerance)
    assert float(drawn.std()) == pytest.approx(std, abs=tolerance)


def test_a_mixture_and_its_velocity():
    r, n = torch.randn(2, 2, 1, 8, dtype=torch.float64)  # (B, 1, X) both

    def at(t: float) -> tuple[Tensor, Tensor]:
        return mixed(r, n, torch.full((2,), t, dtype=torch.float64))

    for t in (0.0, 0.7, START):
        torch.testing.assert_close(at(t)[1], (at(t + 1e-6)[0] - at(t)[0]) / 1e-6, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(at(math.pi / 2)[0], n)


@pytest.mark.parametrize("carried", [True, False])
def test_an_ensemble_keeps_the_mean_and_spreads(line, carried):
    problem = line()
    operator = ConvConfig(width=4, dilations=[1]).build(problem)
    u = torch.randn(3, 1, 16, generator=torch.Generator().manual_seed(1))

    def run(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        scale = torch.full((1, 1), 0.1)
        p = torch.zeros(3, 0)
        return ensemble(
            operator, made, u, p, 5, 10, scale=scale, evaluations=2, carried=carried, generator=generator
        )

    made = corrector(problem)
    drawn = run(0)
    assert drawn.shape == (3, 10, 5, 1, 16)
    torch.testing.assert_close(
        drawn.mean(-1), u.mean(-1)[:, None, None].expand(3, 10, 5, 1), atol=1e-5, rtol=0
    )
    assert torch.equal(drawn, run(0))
    assert not torch.equal(drawn, run(1))
    spread = drawn.std(1).mean((0, 2, 3))  # (T,)
    assert (float(spread[-1]) > 1.3 * float(spread[0])) is carried
