from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ups_core.data.families import family
from ups_core.errors import DataInvalid
from ups_core.simulate import darcy


def nodes_of(kind: str, n: int) -> np.ndarray:
    return {
        "left": np.arange(n) / n,
        "centre": (np.arange(n) + 0.5) / n,
        "both walls": np.arange(n) / (n - 1),
        "strided": ((np.arange(4 * n) + 0.5) / (4 * n))[::4],
    }[kind]


@pytest.mark.parametrize("kind", ["left", "centre", "both walls", "strided"])
def test_manufactured_solution_converges_at_second_order(kind: str) -> None:
    """u = sin πx sin 2πy, a = 1 + x y / 2; the source is -∇·(a ∇u), by hand."""
    errors = []
    for n in (24, 48):
        x = nodes_of(kind, n)
        y = x[None, :]
        sx, cx, sy, cy = (
            np.sin(np.pi * x)[:, None],
            np.cos(np.pi * x)[:, None],
            np.sin(2 * np.pi * y),
            np.cos(2 * np.pi * y),
        )
        a, u = 1 + x[:, None] * y / 2, sx * sy
        source = 5 * np.pi**2 * a * u - y / 2 * np.pi * cx * sy - x[:, None] / 2 * 2 * np.pi * sx * cy
        axis = darcy.axis_of(x)
        errors.append(np.abs(darcy.solve_one(a, source, (axis, axis)) - u).max())
    assert errors[1] < 0.01
    assert errors[0] / errors[1] > 3.4


def test_jump_of_the_medium_is_resolved_at_second_order() -> None:
    """u = φ(x) sin πy with a φ' continuous across the jump of a at x = 1/2; the source by hand."""
    left, right = 1.0, 10.0
    errors = []
    for n in (24, 48):
        x = nodes_of("centre", n)
        s, axis = np.sin(np.pi * x)[None, :], darcy.axis_of(x)
        slope = left / right
        bend = -(0.5 + 0.5 * slope) / 0.25  # makes φ(1) = 0
        phi = np.where(x < 0.5, x, 0.5 + slope * (x - 0.5) + bend * (x - 0.5) ** 2)
        a = np.where(x < 0.5, left, right)
        source = a * (np.pi**2 * phi - np.where(x < 0.5, 0.0, 2 * bend))
        u = darcy.solve_one(np.repeat(a[:, None], n, 1), source[:, None] * s, (axis, axis))
        errors.append(np.abs(u - phi[:, None] * s).max())
    assert errors[1] < 0.002
    assert errors[0] / errors[1] > 3.4


def test_constant_medium_has_the_known_maximum() -> None:
    x = nodes_of("left", 64)
    u = darcy.solve(
        np.full((2, 1, 64, 64), 2.0), coordinates={"X": x, "Y": x}, parameters={"beta": np.array([1.0, 3.0])}
    )
    assert u.shape == (2, 1, 64, 64)
    assert u[0, 0].max() == pytest.approx(0.0736713 / 2, rel=1e-3)  # torsion of a square bar
    np.testing.assert_allclose(u[1], 3 * u[0], rtol=1e-12)
    assert np.all(u[:, 0, 0] == 0)
    assert np.all(u[:, 0, :, 0] == 0)


def test_codes_stand_for_the_fitted_media_and_can_be_fitted_again() -> None:
    rng = np.random.default_rng(0)
    codes = (rng.random((6, 1, 8, 8)) > 0.5).astype(float)
    x = nodes_of("left", 8)
    u = darcy.solve(codes, coordinates={"X": x, "Y": x}, parameters={"beta": np.ones(6)})
    low, high = darcy.fit_codes(codes[:, 0], u[:, 0])
    assert (low, high) == pytest.approx((darcy.CODE_LOW, darcy.CODE_HIGH), rel=1e-3)


def test_other_values_that_are_not_positive_are_refused() -> None:
    x, a = nodes_of("left", 8), np.full((1, 1, 8, 8), -1.0)
    with pytest.raises(DataInvalid, match="positive"):
        darcy.solve(a, coordinates={"X": x, "Y": x}, parameters={"beta": np.ones(1)})


@pytest.mark.parametrize("x", [np.array([0.0, 0.1, 0.3, 1.0]), np.arange(8) / 4, np.linspace(0.4, 0.6, 8)])
def test_unknown_nodes_are_refused(x: np.ndarray) -> None:
    with pytest.raises(DataInvalid, match="no grid"):
        darcy.axis_of(x)


def write(path: Path, indices: range, **params: float) -> Path:
    simulate = family("darcy2d").simulate
    assert simulate is not None
    simulate(path, indices=indices, seed=1, params={"size": 16, **params}, progress=lambda done, total: None)
    return path


def test_file_is_laid_out_as_pdebench_has_it_and_the_solver_repeats_it(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.hdf5", range(3), beta=2.0)) as file:
        arrays = {name: np.asarray(item) for name, item in file.items()}
        assert file.attrs["beta"] == 2.0
    assert {name: array.shape for name, array in arrays.items()} == {
        "nu": (3, 16, 16),
        "tensor": (3, 1, 16, 16),
        "x-coordinate": (16,),
        "y-coordinate": (16,),
    }
    assert set(np.unique(arrays["nu"])) == {np.float32(0.1), np.float32(1.0)}
    u = darcy.solve(
        arrays["nu"][:, None],
        coordinates={"X": arrays["x-coordinate"], "Y": arrays["y-coordinate"]},
        parameters={"beta": np.full(3, 2.0)},
    )
    np.testing.assert_allclose(u, arrays["tensor"], rtol=1e-5)


def test_bytes_of_a_sample_do_not_depend_on_its_company(tmp_path: Path) -> None:
    whole, part = write(tmp_path / "a.hdf5", range(4)), write(tmp_path / "b.hdf5", range(2, 3))
    with h5py.File(whole) as a, h5py.File(part) as b:
        assert np.asarray(a["tensor"])[2:3].tobytes() == np.asarray(b["tensor"]).tobytes()
    assert write(tmp_path / "c.hdf5", range(4)).read_bytes() == whole.read_bytes()


def test_a_medium_is_the_same_at_every_size() -> None:
    coarse, fine = darcy.draw_coefficient(0, 0, 32), darcy.draw_coefficient(0, 0, 96)
    assert np.mean(coarse == fine[1::3, 1::3]) == 1.0  # the middle of three cells is the coarse centre
