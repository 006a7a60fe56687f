"""Scattered points from raw files to the cache: shared or each sample's own, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from ups_core.data.convert import ConvertOptions, convert_file
from ups_core.data.dataset import open_dataset
from ups_core.data.families import family
from ups_core.data.families.base import RawLayout
from ups_core.errors import DataInvalid, InvalidSpec

RECIPE = {
    "family": "advection_mesh2d",
    "splits": {"train": 3, "val": 1, "test": 2},
    "seed": 0,
    "validation": {},
}


def arrays(samples: int = 6, frames: int = 3, points: int = 12, *, shared: bool = False, seed: int = 0):
    rng = np.random.default_rng(seed)
    return {
        "u": rng.standard_normal((samples, frames, points)).astype(np.float32),
        "places": rng.random((points, 2) if shared else (samples, points, 2)).astype(np.float32),
        "t": 0.1 * np.arange(frames),
    }


def write(path: Path, **values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            file[name] = value
        file.attrs.update({"vx": 0.5, "vy": 0.25, "kappa": 0.01})


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


@pytest.fixture
def cached(pipeline, raw):
    """Convert, validate and cache what lies in ``raw``: the validated object and the cache's folder."""

    def run(splits: dict | None = None, **convert):
        recipe = {"source": {}, "files": [{"name": path.name} for path in sorted(raw.glob("*"))]}
        given = pipeline.run("fetch", recipe, options={"source": {"uri": str(raw)}})
        data = pipeline.run("convert", {"family": "advection_mesh2d", "convert": convert}, {"raw": given})
        dealt = pipeline.run("validate", RECIPE | ({"splits": splits} if splits else {}), {"data": data})
        return dealt, pipeline.folder_of(pipeline.run("cache", {}, {"data": data, "splits": dealt}))

    return run


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("fmt", ["hdf5", "zarr"])
def test_every_value_keeps_its_place(cached, raw, tmp_path, shared, fmt):
    given = arrays(shared=shared)
    write(raw / "a.h5", **given)
    dealt, folder = cached(format=fmt, stride={"t": 2})
    u, x, y = (np.load(folder / "train" / f"{name}.npy") for name in ("u", "x", "y"))
    assert u.shape == (3, 2, 1, 12)
    assert x.shape == y.shape == ((12,) if shared else (3, 12))
    rows = [next(i for i in range(6) if np.array_equal(given["u"][i, ::2], one[:, 0])) for one in u]
    places = given["places"] if shared else given["places"][rows]
    np.testing.assert_array_equal(np.stack([x, y], axis=-1), places.astype(np.float64))
    split = open_dataset(dealt.uri, tmp_path / "read")["train"]
    np.testing.assert_array_equal(split.coordinates["x"], x)
    np.testing.assert_array_equal(split.coordinates["t"], [0, 0.2])


def test_an_npz_file_is_read_as_well(raw, tmp_path):
    given = arrays(shared=True)
    np.savez(raw / "a_kappa0.01_vx0_vy1.npz", **given)
    (tmp_path / "out").mkdir()
    entry, hashes = convert_file(
        raw / "a_kappa0.01_vx0_vy1.npz", "a_kappa0.01_vx0_vy1.npz", family("advection_mesh2d"),
        ConvertOptions(samples=(2, 5)), tmp_path / "out", lambda *_: None,
    )  # fmt: skip
    assert entry["parameters"] == {"vx": 0, "vy": 1, "kappa": 0.01}
    assert entry["arrays"]["u"] == {"shape": [3, 3, 1, 12], "dtype": "float32", "axes": "NTCM"}
    assert entry["arrays"]["x"] == {"shape": [12], "dtype": "float64", "axes": "M"}
    assert len(set(hashes)) == 3


def test_coordinates_may_be_arrays_of_their_own(tmp_path):
    layout = RawLayout("own", (".h5",), "u", "NTM", coordinates={"X": "px", "Y": "py", "T": "t"})
    given = arrays()
    write(
        tmp_path / "a.h5", u=given["u"], px=given["places"][..., 0], py=given["places"][0, :, 1], t=given["t"]
    )
    (tmp_path / "out").mkdir()
    one = replace(family("advection_mesh2d"), layouts=(layout,))
    entry, _ = convert_file(
        tmp_path / "a.h5", "a.h5", one, ConvertOptions(), tmp_path / "out", lambda *_: None
    )
    with h5py.File(tmp_path / "out/a.h5") as file:
        np.testing.assert_array_equal(file["x"][:], given["places"][..., 0])
        np.testing.assert_array_equal(file["y"][:], given["places"][0, :, 1])
    assert [entry["arrays"][name]["axes"] for name in "xy"] == ["NM", "M"]


def test_files_of_shared_points_become_one_split_of_own_points(cached, raw):
    first, second = arrays(3, shared=True), arrays(3, shared=True, seed=1)
    write(raw / "a.h5", **first)
    write(raw / "b.h5", **second)
    _, folder = cached({"train": 4, "val": 1, "test": 1})
    u, x = np.load(folder / "train/u.npy"), np.load(folder / "train/x.npy")
    assert x.shape == (4, 12)
    for one, along in zip(u, x, strict=True):
        (of,) = [g for g in (first, second) if any(np.array_equal(v, one[:, 0]) for v in g["u"])]
        np.testing.assert_array_equal(along, of["places"][:, 0])


def test_splits_may_differ_in_their_number_of_points_and_files_of_one_may_not(cached, raw):
    write(raw / "few.h5", **arrays(4))
    write(raw / "many.h5", **arrays(2, points=20, seed=1))
    few = {"pattern": "few*"}
    _, folder = cached(
        {"train": {**few, "count": 2}, "val": {**few, "count": 2}, "test": {"pattern": "many*"}}
    )
    assert np.load(folder / "test/x.npy").shape == (2, 20)
    with pytest.raises(DataInvalid, match="different numbers of points"):
        cached({"train": 4, "val": 1, "test": 1})


def test_points_have_no_stride(cached, raw):
    write(raw / "a.h5", **arrays())
    with pytest.raises(InvalidSpec, match="no n-th node"):
        cached(stride={"x": 2})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"places": np.zeros((6, 12, 3))}, r"found:\s+shape \(6, 12, 3\)"),
        ({"places": np.zeros((11, 2))}, r"expected:\s+\(12, 2\) where all samples share"),
        ({"places": np.full((12, 2), 1.5)}, "12 points that are not in 0 to 1"),
        (
            {"places": np.where(np.arange(144).reshape(6, 12, 2) == 50, np.nan, 0.5)},
            "1 points .*in samples 2",
        ),
        ({"u": np.full((6, 3, 12), np.inf, np.float32)}, "holds NaN or Inf"),
    ],
)
def test_what_is_no_mesh_is_refused(cached, raw, change, said):
    write(raw / "a.h5", **{**arrays(), **change})
    with pytest.raises(DataInvalid, match=said):
        cached()
