"""The files that a surrogate is asked from: HDF5 and Zarr, as the converter or PDEBench writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from raw_files import spoil, write_burgers, write_darcy

from ups_core.data.convert import ConvertOptions, convert_file
from ups_core.data.families import family
from ups_core.errors import DataInvalid, NotFound
from ups_core.given import Given, read
from ups_core.models.problem import Problem


def problem(name: str, varying: tuple[str, ...] = ()) -> Problem:
    of = family(name)
    fields, inputs = (tuple(field.name for field in each) for each in (of.fields, of.inputs or of.fields))
    d = len(of.space)
    return Problem(
        of.name, of.steady, of.space, fields, ("1",), inputs, (8,) * d, (0.125,) * d,
        tuple(of.boundary.values()), (False,) * d, (False,), of.parameters, varying,
    )  # fmt: skip


BURGERS, DARCY = problem("burgers1d"), problem("darcy2d")


def convert(path: Path, of: str, fmt: Any) -> Path:
    options = ConvertOptions(format=fmt, dtype="float32")
    entry, _ = convert_file(path, path.name, family(of), options, path.parent / "out", lambda *_: None)
    return path.parent / "out" / entry["name"]


def written(path: Path, **arrays: Any) -> Path:
    """One file of named arrays; ``_NAME`` is an attribute."""
    group = h5py.File(path, "w") if path.suffix == ".h5" else zarr.create_group(str(path))
    for name, value in arrays.items():
        if name.startswith("_"):
            group.attrs[name[1:]] = value
        elif isinstance(group, h5py.File):
            group[name] = value
        else:
            group.create_array(name, data=np.asarray(value))
    if isinstance(group, h5py.File):
        group.close()
    return path


@pytest.mark.parametrize("fmt", ["hdf5", "zarr"])
def test_trajectories_give_their_first_frame(tmp_path: Path, fmt: str) -> None:
    raw = tmp_path / "test_Nu0.02.hdf5"
    values = write_burgers(raw, nu=None)
    for path in (raw, convert(raw, "burgers1d", fmt)):
        given = read(path, BURGERS)
        np.testing.assert_array_equal(given.values, values[:, 0, None])
        assert given.parameters == {"Nu": 0.02}
        assert list(given.coordinates) == ["x"]  # the times of frames that nobody is given tell nothing
        assert given.coordinates["x"] == pytest.approx((np.arange(16) + 0.5) / 16)


@pytest.mark.parametrize("fmt", ["hdf5", "zarr"])
def test_a_steady_problem_gives_its_inputs(tmp_path: Path, fmt: str) -> None:
    raw = tmp_path / "darcy.hdf5"
    a, _ = write_darcy(raw, beta=2.0)
    for path in (raw, convert(raw, "darcy2d", fmt)):
        given = read(path, DARCY)
        np.testing.assert_array_equal(given.values, a[:, None])
        assert given.parameters == {"beta": 2.0}
        assert sorted(given.coordinates) == ["x", "y"]
    spoil(raw, "tensor")  # the solution is what is asked for
    np.testing.assert_array_equal(read(raw, DARCY).values, a[:, None])


U = np.arange(12.0).reshape(3, 1, 4)


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
@pytest.mark.parametrize(
    ("arrays", "values", "parameters"),
    [
        ({"u": U}, U, {}),
        ({"u": U[0], "Nu": 0.01}, U[0], {"Nu": 0.01}),
        ({"u": U, "nu": [0.1, 0.2, 0.3]}, U, {"Nu": [0.1, 0.2, 0.3]}),
        ({"u": U[:, None].repeat(2, 1), "_Nu": 0.5}, U, {"Nu": 0.5}),
    ],
)
def test_arrays_of_ones_own(tmp_path: Path, suffix: str, arrays, values, parameters) -> None:
    path = written(tmp_path / f"given{suffix}", x=np.arange(4) / 4, _units=["m/s"], **arrays)
    found: Given = read(path, BURGERS)
    np.testing.assert_array_equal(found.values, values)
    assert {name: np.asarray(value).tolist() for name, value in found.parameters.items()} == parameters
    assert found.coordinates["x"].tolist() == [0, 0.25, 0.5, 0.75]
    assert found.units == {"u": "m/s"}


def unwritten(path: Path) -> Path:
    """A Zarr array of two shards, one of which was never written."""
    array = zarr.create_group(str(path)).create_array(
        "u", shape=(3, 1, 4), dtype="f4", chunks=(1, 1, 4), shards=(2, 1, 4)
    )
    array[:2] = 1
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: written(p / "a.h5", v=U), r"no array to predict from(.|\n)*found: +v \(3, 1, 4\)(.|\n)*"
         r"u \(N, T, C, X\) or u \(N, C, X\) or u \(C, X\) or tensor \(N, T, X\)(.|\n)*name the array u"),
        (lambda p: written(p / "a.h5", u=[1.0]), r"found: +u \(1,\)"),
        (lambda p: written(p / "a.h5", u=U + 1j), r"no array of numbers(.|\n)*u: complex128"),
        (lambda p: written(p / "a.h5", u=U, _units=["1", "1"]), "not one unit for each channel"),
        (lambda p: written(p / "a.h5", u=U, Nu=[0.1, 0.2]), r"other layout(.|\n)*Nu(.|\n)*shape \(2,\)"),
        (lambda p: written(p / "u0_Nu0.2.h5", u=U, _Nu=0.1), "Nu has two values"),
        (lambda p: unwritten(p / "a.zarr"), r"a.zarr:u(.|\n)*found: +2 of 4 blocks"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, make, words: str) -> None:
    with pytest.raises(DataInvalid, match=words):
        read(make(tmp_path), BURGERS)


@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
def test_what_is_broken_or_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound, match="no such file"):
        read(tmp_path / name, BURGERS)
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(DataInvalid, match="cannot be opened"):
        read(tmp_path / name, BURGERS)
