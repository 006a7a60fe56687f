"""The Vicsek model: its right side as the equation says, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ups_core.data.families import family
from ups_core.errors import InvalidSpec
from ups_core.simulate.vicsek import advance, simulate, solve, turning

PARAMS = {"speed": 0.2, "radius": 0.2, "coupling": 2.0, "noise": 0.0, "particles": 30, "frames": 5}


def test_turning_is_the_sum_over_neighbours_on_the_torus():
    rng = np.random.default_rng(0)
    x, heading, radius, coupling = rng.random((40, 2)), rng.uniform(-3, 3, 40), 0.2, 1.5
    expected = []
    for i in range(40):
        above = below = 0.0
        for j in range(40):
            apart = min(np.hypot(*(x[j] + [a, b] - x[i])) for a in (-1, 0, 1) for b in (-1, 0, 1))
            weight = (1 - apart**2 / radius**2) ** 2 if apart < radius else 0.0
            above += weight * np.sin(heading[j] - heading[i])
            below += weight
        expected.append(coupling * above / below)
    np.testing.assert_allclose(turning(x, heading, radius, coupling), expected, atol=1e-12)
    shifted = turning(x + np.array([3.0, -0.7]), heading, radius, coupling)
    np.testing.assert_allclose(shifted, expected, atol=1e-9)


def test_two_particles_align_as_the_exact_solution():
    """Side by side and slow, their angle apart d obeys d' = -2 g w sin(d) / (1 + w)."""
    x, heading, times = np.array([[0.5, 0.5], [0.5, 0.55]]), np.array([0.5, -0.5]), np.linspace(0, 2, 9)
    weight = (1 - 0.05**2 / 0.3**2) ** 2
    _, found = advance(x, heading, times, speed=1e-9, radius=0.3, coupling=2.0)
    rate = 2 * 2.0 * weight / (1 + weight)
    exact = 2 * np.arctan(np.tan(0.5) * np.exp(-rate * times))
    np.testing.assert_allclose(found[:, 0] - found[:, 1], exact, rtol=1e-5)


def test_a_lone_particle_diffuses_by_its_noise():
    rng, times = np.random.default_rng(0), np.linspace(0, 1, 21)
    _, heading = advance(
        np.random.default_rng(1).random((2000, 2)), np.zeros(2000), times, 0.1, 1e-4, 0.0, 0.3, rng
    )
    assert heading[-1].var() == pytest.approx(2 * 0.3, rel=0.1)


def test_the_file_and_the_solver_agree(tmp_path: Path):
    simulate(tmp_path / "a.h5", indices=range(2), seed=0, params=PARAMS, progress=lambda *_: None)
    simulate(tmp_path / "b.h5", indices=range(1, 2), seed=0, params=PARAMS, progress=lambda *_: None)
    with h5py.File(tmp_path / "a.h5") as whole, h5py.File(tmp_path / "b.h5") as part:
        x, v, t = whole["position"][:], whole["velocity"][:], whole["t"][:]
        np.testing.assert_array_equal(part["position"][0], x[1])
    assert x.shape == v.shape == (2, 5, 30, 2)
    assert ((x >= 0) & (x <= 1)).all()
    np.testing.assert_allclose(np.linalg.norm(v, axis=-1), 0.2, rtol=1e-6)
    truth = np.concatenate([x, v], axis=-1).swapaxes(2, 3)  # (N, T, C, M)
    constants = {name: np.full(2, PARAMS[name]) for name in family("vicsek").parameters}
    found = solve(truth[:, 0], coordinates={"T": t}, parameters=constants)
    apart = found - truth
    apart[:, :, :2] -= np.round(apart[:, :, :2])
    assert np.abs(apart).max() < 1e-5


def test_what_cannot_be_simulated_is_refused(tmp_path: Path):
    with pytest.raises(InvalidSpec, match=r"radius cannot be 0\.6"):
        simulate(
            tmp_path / "a.h5", indices=range(1), seed=0, params={**PARAMS, "radius": 0.6},
            progress=lambda *_: None,
        )  # fmt: skip
