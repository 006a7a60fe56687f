"""The spectral layer against torch's transforms, and the network on grids of all kinds."""

from __future__ import annotations

import itertools

import pytest
import torch

from ups_core.api.architectures import FNOConfig
from ups_core.models.fno import Spectral

CONFIG = FNOConfig.model_validate({"width": 6, "modes": 3, "layers": 2})


@pytest.mark.parametrize("space", [(16,), (17,), (6,), (12, 10), (5, 9), (8, 6, 8)])
def test_low_modes_are_mixed_and_no_others(space):
    torch.manual_seed(0)
    layer, width, modes = Spectral(3, 4, len(space)).double(), 3, 4
    h = torch.randn(2, *space, width, dtype=torch.float64)  # (B, X[, Y], W)
    axes = tuple(range(1, h.ndim - 1))
    before = torch.fft.rfftn(h, dim=axes, norm="forward")
    after = torch.zeros_like(before)
    signed = [range(1 - modes, modes)] * (len(space) - 1) + [range(modes)]
    for place, k in enumerate(itertools.product(*signed)):
        if all(abs(one) < (n + 1) // 2 for one, n in zip(k, space, strict=True)):
            matrix = torch.complex(*layer.stack[place].split(width))  # (W, W)
            after[:, *k] = before[:, *k] @ matrix
    expected = torch.fft.irfftn(after, s=space, dim=axes, norm="forward")
    torch.testing.assert_close(layer(h), expected)


def test_the_same_weights_serve_a_finer_grid(line):
    torch.manual_seed(0)
    layer = Spectral(2, 4, 1).double()
    x = torch.arange(32, dtype=torch.float64) / 32
    h = torch.stack([torch.sin(4 * torch.pi * x), torch.cos(2 * torch.pi * x)]).T[None]  # (1, X, W)
    torch.testing.assert_close(layer(h)[:, ::2], layer(h[:, ::2]))


def test_shifts_commute_where_nothing_marks_a_place(line, torus):
    for problem in (line(), torus()):
        model = CONFIG.build(problem).double()
        u, none = torch.randn(2, len(problem.fields), *problem.shape).double(), torch.zeros(2, 0).double()
        assert model.shift_equivariant
        torch.testing.assert_close(model(u.roll(3, 2), none), model(u, none).roll(3, 2))


def test_between_walls_places_differ(square):
    problem = square()
    model = CONFIG.build(problem)
    assert not model.shift_equivariant
    assert model(torch.randn(2, 1, 8, 8), torch.zeros(2, 0)).shape == (2, 1, 8, 8)
