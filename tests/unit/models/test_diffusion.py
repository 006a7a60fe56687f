"""Diffusion alone is solved exactly, at the parameter's own value, and only where the family has it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ups_core.api.architectures import ARCHITECTURES
from ups_core.data.families import FAMILIES
from ups_core.models.diffusion import Diffusion
from ups_core.models.problem import Diffusivity, Problem
from ups_core.train.normaliser import Normaliser

SPREAD = 2e-3  # ν dt
KNOWN = Diffusivity(math.log(SPREAD), 1.0, 0)  # at the mean of the parameter


@pytest.mark.parametrize("points", [16, 15])
def test_a_wave_decays_by_its_wavenumber(line, points):
    problem = line(shape=(points,), spacing=(2 / points,), diffusivity=KNOWN)  # a box of length 2
    x = torch.arange(points) * 2 / points
    wave = torch.cos(3 * torch.pi * x + 0.7)[None, None]
    change = Diffusion(problem)(wave + 5.0, torch.zeros(1, 1))
    expected = wave * (math.exp(-SPREAD * (3 * math.pi) ** 2) - 1)
    torch.testing.assert_close(change, expected, atol=1e-5, rtol=0)


def test_a_plane_decays_by_both_wavenumbers(torus):
    problem = torus(diffusivity=KNOWN)  # 12 x 10 points, 0.1 apart: a box of 1.2 by 1
    x, y = torch.arange(12) * 0.1, torch.arange(10) * 0.1
    k, m = 2 * math.pi * 2 / 1.2, 2 * math.pi * 3
    wave = (torch.cos(k * x[:, None]) * torch.sin(m * y)).expand(1, 2, 12, 10)
    change = Diffusion(problem)(wave, torch.zeros(1, 1))
    torch.testing.assert_close(change, wave * math.expm1(-SPREAD * (k**2 + m**2)), atol=1e-5, rtol=0)


def test_the_parameter_is_read_in_its_own_unit():
    """Whatever the normaliser makes of it: ν = Nu / π here."""
    table = np.array([[0.001, 7.0], [0.04, 7.0], [1.0, 7.0]])
    dataset = {
        "family": "burgers1d",
        "kind": "grid",
        "steady": False,
        "space": "X",
        "fields": [{"name": "u"}],
        "inputs": [],
        "parameters": ["Nu", "other"],
        "boundary": {"X": "periodic"},
        "dt": 0.05,
    }
    problem = Problem.of(dataset, FAMILIES["burgers1d"], {"X": np.arange(8) / 8}, table)
    scaled = Normaliser.of({"fields": {"u": {"mean": 0.0, "std": 2.0}}, "inputs": {}}, problem, table)
    asked = np.array([[0.002, 7.0], [0.5, 7.0]])
    assert problem.diffusivity is not None
    found = problem.diffusivity.of(scaled.vary(problem, asked))
    torch.testing.assert_close(found, torch.tensor([0.002, 0.5]) / math.pi * 0.05)
    assert Problem.from_dict(problem.to_dict()) == problem
    walls = {**dataset, "boundary": {"X": "dirichlet"}}
    for known, values in (
        (walls, table),
        (dataset, table[:1]),
        (dataset, table - 0.001),
        ({**dataset, "latent": True}, table),
    ):
        assert Problem.of(known, FAMILIES["burgers1d"], {"X": np.arange(8) / 8}, values).diffusivity is None


@pytest.mark.parametrize("name", ["conv", "gconv", "unet", "fno"])
def test_an_idle_network_leaves_diffusion_alone(line, name):
    problem = line(diffusivity=KNOWN, varying=("nu",))
    u, p = torch.randn(2, 1, 16), torch.zeros(2, 1)
    for diffuse, known, change in (
        (True, problem, Diffusion(problem)(u, p)),
        (False, problem, torch.zeros_like(u)),
        (True, replace(problem, diffusivity=None), torch.zeros_like(u)),
    ):
        model = ARCHITECTURES[name].model_validate({"diffuse": diffuse, "galilean": False}).build(known)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            torch.testing.assert_close(model(u, p), u + change)
