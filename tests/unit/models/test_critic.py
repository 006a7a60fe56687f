"""A critic: one number a candidate, pooled as the error it stands for."""

from __future__ import annotations

import pytest
import torch

from ups_core.api.architectures import ConvConfig, UNetConfig
from ups_core.models.critic import Critic, log_error


def draw(samples: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(samples, 1, 16, generator=generator) for _ in range(3)]


def test_the_error_it_learns_is_a_root_mean_square():
    drawn, truth, _ = draw()
    expected = [float((d - t).square().mean().sqrt().log()) for d, t in zip(drawn, truth, strict=True)]
    assert log_error(drawn, truth).tolist() == pytest.approx(expected, rel=1e-5)
    assert log_error(truth, truth).isfinite().all()


def test_it_takes_the_mean_of_squares_over_space(line):
    critic = Critic.of(ConvConfig(width=4, dilations=[1]), line())
    residual, given, prediction = draw()
    local = critic.network(torch.cat([residual, given, prediction], 1), torch.zeros(3, 0))  # (B, 1, X)
    expected = local.double().exp().mean((1, 2)).sqrt().log()
    torch.testing.assert_close(
        critic(residual, given, prediction, torch.zeros(3, 0)).double(), expected, rtol=1e-5, atol=1e-6
    )


def test_a_moving_observer_expects_the_same_error(line):
    critic = Critic.of(ConvConfig(width=4, dilations=[1]), line(boost=0.5))
    residual, given, prediction = draw()
    given = given - given.mean(-1, keepdim=True)
    at_rest = critic(residual, given, prediction, torch.zeros(3, 0))
    moving = critic(residual.roll(2, -1), given + 1, prediction.roll(2, -1) + 1, torch.zeros(3, 0))
    torch.testing.assert_close(moving, at_rest, rtol=1e-4, atol=1e-5)


def test_walls_and_two_dimensions(square):
    critic = Critic.of(UNetConfig(width=16, levels=2), square())
    assert critic(*[torch.zeros(2, 1, 8, 8)] * 3, torch.zeros(2, 0)).shape == (2,)
