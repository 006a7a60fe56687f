from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ups_core.data.families import family
from ups_core.errors import InvalidSpec
from ups_core.models.problem import Problem
from ups_core.models.symmetry import apply, group
from ups_core.simulate import navier_stokes as ns

X = np.arange(48) / 48
SMALL = {"nu": 1e-3, "size": 32, "frames": 3}


def solve(w: np.ndarray, times: np.ndarray, nu: float) -> np.ndarray:
    """(N, X, Y) to (N, T, X, Y)."""
    x = np.arange(w.shape[-1]) / w.shape[-1]
    found = ns.solve(
        w[:, None], coordinates={"X": x, "Y": x, "T": times}, parameters={"Nu": np.full(len(w), nu)}
    )
    return found[:, :, 0]


def write(path: Path, indices: range, **params: float) -> np.ndarray:
    simulate = family("navier_stokes2d").simulate
    assert simulate is not None
    simulate(path, indices=indices, seed=3, params={**SMALL, **params}, progress=lambda done, total: None)
    with h5py.File(path) as file:
        return file["tensor"][:]  # type: ignore[index]


@pytest.mark.parametrize(("kx", "ky"), [(1, 1), (2, 1), (3, 4)])
def test_taylor_green_vortices_decay_as_they_must(kx: int, ky: int):
    # One ring of wave numbers carries itself nowhere: ω = ω0 exp(-ν (2π|k|)² t).
    w = 3 * np.sin(2 * np.pi * kx * X)[:, None] * np.cos(2 * np.pi * ky * X)
    times, nu = np.linspace(0, 1, 4), 2e-3
    decay = np.exp(-nu * (2 * np.pi) ** 2 * (kx**2 + ky**2) * times)
    np.testing.assert_allclose(solve(w[None], times, nu)[0], decay[:, None, None] * w, atol=1e-10)


def test_a_mean_flow_of_shear_is_carried_by_nothing():
    w = np.broadcast_to(np.cos(2 * np.pi * X)[:, None], (48, 48))
    after = solve(w[None], np.array([0.0, 1.0]), 1e-3)[0, 1]
    np.testing.assert_allclose(after, w * np.exp(-1e-3 * (2 * np.pi) ** 2), atol=1e-12)


def test_smaller_steps_and_a_thinner_tail_change_nothing(monkeypatch: pytest.MonkeyPatch):
    def frames() -> np.ndarray:
        return np.stack([ns.sample(c, 32) for c in ns.evolve(ns.draw(0, 1), 1e-3, 4)])

    usual = frames()
    for name, value in (("COURANT", 0.4), ("TURN", 0.07), ("TAIL", 1e-8)):
        monkeypatch.setattr(ns, name, value)
    finer = frames()
    assert np.sqrt(np.mean((usual - finer) ** 2) / np.mean(finer**2)) < 2e-6


def test_energy_and_enstrophy_only_decay_and_the_mean_stays():
    w = np.stack([ns.sample(c, 64) for c in ns.evolve(ns.draw(0, 2), 1e-3, 4)])
    assert (np.diff((w**2).mean((1, 2))) < 0).all()
    assert np.abs(w.mean((1, 2))).max() < 1e-12
    assert np.sqrt((w[0] ** 2).mean()) == pytest.approx(ns.VORTICITY, rel=1e-6)


def test_a_sample_depends_on_its_seed_and_number_alone(tmp_path: Path):
    together = write(tmp_path / "a.h5", range(4, 6))
    alone = np.concatenate([write(tmp_path / f"{i}.h5", range(i, i + 1)) for i in (4, 5)])
    assert together.tobytes() == alone.tobytes()
    assert np.abs(together[0] - together[1]).max() > 1


def test_declared_symmetries_turn_solutions_into_solutions():
    declared = family("navier_stokes2d")
    problem = Problem(
        "ns", False, "XY", ("w",), ("1",), ("w",), (48, 48), (1 / 48,) * 2, ("periodic",) * 2,
        (False,) * 2, (True,), shifts=("X", "Y"), symmetries=declared.symmetries,
    )  # fmt: skip
    w, times = ns.sample(ns.draw(0, 3), 48)[None], np.array([0.0, 0.3])
    after = solve(w, times, 1e-3)[:, 1]
    elements = group(problem)
    assert len(elements) == 8
    for element in elements:
        image, expected = (
            apply(element, torch.from_numpy(field)[:, None], problem)[:, 0].numpy() for field in (w, after)
        )
        np.testing.assert_allclose(solve(image, times, 1e-3)[:, 1], expected, atol=1e-9)


def test_eddies_too_small_for_any_grid_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ns, "LADDER", (64, 96))
    with pytest.raises(InvalidSpec, match="too small to be resolved"):
        list(ns.evolve(ns.draw(0, 0), 1e-6, 3))
