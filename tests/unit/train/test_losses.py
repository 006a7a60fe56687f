from __future__ import annotations

import math

import pytest
import torch

from ups_core.train.losses import relative_h1, relative_l2
from ups_core.train.tasks import mean_free_noise


def test_relative_l2_by_definition():
    generator = torch.Generator().manual_seed(0)
    p, t = (torch.randn(3, 2, 5, generator=generator) for _ in range(2))
    expected = [float((p[i] - t[i]).norm() / t[i].norm()) for i in range(3)]
    assert relative_l2(p, t).tolist() == pytest.approx(expected, rel=1e-6)


def test_h1_of_a_wave_is_the_analytic_one():
    x = torch.arange(512, dtype=torch.float64) / 512
    u = torch.sin(2 * math.pi * x)[None, None]
    error = 0.1 * torch.sin(6 * math.pi * x)[None, None]
    expected = 0.1 * math.sqrt((1 + (6 * math.pi) ** 2) / (1 + (2 * math.pi) ** 2))
    assert float(relative_h1(u + error, u, [1 / 512], ["periodic"])) == pytest.approx(expected, rel=1e-3)


def test_differences_do_not_cross_walls():
    u = torch.tensor([[[[0.0, 0.0], [1.0, 1.0]]]])
    truth = torch.ones(1, 1, 2, 2)
    across, walled = (
        float(relative_h1(truth + u, truth, [1.0, 1.0], [kind, kind])) for kind in ("periodic", "dirichlet")
    )
    assert across == pytest.approx(math.sqrt(0.5 + 1.0))
    assert walled == pytest.approx(math.sqrt(0.5 + 1.0))
    assert float(relative_h1(truth + u, truth, [2.0, 2.0], ["dirichlet"] * 2)) == pytest.approx(
        math.sqrt(0.5 + 0.25)
    )


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_and_exact_frames_have_finite_gradients(value):
    u = torch.full((2, 1, 4), value, requires_grad=True)
    (relative_l2(u, torch.full((2, 1, 4), value)).sum()).backward()
    assert u.grad is not None
    assert torch.isfinite(u.grad).all()


def test_noise_is_mean_free_and_bounded():
    noise = mean_free_noise(torch.zeros(500, 2, 64), 0.01, torch.Generator().manual_seed(0))
    assert noise.mean(2).abs().max() < 1e-7
    spread = noise.std(2)
    assert 0.005 < spread.max() < 0.014
    assert spread.min() < 3e-5
