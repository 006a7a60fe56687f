"""What a cached dataset and its family say of a problem, in the units that networks are given."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ups_core.data.families import family
from ups_core.models.problem import Problem


def test_of_a_line(line_cache: Path) -> None:
    problem = Problem.read(line_cache, family("burgers1d"))
    std = json.loads((line_cache / "normaliser.json").read_text())["fields"]["u"]["std"]
    assert problem.diffusion is not None
    assert problem.diffusion.scale == pytest.approx(0.01 / math.pi * 0.02)  # D Δt, D = Nu/π
    assert problem.diffusion.place is None
    assert problem.boost == pytest.approx((1 / 16) / 0.02 / std)  # a cell a frame
    assert (problem.bounded, problem.conserved, problem.linear, problem.turn) == (
        (True,),
        (True,),
        False,
        None,
    )


def test_of_a_plane_with_a_vorticity(line_cache: Path) -> None:
    described = json.loads((line_cache / "dataset.json").read_text())
    described |= {"family": "navier_stokes2d", "space": "XY", "boundary": {"X": "periodic", "Y": "periodic"}}
    described["fields"] = [{"name": "w"}]
    (line_cache / "dataset.json").write_text(json.dumps(described))
    np.save(line_cache / "train" / "y.npy", np.load(line_cache / "train" / "x.npy"))
    np.save(line_cache / "train" / "parameters.npy", np.geomspace(0.001, 0.1, 12)[:, None])
    (line_cache / "normaliser.json").write_text(json.dumps({"fields": {"w": {"mean": 0.0, "std": 3.0}}}))
    problem = Problem.read(line_cache, family("navier_stokes2d"))
    assert problem.turn == pytest.approx(3.0 * 0.02)
    assert problem.diffusion is not None
    assert (problem.diffusion.scale, problem.diffusion.place) == (pytest.approx(0.01 * 0.02), 0)
    assert problem.bounded == (True,)


@pytest.mark.parametrize(
    ("said", "drift", "kept"),
    [
        ({}, 3e-4, True),
        ({}, 3e-3, False),
        ({"conserved": []}, 3e-4, False),
        ({"conserved": ["u"]}, 3e-3, True),
    ],
)
def test_where_nobody_says_what_is_conserved_the_data_do(
    line_cache: Path, said: dict[str, Any], drift: float, kept: bool
) -> None:
    layout = {"state": "u", "axes": "NTX", "coordinates": {"t": "t", "x": "x"}}
    own = {"name": "mine", "space": "X", "fields": [{"name": "u"}], "layout": layout} | said
    described = json.loads((line_cache / "dataset.json").read_text())
    statistics = json.loads((line_cache / "normaliser.json").read_text())
    statistics["fields"]["u"]["drift"] = drift
    (line_cache / "normaliser.json").write_text(json.dumps(statistics))

    def read(boundary: str) -> Problem:
        given = {"family": own | {"boundary": {"x": boundary}}, "boundary": {"X": boundary}}
        (line_cache / "dataset.json").write_text(json.dumps(described | given))
        return Problem.read(line_cache, family(given["family"]))

    assert read("periodic").conserved == (kept,)
    assert read("neumann").conserved == (bool(said.get("conserved")),)  # walls may let through what they like


def test_of_a_linear_equation(line_cache: Path) -> None:
    described = json.loads((line_cache / "dataset.json").read_text())
    (line_cache / "dataset.json").write_text(json.dumps(described | {"family": "advection1d"}))
    problem = Problem.read(line_cache, family("advection1d"))
    assert problem.linear
    assert problem.diffusion is None
    (line_cache / "dataset.json").write_text(
        json.dumps(described | {"family": "advection1d", "latent": {"wall": False}})
    )
    assert not Problem.read(line_cache, family("advection1d")).linear  # a coarse grid mixes modes
