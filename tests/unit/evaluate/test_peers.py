"""The mean predictor on another grid; particles that go straight on, and how far they may go."""

from __future__ import annotations

import numpy as np
import pytest

from ups_core.data.families import family
from ups_core.evaluate.beyond import largest_energy
from ups_core.evaluate.peers import one_step_persistence, persistence, resample
from ups_core.evaluate.split import Split, Window


def test_resampling_is_exact_for_what_is_linear_between_the_nodes() -> None:
    x, y = np.arange(4) / 4, np.arange(6) / 6
    finer_x, finer_y = np.arange(7) / 8, np.arange(11) / 12
    plane = lambda x, y: (2 + 3 * x[:, None] - y[None, :])[None]  # noqa: E731
    found = resample(
        plane(x, y), {"X": x, "Y": y}, {"X": finer_x, "Y": finer_y}, {"X": "dirichlet", "Y": "dirichlet"}
    )
    assert found == pytest.approx(plane(finer_x, finer_y))


def test_outside_the_grid_walls_hold_the_last_value_and_periods_wrap() -> None:
    x, finer = np.arange(4) / 4, np.arange(8) / 8
    values = np.array([[0.0, 1.0, 2.0, 3.0]])
    wall = resample(values, {"X": x}, {"X": finer}, {"X": "dirichlet"})
    period = resample(values, {"X": x}, {"X": finer}, {"X": "periodic"})
    assert wall[0, -1] == 3.0
    assert period[0, -1] == 1.5


def test_particles_go_on_with_their_velocities() -> None:
    u = np.random.default_rng(0).standard_normal((2, 5, 3, 4))  # (N, T, C, M): vx, charge, x
    times = {"T": np.array([0.0, 0.5, 1.0, 1.5, 2.0])}
    split = Split("test", u, None, np.zeros((2, 0)), (), times, (), "particles", flights=((2, 0),))
    frames = Window(2, 3)
    whole, one = persistence(split, slice(0, 2), frames), one_step_persistence(split, slice(0, 2), frames)
    for t in range(3):
        np.testing.assert_array_equal(whole[:, t, :2], u[:, 1, :2])
        np.testing.assert_allclose(whole[:, t, 2], u[:, 1, 2] + 0.5 * (t + 1) * u[:, 1, 0])
        np.testing.assert_allclose(one[:, t, 2], u[:, t + 1, 2] + 0.5 * u[:, t + 1, 0])
    still = Split("test", u, None, np.zeros((2, 0)), (), times, ())
    np.testing.assert_array_equal(persistence(still, slice(0, 2), frames)[:, 2], u[:, 1])


def test_particles_that_are_far_off_are_not_unbounded() -> None:
    u = np.ones((2, 3, 4, 5))
    u[1, 2] = 2
    split = Split("train", u, None, np.zeros((2, 0)), (), {"T": np.arange(3.0)}, (), "particles")
    assert largest_energy(split, family("vicsek")).tolist() == [0, 0, 4, 4]
