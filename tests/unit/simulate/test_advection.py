from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ups_core.data.families import family
from ups_core.simulate.waves import draw_waves

PARAMS = {"beta": 0.4, "points": 64, "frames": 11}


def write(path: Path, indices: range) -> Path:
    simulate = family("advection1d").simulate
    assert simulate is not None
    simulate(path, indices=indices, seed=5, params=PARAMS, progress=lambda done, total: None)
    return path


def test_frames_are_the_starting_state_moved(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.hdf5", range(4, 9))) as file:
        u, x = np.asarray(file["tensor"]), np.asarray(file["x-coordinate"], dtype=float)
        assert file["t-coordinate"].shape == (12,)  # type: ignore[union-attr]
        assert file.attrs["beta"] == 0.4
    for row, index in enumerate(range(4, 9)):
        np.testing.assert_allclose(u[row, 10], draw_waves(5, index)(x - 0.4 * 0.1), atol=1e-5)


def test_bytes_of_a_sample_do_not_depend_on_its_company(tmp_path: Path) -> None:
    whole, part = write(tmp_path / "a.hdf5", range(6)), write(tmp_path / "b.hdf5", range(3, 5))
    with h5py.File(whole) as a, h5py.File(part) as b:
        assert np.asarray(a["tensor"])[3:5].tobytes() == np.asarray(b["tensor"]).tobytes()
    assert write(tmp_path / "c.hdf5", range(6)).read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("beta", [0.1, -4.0])
def test_solver_is_exact_on_a_band_limited_state(beta: float) -> None:
    x, t = (np.arange(32) + 0.5) / 32, np.linspace(0.5, 2.5, 5)

    def state(x: np.ndarray) -> np.ndarray:
        return 0.3 + np.sin(2 * np.pi * x) + 0.2 * np.cos(14 * np.pi * x)

    solver = family("advection1d").solver
    assert solver is not None
    u = solver(state(x)[None, None], coordinates={"X": x, "T": t}, parameters={"beta": np.array([beta])})
    assert u.shape == (1, 5, 1, 32)
    np.testing.assert_allclose(u[0, :, 0], state(x - beta * (t - t[0])[:, None]), atol=1e-12)


def test_waves_are_periodic_seeded_and_of_every_kind() -> None:
    x = np.linspace(0, 1, 7, endpoint=False)
    states = [draw_waves(0, i) for i in range(300)]
    np.testing.assert_allclose(states[0](x + 3), states[0](x), atol=1e-12)
    np.testing.assert_array_equal(draw_waves(0, 17)(x), states[17](x))
    assert not np.allclose(draw_waves(1, 17)(x), states[17](x))
    assert 15 < sum(s.rectified for s in states) < 50
    assert 15 < sum(s.window is not None for s in states) < 50
    assert 110 < sum(s.sign < 0 for s in states) < 190
    # Drawn twice, a wave number doubles; drawn once, there are two; the other terms are constants.
    assert {tuple(sorted(n for n in s.wave_number if n)) for s in states} == {
        (2,), (4,), (6,), (8,), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4),
    }  # fmt: skip
