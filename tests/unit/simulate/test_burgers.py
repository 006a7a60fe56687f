from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from ups_core.data.families import family
from ups_core.errors import InvalidSpec
from ups_core.simulate import burgers
from ups_core.simulate.etdrk4 import Scheme, modes
from ups_core.simulate.waves import Waves, draw_waves

NU = 0.01
SMALL = {"nu": 0.02, "points": 64, "frames": 6}


def cole_hopf(
    state: Callable[[np.ndarray], np.ndarray], x: np.ndarray, t: float, viscosity: float
) -> np.ndarray:
    """u = ∫ u0(y) w dy / ∫ w dy, w = exp(-(x - y)²/4νt - Ψ(y)/2ν), Ψ' = u0; logarithms keep w in range.

    The mean travels along: it is added again to the solution of the zero-mean state (Galilean invariance).
    """
    m = 1 << 15
    u0 = state(np.arange(m) / m)
    mean = u0.mean()
    c = np.fft.rfft(u0 - mean)
    c[1:] /= 2j * np.pi * np.arange(1, len(c))
    psi = np.fft.irfft(c, n=m)
    reach = int((np.abs(u0).max() * 2 * t + 12 * np.sqrt(2 * viscosity * t)) * m)
    out = []
    for xi in x - mean * t:
        j = np.arange(int(xi * m) - reach, int(xi * m) + reach)
        exponent = -((xi - j / m) ** 2) / (4 * viscosity * t) - psi[j % m] / (2 * viscosity)
        w = np.exp(exponent - exponent.max())
        out.append(mean + (w * (u0[j % m] - mean)).sum() / w.sum())
    return np.array(out)


def write(path: Path, indices: range, **params: float) -> Path:
    simulate = family("burgers1d").simulate
    assert simulate is not None
    simulate(path, indices=indices, seed=3, params={**SMALL, **params}, progress=lambda done, total: None)
    return path


def read(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["tensor"][:]  # type: ignore[index]


@pytest.mark.parametrize("nu", [0.004, 0.01, 1.0])
def test_frames_agree_with_cole_hopf(nu: float) -> None:
    smooth = next(w for w in (draw_waves(1, i) for i in range(40)) if w.window is None and not w.rectified)
    frames = list(burgers.evolve([smooth], viscosity=nu / np.pi, points=48, frames=31))
    x = (np.arange(48) + 0.5) / 48
    for frame in (1, 10, 30):
        exact = cole_hopf(smooth, x, 0.01 * frame, nu / np.pi)
        assert np.sqrt(np.mean((frames[frame][0] - exact) ** 2) / np.mean(exact**2)) < 1e-6


def test_step_is_of_fourth_order() -> None:
    c0 = np.zeros((1, modes(96)), dtype=complex)
    c0[0, 1:3] = 0.3, 0.2j
    runs = [Scheme(96, 0.05, 0.1 / steps).advance(c0, steps) for steps in (5, 10, 320)]
    errors = [np.abs(run - runs[-1]).max() for run in runs[:2]]
    assert 13 < errors[0] / errors[1] < 20


def test_linear_part_is_exact() -> None:
    c0 = np.zeros((1, modes(64)), dtype=complex)
    c0[0, 3] = 1e-9  # so small that products vanish
    after = Scheme(64, 0.1, 0.5).advance(c0, 1)
    assert after[0, 3] == pytest.approx(1e-9 * np.exp(-0.1 * (6 * np.pi) ** 2 * 0.5), rel=1e-9)


def test_bytes_of_a_sample_do_not_depend_on_its_company(tmp_path: Path) -> None:
    together = read(write(tmp_path / "all.hdf5", range(0, 11)))
    for part in (range(0, 1), range(4, 7), range(10, 11)):
        alone = read(write(tmp_path / "part.hdf5", part))
        assert alone.tobytes() == together[part.start : part.stop].tobytes()


def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write(tmp_path / "a.hdf5", range(5)).read_bytes()
    monkeypatch.setattr("ups_core.simulate.rawfile.BLOCK_BYTES", 4 * 6 * 64 * 2)
    assert write(tmp_path / "b.hdf5", range(5)).read_bytes() == whole


def test_file_is_laid_out_as_pdebench_has_it(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.hdf5", range(2, 5))) as file:
        assert {name: (item.shape, item.dtype.str) for name, item in file.items()} == {
            "tensor": ((3, 6, 64), "<f4"),
            "x-coordinate": ((64,), "<f4"),
            "t-coordinate": ((7,), "<f4"),
        }
        assert dict(file.attrs) == {"Nu": 0.02, "seed": 3, "first_sample": 2, "points": 64, "frames": 6}
        x = np.asarray(file["x-coordinate"], dtype=float)
        np.testing.assert_allclose(np.asarray(file["t-coordinate"]), np.arange(7) * 0.01, rtol=1e-6)
        np.testing.assert_allclose(np.asarray(file["tensor"])[1, 0], draw_waves(3, 3)(x), atol=1e-5)


def test_mean_is_kept_and_reflection_is_a_symmetry() -> None:
    state = draw_waves(0, 0)
    run = partial(burgers.evolve, viscosity=NU, points=128, frames=21)
    u = np.concatenate(list(run([state])))
    np.testing.assert_allclose(u.mean(axis=1), u[0].mean(), atol=1e-6)
    mirrored = np.concatenate(list(run([lambda x: -state(-x)])))
    np.testing.assert_allclose(mirrored, -u[:, ::-1], atol=1e-6)


def test_coarse_solver_follows_the_truth_at_its_own_nodes_and_times() -> None:
    states = [draw_waves(0, i) for i in range(3)]
    fine = np.stack(list(burgers.evolve(states, viscosity=0.1 / np.pi, points=128, frames=41)), axis=1)
    kept = fine[:, ::10, ::2]  # every second node: 64 points, x from half a fine cell
    solver = family("burgers1d").solver
    assert solver is not None
    u = solver(
        kept[:, 0][:, None],
        coordinates={"X": ((np.arange(128) + 0.5) / 128)[::2], "T": np.float32(0.01) * np.arange(0, 41, 10)},
        parameters={"Nu": np.array([0.1, 0.1, 0.1], dtype=np.float32)},
    )
    assert u.shape == (3, 5, 1, 64)
    assert np.sqrt(np.mean((u[:, 1:, 0] - kept[:, 1:]) ** 2) / np.mean(kept[:, 1:] ** 2)) < 1e-3


def test_solver_takes_one_viscosity_per_sample() -> None:
    u0 = np.stack([draw_waves(0, 1)(np.arange(64) / 64)] * 2)[:, None]
    coordinates = {"X": np.arange(64) / 64, "T": np.array([0.0, 0.1])}
    both = burgers.solve(u0, coordinates=coordinates, parameters={"Nu": np.array([0.05, 0.5])})
    for i, nu in enumerate((0.05, 0.5)):
        one = burgers.solve(u0[:1], coordinates=coordinates, parameters={"Nu": np.array([nu])})
        np.testing.assert_array_equal(both[i], one[0])


def test_observation_noise_has_its_size_and_no_mean(tmp_path: Path) -> None:
    clean, noisy = (read(write(tmp_path / f"{n}.hdf5", range(4), observationNoise=n)) for n in (0.0, 0.1))
    noise = (noisy - clean) / clean[:, :1].std(axis=2, keepdims=True)  # (N, T, X)
    assert noise.std() == pytest.approx(0.1, rel=0.05)
    assert np.abs(noise.mean(axis=2)).max() < 1e-6
    later = read(write(tmp_path / "later.hdf5", range(2, 4), observationNoise=0.1))
    np.testing.assert_array_equal(later, noisy[2:])


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"nu": 0.0}, "nu"),
        ({"nu": float("nan")}, "nu"),
        ({"points": 64.5}, "points"),
        ({"frames": 1}, "frames"),
        ({"observationNoise": -0.1}, "observationNoise"),
        ({"Nu": 0.1}, "Nu"),
        ({"viscosity": 0.1}, "viscosity"),
    ],
)
def test_params_that_mean_nothing(tmp_path: Path, params: dict[str, float], where: str) -> None:
    with pytest.raises(InvalidSpec) as error:
        write(tmp_path / "a.hdf5", range(1), **params)
    assert error.value.details["where"] == f"source.simulate.params.{where}"
    assert error.value.details["fix"]


def test_fronts_beyond_the_finest_grid_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burgers, "LADDER", (64, 96, 128))
    steep = Waves(np.ones(4), np.array([1, 0, 0, 0]), np.zeros(4), False, 1.0, None)
    with pytest.raises(InvalidSpec, match="too thin"):
        list(burgers.evolve([steep], viscosity=0.002, points=64, frames=41))
