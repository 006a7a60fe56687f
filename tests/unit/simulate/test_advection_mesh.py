"""Advection and diffusion at scattered points: the exact series, and the finite elements beside it."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ups_core.data.families import family
from ups_core.errors import DataInvalid
from ups_core.simulate.advection_mesh import draw, solve
from ups_core.simulate.fem import Mesh

VELOCITY, KAPPA = np.array([0.5, 0.25]), 0.002


def test_the_series_solves_the_equation():
    """u_t + c·∇u = κ Δu by central differences, at points of the sample."""
    waves, places = draw(0, 3, 40)
    h, t = 1e-3, np.array([0.3])

    def u(dx: float = 0, dy: float = 0, dt: float = 0) -> np.ndarray:
        return waves(places + np.array([dx, dy]), t + dt, VELOCITY, KAPPA)[0]

    u_t = (u(dt=h) - u(dt=-h)) / (2 * h)
    u_x, u_y = (u(dx=h) - u(dx=-h)) / (2 * h), (u(dy=h) - u(dy=-h)) / (2 * h)
    laplacian = (u(dx=h) + u(dx=-h) + u(dy=h) + u(dy=-h) - 4 * u()) / h**2
    residual = u_t + VELOCITY @ [u_x, u_y] - KAPPA * laplacian
    assert np.abs(residual).max() < 1e-3 * np.abs(u_t).max()


def test_matrices_are_those_of_the_torus():
    _, places = draw(0, 0, 80)
    mesh = Mesh.of(places)
    ones, advection = np.ones(80), mesh.advection(VELOCITY).toarray()
    assert len(mesh.corners) == 160  # Euler: a triangulated torus has two triangles a point
    assert mesh.mass().sum() == pytest.approx(1)
    np.testing.assert_allclose(mesh.stiffness() @ ones, 0, atol=1e-10)
    np.testing.assert_allclose(advection, -advection.T, atol=1e-12)
    np.testing.assert_allclose(advection @ ones, 0, atol=1e-12)


def test_two_points_at_one_place_are_refused():
    places = np.random.default_rng(0).random((20, 2))
    places[7] = places[3]
    with pytest.raises(DataInvalid, match="no triangulation"):
        Mesh.of(places)


def solved(points: int, sample: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    waves, places = draw(0, sample, points)
    times = np.linspace(0, 0.3, 7)
    truth = waves(places, times, VELOCITY, KAPPA)
    u = solve(
        truth[None, :1],
        coordinates={"T": times, "X": places[None, :, 0], "Y": places[None, :, 1]},
        parameters={"vx": VELOCITY[:1], "vy": VELOCITY[1:], "kappa": np.array([KAPPA])},
    )
    return u[0, :, 0], truth, places


def test_finite_elements_are_of_second_order():
    error = {
        n: np.mean([np.square(np.subtract(*solved(n, i)[:2])).mean() for i in range(3)]) for n in (256, 1024)
    }
    assert 3 < np.sqrt(error[256] / error[1024]) < 6


def test_finite_elements_keep_the_integral():
    u, _, places = solved(256)
    integral = (Mesh.of(places).mass() @ u.T).sum(axis=0)  # (T,)
    np.testing.assert_allclose(integral, integral[0], atol=1e-12)


def test_a_sample_depends_on_its_number_alone(tmp_path):
    simulate, params = family("advection_mesh2d").simulate, {"points": 20, "frames": 3}
    assert simulate is not None
    for name, indices in (("whole", range(4)), ("part", range(2, 4))):
        simulate(tmp_path / name, indices=indices, seed=1, params=params, progress=lambda *_: None)
    with h5py.File(tmp_path / "whole") as whole, h5py.File(tmp_path / "part") as part:
        for array in ("u", "places"):
            np.testing.assert_array_equal(whole[array][2:], part[array][:])
        assert whole["places"].shape == (4, 20, 2)
        assert (whole["places"][0] != whole["places"][1]).any()
        assert (whole["places"][:] >= 0).all()
        assert (whole["places"][:] < 1).all()


def test_another_number_of_points_is_another_field():
    """Else the same state would be learned from at some points, and tested on at others."""
    (few, _), (many, _) = draw(0, 5, 64), draw(0, 5, 128)
    assert (few.amplitude != many.amplitude).all()
