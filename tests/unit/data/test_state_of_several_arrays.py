"""A state whose fields lie in arrays of their own gives what one array of them all gives."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from ups_core.data import stream
from ups_core.data.canonical import open_arrays
from ups_core.data.convert import ConvertOptions, convert_file
from ups_core.data.families import Family, family
from ups_core.errors import DataInvalid
from ups_core.given import read
from ups_core.models.problem import Problem

FLOW = {
    "space": "XY",
    "fields": [{"name": name} for name in ("density", "Vx", "Vy")],
    "boundary": {"x": "periodic", "y": "periodic"},
    "parameters": ["Eta"],
}
#: (N, T, X, Y, C); as many frames as fields, and X as long as Y.
VALUES = np.random.default_rng(0).standard_normal((4, 3, 6, 6, 3)).astype(np.float32)
NODES = {"x": np.arange(6) / 6, "y": np.arange(6) / 6, "t": np.arange(3) / 4}
DENSITY, VX, VY = np.moveaxis(VALUES, -1, 0)
APART = {"density": DENSITY, "Vx": VX, "Vy": VY}


def flow(state: str | list[str], axes: str) -> Family:
    layout = {"state": state, "axes": axes, "coordinates": {"t": "t", "x": "x", "y": "y"}}
    return family({"name": "flow", **FLOW, "layout": layout})


def write(path: Path, chunks: tuple[int, ...] | None = None, **arrays: np.ndarray) -> Path:
    if path.suffix == ".npz":
        np.savez(path, Eta=0.1, **NODES, **arrays)
    elif path.suffix == ".zarr":
        group = zarr.create_group(str(path))
        for name, value in {**NODES, **arrays}.items():
            group.create_array(name, data=value)
        group.attrs["Eta"] = 0.1
    else:
        with h5py.File(path, "w") as file:
            for name, value in NODES.items():
                file[name] = value
            for name, value in arrays.items():
                file.create_dataset(name, data=value, chunks=chunks and chunks[: value.ndim])
            file.attrs["Eta"] = 0.1
    return path


def converted(raw: Path, of: Family, **options: Any) -> tuple[dict[str, Any], list[str], dict[str, str]]:
    """Index entry, hashes of the initial states, and hashes of all that was written."""
    out = raw.parent / "out"
    entry, states = convert_file(raw, raw.name, of, ConvertOptions(**options), out, lambda *_: None)
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return entry, states, {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize("fmt", ["hdf5", "zarr"])
@pytest.mark.parametrize("stride", [{}, {"t": 2, "x": 4, "y": 1}], ids=["whole", "strided"])
@pytest.mark.parametrize(
    ("arrays", "axes"),
    [
        (APART, "NTXY"),
        ({name: np.swapaxes(value, 2, 3) for name, value in APART.items()}, "NTYX"),
        ({"density": DENSITY[..., None], "V": VALUES[..., 1:]}, "NTXYC"),
        ({"density": DENSITY[:, :, None], "V": np.stack([VX, VY], axis=2)}, "NTCXY"),
    ],
)
def test_it_is_converted_to_the_same_bytes(tmp_path, monkeypatch, arrays, axes, stride, fmt):
    monkeypatch.setattr(stream, "BLOCK_BYTES", 3000)  # a sample at a time, or two
    for folder in ("one", "apart"):
        (tmp_path / folder).mkdir()
    one = write(tmp_path / "one/raw.h5", state=VALUES)
    apart = write(tmp_path / "apart/raw.h5", chunks=(2, 1, 1, 6, 1), **arrays)
    options = {"format": fmt, "stride": stride, "samples": (1, 4), "dtype": "float32"}
    expected = converted(one, flow("state", "NTXYC"), **options)
    found = converted(apart, flow(list(arrays), axes), **options)
    assert found == expected
    with open_arrays(apart.parent / "out", found[0]) as written:
        kept = VALUES[1:, :: stride.get("t", 1), :: stride.get("x", 1)]
        np.testing.assert_array_equal(written["u"][...], np.moveaxis(kept, -1, 2))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"Vx": VX[:3]}, r"do not belong together\n.*raw.h5:Vx\n.*\(3, 3, 6, 6\), float32\n"
         r".*\(4, 3, 6, 6\), float32, as density has\n.*make the file again"),
        ({"Vy": VY.astype(np.float64)}, r"raw.h5:Vy\n.*float64\n.*float32"),
        ({"Vx": VALUES}, r"raw.h5:Vx\n.*5 axes\n.*4 axes \(N, T, X, Y\)"),
        ({"Vx": VX + 1j, "Vy": VY + 1j}, r"raw.h5:Vx\n.*complex"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_match_are_refused(tmp_path, changed, words):
    raw = write(tmp_path / "raw.h5", **{**APART, **changed})
    with pytest.raises(DataInvalid, match=words):
        converted(raw, flow(list(APART), "NTXY"))


def test_along_their_fields_they_may_differ_and_else_not(tmp_path):
    raw = write(tmp_path / "raw.h5", density=DENSITY[..., None], V=VALUES[:, :, :3, :, 1:])
    with pytest.raises(DataInvalid, match=r"raw.h5:V\n.*\n.*\(4, 3, 6, 6, C\), float32, as density has"):
        converted(raw, flow(["density", "V"], "NTXYC"))
    raw = write(tmp_path / "raw.h5", density=DENSITY[..., None], V=VALUES)
    with pytest.raises(DataInvalid, match=r"raw.h5:density\+V\n.*4 channels\n.*3: density, Vx, Vy"):
        converted(raw, flow(["density", "V"], "NTXYC"))


def test_one_that_is_missing_or_damaged_is_named(tmp_path):
    raw = write(tmp_path / "raw.h5", density=DENSITY, Vx=VX)
    with pytest.raises(DataInvalid, match=r"raw.h5:Vy\n.*no such array"):
        converted(raw, flow(list(APART), "NTXY"))
    write(raw, chunks=(2, 1, 6, 6), **APART)
    with h5py.File(raw, "a") as file:
        del file["Vx"]
        file.create_dataset("Vx", VX.shape, VX.dtype, chunks=(2, 1, 6, 6), compression="gzip")[...] = VX
        where = file["Vx"].id.get_chunk_info(0).byte_offset
    with raw.open("r+b") as file:
        file.seek(where)
        file.write(bytes(16))
    with pytest.raises(DataInvalid, match=r"an array cannot be read\n.*raw.h5:Vx\n"):
        converted(raw, flow(list(APART), "NTXY"))


def test_points_of_a_mesh(tmp_path):
    places = np.random.default_rng(1).random((4, 12, 2))
    values = VALUES.reshape(4, 3, 12, 9)[..., :4]
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["p"], file["v"], file["w"] = values[..., 0], values[..., 1], values[..., 2]
        file["places"], file["t"] = places, NODES["t"]
    mine = family({
        "name": "mine",
        "kind": "mesh",
        "space": "XY",
        "fields": [{"name": name} for name in "pvw"],
        "layout": {
            "state": ["w", "p", "v"],
            "axes": "NTM",
            "coordinates": {"t": "t", "x": "places", "y": "places"},
        },
        "boundary": {"x": "periodic", "y": "periodic"},
        "box": {"x": [0.0, 1.0], "y": [0.0, 1.0]},
    })  # fmt: skip
    entry, _, _ = converted(tmp_path / "raw.h5", mine, samples=(1, 3))
    with open_arrays(tmp_path / "out", entry) as arrays:
        np.testing.assert_array_equal(arrays["u"][...], np.moveaxis(values[1:3, ..., [2, 0, 1]], -1, 2))
        np.testing.assert_array_equal(arrays["y"][...], places[1:3, :, 1])
    assert sorted(entry["arrays"]) == ["t", "u", "x", "y"]


def problem_of(one: Family, declaration: dict[str, Any]) -> Problem:
    dataset = {
        "family": declaration, "space": "XY", "steady": False, "dt": 0.25, "fields": declaration["fields"],
        "inputs": [], "parameters": ["Eta"], "boundary": {"X": "periodic", "Y": "periodic"},
    }  # fmt: skip
    return Problem.of(dataset, one, {"X": NODES["x"], "Y": NODES["y"]}, np.full((2, 1), 0.1))


@pytest.mark.parametrize("suffix", [".h5", ".zarr", ".npz"])
def test_a_surrogate_is_asked_from_such_a_file(tmp_path, suffix):
    layout = {"state": ["u", "v", "w"], "axes": "NTXY", "coordinates": {"t": "t", "x": "x", "y": "y"}}
    fields = [{"name": name} for name in "uvw"]
    declaration = {"name": "mine", **FLOW, "fields": fields, "layout": layout}
    mine = problem_of(family(declaration), declaration)
    # As many frames as fields: by its shape alone, u could be (N, C, X, Y).
    path = write(tmp_path / f"raw{suffix}", u=DENSITY, v=VX, w=VY)
    found = read(path, mine)
    np.testing.assert_array_equal(found.values, np.moveaxis(VALUES, -1, 2)[:, 0])
    assert float(found.parameters["Eta"]) == 0.1
    assert sorted(found.coordinates) == ["x", "y"]
    if suffix == ".h5":
        with h5py.File(path, "a") as file:
            for name, unit in zip("uvw", ("m/s", "m/s", "1"), strict=True):
                file[name].attrs["units"] = unit
        assert read(path, mine).units == {"u": "m/s", "v": "m/s", "w": "1"}
        with h5py.File(path, "a") as file:
            del file["v"]
            file["v"] = VX[:2]
        with pytest.raises(DataInvalid, match=r"do not belong together\n.*raw.h5:v\n"):
            read(path, mine)


def test_an_array_tells_the_unit_of_all_its_channels_or_none(tmp_path):
    layout = {"state": ["p", "V"], "axes": "NTXYC", "coordinates": {"t": "t", "x": "x", "y": "y"}}
    fields = [{"name": name} for name in ("p", "Vx", "Vy")]
    declaration = {"name": "mine", **FLOW, "fields": fields, "layout": layout}
    mine = problem_of(family(declaration), declaration)
    path = write(tmp_path / "raw.h5", p=DENSITY[..., None], V=VALUES[..., 1:])
    assert read(path, mine).units == {}
    for name, unit, found in (("V", "m/s", {"Vx": "m/s", "Vy": "m/s"}), ("p", "Pa", {"p": "Pa"})):
        with h5py.File(path, "a") as file:
            file["V"].attrs.pop("units", None)
            file[name].attrs["units"] = unit
        assert read(path, mine).units == found
