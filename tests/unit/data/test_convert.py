from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_files import burgers_values, spoil, write_burgers, write_darcy

from ups_core.data import stream
from ups_core.data.canonical import open_arrays
from ups_core.data.convert import ConvertOptions, convert_file
from ups_core.data.families import family
from ups_core.data.parameters import from_file_name
from ups_core.errors import DataInvalid, InvalidSpec

BURGERS, DARCY = family("burgers1d"), family("darcy2d")


def convert(path: Path, out: Path, of=BURGERS, **recipe: Any) -> tuple[dict[str, Any], list[str]]:
    out.mkdir(exist_ok=True)
    return convert_file(
        path, path.name, of, ConvertOptions.from_recipe(recipe), out, lambda done, total: None
    )


def read(out: Path, entry: dict[str, Any]) -> dict[str, np.ndarray]:
    with open_arrays(out, entry) as arrays:
        return {name: np.asarray(array[...]) for name, array in arrays.items()}


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@settings(max_examples=40, deadline=None)
@given(
    fmt=st.sampled_from(["hdf5", "zarr"]),
    strides=st.tuples(st.integers(1, 12), st.integers(1, 17)),
    limit=st.none() | st.integers(1, 8),
    start=st.integers(0, 5),
    chunks=st.none() | st.integers(1, 7),
    dtype=st.sampled_from(["float32", "float64"]),
    compressed=st.booleans(),
    block=st.sampled_from([1, 700, 5000, 2**24]),
    raw_chunks=st.sampled_from([None, (1, 3, 16), (4, 11, 8)]),
)
def test_converted_is_the_numpy_stride_of_raw(
    tmp_path_factory,
    monkeypatch_module,
    fmt,
    strides,
    limit,
    start,
    chunks,
    dtype,
    compressed,
    block,
    raw_chunks,
):
    folder = tmp_path_factory.mktemp("convert")
    values = write_burgers(folder / "raw.hdf5", chunks=raw_chunks)
    monkeypatch_module.setattr(
        stream, "BLOCK_BYTES", block
    )  # from single frames to the whole file in one read
    compression = {"hdf5": "gzip", "zarr": "zstd"}[fmt] if compressed else None
    recipe = {
        "format": fmt,
        "stride": {"t": strides[0], "x": strides[1]},
        "samples": [start, 6],
        "dtype": dtype,
    }
    optional = {"limit": limit, "chunks": chunks, "compression": compression}
    entry, states = convert(
        folder / "raw.hdf5", folder / "out", **recipe, **{k: v for k, v in optional.items() if v is not None}
    )
    kept = values[start:6][:limit]
    arrays = read(folder / "out", entry)
    expected = kept[:, :: strides[0], None, :: strides[1]].astype(dtype)
    assert arrays["u"].dtype == dtype
    np.testing.assert_array_equal(arrays["u"], expected)
    np.testing.assert_array_equal(arrays["t"], (0.01 * np.arange(11)).astype(np.float32)[:: strides[0]])
    np.testing.assert_array_equal(arrays["x"], ((np.arange(16) + 0.5) / 16)[:: strides[1]])
    assert states == [hashlib.sha256(sample[0].tobytes()).hexdigest() for sample in kept]
    if strides[1] > 1:
        np.testing.assert_allclose(
            arrays["u_mean"][..., 0], kept[:, :: strides[0]].mean(axis=2, dtype=np.float64), atol=1e-12
        )
    assert {name: list(array.shape) for name, array in arrays.items()} == {
        name: array["shape"] for name, array in entry["arrays"].items()
    }


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.mark.parametrize("more_times", [0, 1])
def test_as_many_times_as_frames_or_one_more(tmp_path, more_times):
    write_burgers(tmp_path / "raw.hdf5", more_times=more_times)
    entry, _ = convert(tmp_path / "raw.hdf5", tmp_path / "out")
    assert entry["arrays"]["t"]["shape"] == [11]


@pytest.mark.parametrize("fmt", ["hdf5", "zarr"])
def test_same_bytes_twice(tmp_path, fmt):
    write_burgers(tmp_path / "raw.hdf5")
    for out in ("one", "two"):
        convert(
            tmp_path / "raw.hdf5", tmp_path / out, format=fmt, stride={"x": 2}, compression=None, chunks=2
        )
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


def test_steady_input_and_solution(tmp_path):
    given_, solution = write_darcy(tmp_path / "raw.hdf5")
    entry, states = convert(tmp_path / "raw.hdf5", tmp_path / "out", DARCY, stride={"x": 2, "y": 3})
    arrays = read(tmp_path / "out", entry)
    np.testing.assert_array_equal(arrays["a"], given_[:, None, ::2, ::3])
    np.testing.assert_array_equal(arrays["u"], solution[:, :, ::2, ::3])
    np.testing.assert_array_equal(arrays["y"], np.arange(8)[::3] / 8)
    assert states == [hashlib.sha256(sample.tobytes()).hexdigest() for sample in given_]
    assert entry["parameters"] == {"beta": 1.0}


def test_torch_file(tmp_path):
    import torch

    x = torch.arange(3 * 4 * 4).reshape(3, 4, 4) % 2 == 0
    y = torch.linspace(0, 1, 48).reshape(3, 4, 4)
    torch.save({"x": x, "y": y.permute(0, 2, 1)}, tmp_path / "raw.pt")
    entry, _ = convert(tmp_path / "raw.pt", tmp_path / "out", DARCY)
    arrays = read(tmp_path / "out", entry)
    np.testing.assert_array_equal(arrays["a"][:, 0], x.numpy())
    np.testing.assert_array_equal(arrays["u"][:, 0], y.numpy().transpose(0, 2, 1))
    np.testing.assert_array_equal(arrays["x"], [0, 0.25, 0.5, 0.75])


def test_npz_file(tmp_path):
    x, y = np.eye(4)[None], np.ones((1, 4, 4), np.float32)
    np.savez(tmp_path / "raw.npz", x=x, y=y)
    entry, _ = convert(tmp_path / "raw.npz", tmp_path / "out", DARCY)
    np.testing.assert_array_equal(read(tmp_path / "out", entry)["a"][:, 0], x)


@pytest.mark.parametrize("fmt", ["hdf5", "zarr"])
def test_every_other_array_and_attribute_is_kept(tmp_path, fmt):
    write_burgers(tmp_path / "raw.hdf5")
    with h5py.File(tmp_path / "raw.hdf5", "a") as file:
        file["energy"] = np.arange(6.0)  # one row a sample: follows the samples
        file["group/table"] = np.arange(5)
        file["u"] = np.array(7)  # the name of a canonical array
        file.attrs["solver"] = "spectral"
        file.attrs["box"] = [0.0, 1.0]
        file["tensor"].attrs["unit"] = "m/s"
    entry, _ = convert(tmp_path / "raw.hdf5", tmp_path / "out", format=fmt, samples=[2, 4])
    arrays = read(tmp_path / "out", entry)
    np.testing.assert_array_equal(arrays["energy"], [2.0, 3.0])
    np.testing.assert_array_equal(arrays["group/table"], np.arange(5))
    assert arrays["raw/u"] == 7
    if fmt == "hdf5":
        with h5py.File(tmp_path / "out" / "raw.h5") as file:
            kept = dict(file.attrs)
    else:
        import zarr

        kept = dict(zarr.open_group(str(tmp_path / "out" / "raw.zarr"), mode="r").attrs)
    assert kept["solver"] == "spectral"
    assert kept["tensor/unit"] == "m/s"
    assert kept["Nu"] == 0.01
    assert kept["box"] in ("[0.0, 1.0]", [0.0, 1.0])


@pytest.mark.parametrize(
    ("name", "source", "value"),
    [
        ("Nu", "1D_Burgers_Sols_Nu0.01.hdf5", 0.01),
        ("beta", "1D_Advection_Sols_beta0.4.hdf5", 0.4),
        ("beta", "Train/2D_DarcyFlow_beta1.0_Train.hdf5", 1.0),
        ("Nu", "run_nu1e-3.h5", 1e-3),
        ("Nu", "menu4.h5", None),
        ("Nu", "Nu0.01x.h5", None),
    ],
)
def test_parameter_from_file_name(name, source, value):
    assert from_file_name(name, source) == value


@pytest.mark.parametrize(
    ("name", "attribute", "found"),
    [("a_Nu0.1.hdf5", None, 0.1), ("a_Nu0.01.hdf5", 0.01, 0.01), ("a.hdf5", 2.0, 2.0)],
)
def test_parameter_of_a_file(tmp_path, name, attribute, found):
    write_burgers(tmp_path / name, nu=attribute)
    assert convert(tmp_path / name, tmp_path / "out")[0]["parameters"] == {"Nu": found}


def test_parameter_per_sample(tmp_path):
    write_burgers(tmp_path / "raw.hdf5", nu=None)
    with h5py.File(tmp_path / "raw.hdf5", "a") as file:
        file["nu"] = np.linspace(0.01, 0.06, 6)
    entry, _ = convert(tmp_path / "raw.hdf5", tmp_path / "out", samples=[1, 3])
    assert entry["parameters"] == {"Nu": "nu"}
    np.testing.assert_allclose(read(tmp_path / "out", entry)["nu"], [0.02, 0.03])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def overwrite_header(path: Path) -> None:
    path.write_bytes(b"<html>not found</html>" + path.read_bytes()[22:])


def unwritten(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["tensor"]
        file.create_dataset("tensor", (6, 11, 16), np.float32)


def partly_written(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["tensor"]
        file.create_dataset("tensor", (6, 11, 16), np.float32, chunks=(1, 11, 16))[:4] = 1.0


def elsewhere(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["tensor"]
        file.create_dataset("tensor", (6, 11, 16), np.float32, external=[("other.bin", 0, 6 * 11 * 16 * 4)])


def flip_compressed(path: Path) -> None:
    write_burgers(path, chunks=(6, 11, 16), compression="gzip", fletcher32=True)
    with h5py.File(path) as file:
        place = file["tensor"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 50] ^= 0xFF
    path.write_bytes(bytes(content))


def attribute(value):
    def set_it(path: Path) -> None:
        with h5py.File(path, "a") as file:
            file.attrs["Nu"] = value

    return set_it


def spoils(array: str, **how: Any):
    return lambda path: spoil(path, array, **how)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, ["cannot be opened", "truncated"]),
        (overwrite_header, ["cannot be opened", "an HDF5 file"]),
        (unwritten, ["never written whole", ":tensor", "0 of 1"]),
        (partly_written, ["never written whole", ":tensor", "4 of 6"]),
        (elsewhere, ["lives in another file", ":tensor"]),
        (flip_compressed, ["cannot be read", ":tensor", "(6, 11, 16)"]),
        (spoils("tensor"), [":tensor", "no such array", "t-coordinate (12,)", "(N, T, X)"]),
        (spoils("tensor", values=burgers_values()[0]), [":tensor", "2 axes", "3 axes (N, T, X)"]),
        (spoils("tensor", values=np.ones((6, 11, 16), complex)), [":tensor", "complex128", "real"]),
        (spoils("tensor", values=np.ones((0, 11, 16))), [":tensor", "empty", "at least one"]),
        (spoils("x-coordinate"), [":x-coordinate", "no such array"]),
        (spoils("x-coordinate", values=np.arange(15.0)), [":x-coordinate", "15 nodes", "16"]),
        (spoils("t-coordinate", values=np.arange(13.0)), [":t-coordinate", "13 nodes", "11 or 12"]),
        (lambda p: write_burgers(p, nu=None), ["parameter Nu is missing", "attributes none"]),
        (attribute(np.nan), ["not a number", ":Nu", "nan"]),
        (attribute("high"), ["not a number", ":Nu", "high"]),
    ],
)  # fmt: skip
def test_spoilt_input_never_becomes_data(tmp_path, damage, said):
    path = tmp_path / "raw.hdf5"
    write_burgers(path)
    damage(path)
    with pytest.raises(DataInvalid) as caught:
        convert(path, tmp_path / "out")
    for words in ("raw.hdf5", *said):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("raw.pt", b"no pickle", ["cannot be opened", "raw.pt", "dict of tensors"]),
        ("raw.npz", b"no zip", ["cannot be opened", "raw.npz"]),
        ("README.md", b"text", ["unknown format", "README.md", ".hdf5", "spec.source.pattern"]),
    ],
)
def test_other_formats_spoilt(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataInvalid) as caught:
        convert(tmp_path / name, tmp_path / "out", DARCY)
    for words in said:
        assert words in str(caught.value)


def test_pickled_objects_are_not_loaded(tmp_path):
    import torch

    torch.save({"x": Path("anything")}, tmp_path / "raw.pt")
    with pytest.raises(DataInvalid, match="cannot be opened"):
        convert(tmp_path / "raw.pt", tmp_path / "out", DARCY)


def test_parameter_with_two_values(tmp_path):
    write_burgers(tmp_path / "a_Nu0.1.hdf5", nu=0.01)
    with pytest.raises(DataInvalid, match=r"0.01 in the attribute, 0.1 in the file name"):
        convert(tmp_path / "a_Nu0.1.hdf5", tmp_path / "out")


def test_input_and_solution_of_different_length(tmp_path):
    write_darcy(tmp_path / "raw.hdf5")
    spoil(tmp_path / "raw.hdf5", "nu", values=np.ones((3, 8, 8), np.float32))
    with pytest.raises(
        DataInvalid, match=r"(?s)do not belong together.*raw.hdf5:nu.*3 along N.*4, as tensor"
    ):
        convert(tmp_path / "raw.hdf5", tmp_path / "out", DARCY)


@pytest.mark.parametrize("samples", [[0, 7], [3, 3], [5, 2]])
def test_samples_that_are_not_there(tmp_path, samples):
    write_burgers(tmp_path / "raw.hdf5")
    with pytest.raises(
        InvalidSpec, match=r"(?s)not a range within the file.*set spec.convert.samples to \[0, 6\]"
    ):
        convert(tmp_path / "raw.hdf5", tmp_path / "out", samples=samples)


def test_compression_that_the_format_has_not():
    with pytest.raises(InvalidSpec, match=r"set spec.convert.compression to gzip"):
        ConvertOptions.from_recipe({"format": "hdf5", "compression": "zstd"})
