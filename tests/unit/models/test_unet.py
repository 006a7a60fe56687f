from __future__ import annotations

import pytest
import torch

from ups_core.api.architectures import UNetConfig

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


@pytest.mark.parametrize("points", [7, 8, 13])
def test_line_of_any_length(line, points):
    problem = line(steady=True, shape=(points,), boundary=("neumann",), fields=("u", "v"), inputs=("a",))
    model = CONFIG.build(problem)
    assert model(torch.randn(2, 1, points), torch.zeros(2, 0)).shape == (2, 2, points)


def test_every_point_feels_every_other(square):
    model = UNetConfig.model_validate({"width": 16}).build(square())
    a = torch.randn(1, 1, 8, 8, requires_grad=True)
    model(a, torch.zeros(1, 0))[0, 0, 1, 1].backward()
    assert a.grad is not None
    assert a.grad[0, 0, 7, 7] != 0
