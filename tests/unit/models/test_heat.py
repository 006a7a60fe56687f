"""Diffusion for one frame, against waves whose decay is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ups_core.api.architectures import ARCHITECTURES
from ups_core.data.families import FAMILIES
from ups_core.models.heat import Heat
from ups_core.models.problem import Diffusion
from ups_core.train.normaliser import Normaliser


def test_each_wave_decays_by_its_wavenumber(torus):
    """exp(-D |k|² Δt) with k = 2π (3 / 1, 2 / 2) on a box of 1 by 2."""
    shape = (12, 10)
    problem = torus(shape=shape, spacing=(1 / 12, 2 / 10), diffusion=Diffusion(0.01))
    x, y = (torch.arange(n, dtype=torch.float64) / n for n in shape)  # in periods
    wave = torch.cos(2 * torch.pi * (3 * x[:, None] + 2 * y) + 0.7).expand(2, 2, *shape)
    decay = math.exp(-0.01 * (2 * math.pi) ** 2 * (3**2 + (2 / 2) ** 2))
    after = Heat(problem).double()(5 + wave, torch.zeros(2, 0).double())
    torch.testing.assert_close(after, 5 + decay * wave, atol=1e-5, rtol=0)


def test_every_sample_has_its_own_coefficient(line):
    """Parameters arrive as the normaliser makes them: logarithms, less their mean, in their deviations."""
    nu = np.array([[0.001], [0.01], [0.5]])
    problem = line(parameters=("nu",), varying=("nu",), dt=0.2)
    family = replace(FAMILIES["burgers1d"], diffusion=("nu", 3.0))
    problem = replace(problem, diffusion=Diffusion.read(family, problem, nu))
    statistics = {"fields": {"u": {"mean": 0.0, "std": 1.0}}, "inputs": {}}
    p = Normaliser.of(statistics, problem, nu).vary(problem, nu)  # (N, P)
    strength = torch.tensor([0.0006, 0.006, 0.3])
    torch.testing.assert_close(problem.diffusion.of(p), strength)
    wave = torch.cos(2 * torch.pi * torch.arange(16) / 16).expand(3, 1, 16)
    left = torch.exp(-strength * (2 * torch.pi) ** 2).reshape(3, 1, 1)
    torch.testing.assert_close(Heat(problem)(wave, p), wave * left, atol=1e-5, rtol=0)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_coefficient_that_is_not_positive_is_no_diffusion(line, value):
    family = replace(FAMILIES["burgers1d"], diffusion=("nu", 1.0))
    assert Diffusion.read(family, line(), np.array([[value], [1.0]])) is None


@pytest.mark.parametrize("name", ["conv", "gconv", "unet", "fno"])
def test_networks_go_on_from_the_diffused_state(line, name):
    problem = line(diffusion=Diffusion(0.02))
    u = torch.randn(2, 1, 16)
    for diffuse in (True, False):
        model = ARCHITECTURES[name].model_validate({"diffuse": diffuse, "width": 16}).build(problem)
        with torch.no_grad():
            for p in model.network.head.parameters():
                p.zero_()  # a network that adds nothing
        start = Heat(problem)(u, torch.zeros(2, 0)) if diffuse else u
        torch.testing.assert_close(model(u, torch.zeros(2, 0)), start)


def test_the_coefficient_travels_with_the_model(line):
    problem = line(diffusion=Diffusion(0.02, 0, 1.5))
    assert type(problem).from_dict(problem.to_dict()) == problem
