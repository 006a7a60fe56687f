"""Particles from raw files to the cache: where they are, along periodic axes and between walls."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ups_core.data.particles import Period, nearest, wrapped
from ups_core.errors import DataInvalid, InvalidSpec

BOX = {"x": [-1.0, 1.0], "y": [0.0, 3.0]}
#: Periodic along x, walls along y; places and velocities in arrays of their own, velocities first.
DECLARED = {
    "name": "gas",
    "kind": "particles",
    "space": "XY",
    "fields": [{"name": name} for name in ("vx", "vy", "x", "y")],
    "positions": ["x", "y"],
    "velocities": ["vx", "vy"],
    "boundary": {"x": "periodic", "y": "neumann"},
    "box": BOX,
    "layout": {"state": ["v", "r"], "axes": "NTMC", "coordinates": {"t": "t"}},
}
RECIPE = {"family": DECLARED, "splits": {"train": 3, "val": 1, "test": 2}, "seed": 0, "validation": {}}


def write(path: Path, **change: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    v = rng.standard_normal((6, 4, 9, 2)).astype(np.float32)
    start = rng.uniform([-1, 1], [1, 2], (6, 1, 9, 2))
    drift = np.arange(4)[:, None, None] * np.array([0.7, 0.1])
    arrays = {"v": v, "r": (start + drift).astype(np.float32), "t": 0.1 * np.arange(4), **change}
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value
    return arrays


@pytest.fixture
def cached(pipeline, tmp_path):
    """Convert, validate and cache what is written: the cache's folder, and the arrays."""

    def run(convert: dict | None = None, splits: dict | None = None, **change: np.ndarray):
        (tmp_path / "raw").mkdir()
        arrays = write(tmp_path / "raw/a.h5", **change)
        recipe = {"source": {}, "files": [{"name": "a.h5"}]}
        raw = pipeline.run("fetch", recipe, options={"source": {"uri": str(tmp_path / "raw")}})
        data = pipeline.run("convert", {"family": DECLARED, "convert": convert or {}}, {"raw": raw})
        dealt = pipeline.run("validate", RECIPE | ({"splits": splits} if splits else {}), {"data": data})
        return pipeline.folder_of(pipeline.run("cache", {}, {"data": data, "splits": dealt})), arrays

    return run


def test_cached_places_lie_in_the_box(cached):
    folder, arrays = cached({"stride": {"t": 3}})
    u = np.load(folder / "train/u.npy")
    assert u.shape == (3, 2, 4, 9)
    assert not (folder / "train/x.npy").exists()
    x = u[:, :, 2]
    assert ((x >= -1) & (x <= 1)).all()
    rows = [
        next(i for i in range(6) if np.array_equal(arrays["v"][i, ::3], one[:, :2].swapaxes(1, 2)))
        for one in u
    ]
    apart = (x - arrays["r"][rows, ::3, :, 0]) / 2  # in periods
    np.testing.assert_allclose(apart, np.round(apart), atol=1e-6)
    np.testing.assert_array_equal(u[:, :, 3], arrays["r"][rows, ::3, :, 1])
    said = json.loads((folder / "dataset.json").read_text())
    assert (said["kind"], said["positions"], said["velocities"]) == ("particles", ["x", "y"], ["vx", "vy"])
    assert said["box"] == {"X": [-1.0, 1.0], "Y": [0.0, 3.0]}
    # A period is no step: three times 0.7 is nearer to 0.1.
    stride = np.sqrt(np.mean([(0.1 / 2) ** 2, (0.3 / 3) ** 2]))
    assert json.loads((folder / "normaliser.json").read_text())["stride"] == pytest.approx(stride, rel=1e-5)


def test_what_is_behind_a_wall_is_refused(cached):
    r = np.full((6, 4, 9, 2), 0.5, np.float32)
    r[2, 1, 3, 1], r[0, 0, 0, 0] = 3.5, 7.0  # along the periodic axis they may be anywhere
    with pytest.raises(DataInvalid, match="1 places that are not in 0 to 3, in samples 2"):
        cached(r=r)


def test_momentum_that_a_wall_takes_is_not_conserved(pipeline, tmp_path):
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw/a.h5")
    family = {**DECLARED, "conserved": ["vy"]}
    raw = pipeline.run(
        "fetch",
        {"source": {}, "files": [{"name": "a.h5"}]},
        options={"source": {"uri": str(tmp_path / "raw")}},
    )
    data = pipeline.run("convert", {"family": family, "convert": {}}, {"raw": raw})
    with pytest.raises(DataInvalid, match="the mean over particles drifts"):
        pipeline.run("validate", RECIPE | {"family": family}, {"data": data})


def test_particles_have_no_nodes_and_no_gradient(cached, tmp_path):
    with pytest.raises(InvalidSpec, match="no n-th node"):
        cached({"stride": {"x": 2}})


def test_states_of_particles_are_not_ranked_by_gradient(cached):
    splits = {"train": 3, "val": 1, "test": {"count": 2, "largest": "gradient"}}
    with pytest.raises(InvalidSpec, match="no gradient"):
        cached(splits=splits)


def test_what_is_extreme_is_not_where_particles_are(cached):
    v = np.ones((6, 4, 9, 2), np.float32)
    v[4] = 5
    v += 1e-3 * np.random.default_rng(0).standard_normal(v.shape).astype(np.float32)
    folder, _ = cached(splits={"train": 4, "val": 1, "test": {"count": 1, "largest": "rms"}}, v=v)
    assert np.load(folder / "test/u.npy")[0, 0, 0].mean() == pytest.approx(5, rel=1e-2)


@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(-3, 3), st.floats(0.1, 4))
def test_the_nearest_image_is_the_nearest_of_all(prediction, truth, low, length):
    period = [Period(1, low, length)]
    u, v = np.array([[7.0], [prediction]]), np.array([[9.0], [truth]])
    found = nearest(u, v, period)
    assert found[0, 0] == 7.0
    brute = min(abs(prediction + k * length - truth) for k in range(-500, 501))
    assert abs(found[1, 0] - truth) == pytest.approx(brute, abs=1e-9)
    home = wrapped(u, period)
    assert low <= home[1, 0] <= low + length
    assert nearest(home, u, period)[1, 0] == pytest.approx(prediction, abs=1e-9)
