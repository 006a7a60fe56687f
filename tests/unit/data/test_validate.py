from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from raw_files import burgers_values, spoil, write_burgers, write_darcy

from ups_core.data.canonical import read_json, write_json
from ups_core.data.convert import ConvertOptions, convert_file
from ups_core.data.dataset import open_dataset
from ups_core.data.families import family
from ups_core.data.validate import Findings, check_file
from ups_core.errors import DataInvalid, InvalidSpec, NotFound

SPLITS = {"train": 3, "val": 1, "test": 2}


def converted(pipeline, folder: Path, of: str = "burgers1d", **convert):
    """The published converted form of the raw files in ``folder``."""
    recipe = {"source": {}, "files": [{"name": path.name} for path in sorted(folder.glob("*"))]}
    raw = pipeline.run("fetch", recipe, options={"source": {"uri": str(folder)}})
    return pipeline.run("convert", {"family": of, "convert": convert}, {"raw": raw})


def validated(pipeline, data, of: str = "burgers1d", splits=None, **validation):
    recipe = {"family": of, "splits": splits or SPLITS, "seed": 0, "validation": validation}
    return pipeline.run("validate", recipe, {"data": data})


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def test_report_of_sound_data(pipeline, raw):
    values = write_burgers(raw / "a_Nu0.01.hdf5")
    result = validated(pipeline, converted(pipeline, raw, stride={"t": 2, "x": 4}))
    figures = result.json("report.json")["files"]["a_Nu0.01.h5"]
    kept = values[:, ::2, ::4]
    assert figures["arrays"]["u"]["min"] == kept.min()
    assert figures["arrays"]["u"]["max"] == kept.max()
    assert (
        figures["arrays"]["u"]["conservation"]["drift"] < 1e-6
    )  # the mean of all 16 nodes, not of the kept 4
    assert figures["arrays"]["x"]["spacing"] == pytest.approx(4 / 16)
    assert result.json("report.json")["splits"]["train"] == {"samples": 3, "states": 3, "dropped": 0}
    described = result.json("dataset.json")
    assert described["family"] == "burgers1d"
    assert described["splits"]["test"]["samples"] == 2
    assert described["splits"]["test"]["parameters"] == {"Nu": [0.01]}
    assert sorted(
        i for part in result.json("splits.json").values() for f in part for i in f["indices"]
    ) == list(range(6))


def drifting(path: Path) -> None:
    values = burgers_values()
    values[4] += np.linspace(0, 0.5, 11, dtype=np.float32)[:, None]
    spoil(path, "tensor", values=values)


@pytest.mark.parametrize(
    ("damage", "convert", "said"),
    [
        (
            lambda p: spoil(p, "tensor", at=((3, 5, 2), np.nan)),
            {},
            ["a.h5:u[3]: holds NaN or Inf, in 1 samples: 3"],
        ),
        (lambda p: spoil(p, "tensor", at=((5, 0, 0), -np.inf)), {}, ["a.h5:u[5]: holds NaN or Inf"]),
        (
            lambda p: spoil(p, "tensor", at=((2, 1, 1), 99.0)),
            {},
            ["a.h5:u[2]: leaves the range of spec.validation"],
        ),
        (lambda p: spoil(p, "x-coordinate", at=(7, 0.1)), {}, ["a.h5:x: does not increase at nodes 7"]),
        (lambda p: spoil(p, "t-coordinate", at=(3, np.nan)), {}, ["a.h5:t: not finite at nodes 3"]),
        (drifting, {}, ["a.h5:u[4]: the spatial mean drifts", "in 1 samples: 4"]),
        (drifting, {"stride": {"x": 2}}, ["a.h5:u[4]: the spatial mean drifts", "expected at most 0.001"]),
    ],
)
def test_findings(pipeline, raw, damage, convert, said):
    write_burgers(raw / "a.hdf5")
    damage(raw / "a.hdf5")
    data = converted(pipeline, raw, **convert)
    with pytest.raises(DataInvalid) as caught:
        validated(pipeline, data, max=50.0)
    for words in said:
        assert words in str(caught.value)


def test_all_findings_at_once_and_only_so_many_shown(pipeline, raw):
    for number in range(25):
        write_burgers(raw / f"{number:02}.hdf5", burgers_values(seed=number))
        spoil(raw / f"{number:02}.hdf5", "tensor", at=((0, 0, 0), np.nan))
    data = converted(pipeline, raw)
    with pytest.raises(DataInvalid) as caught:
        validated(pipeline, data)
    text = str(caught.value)
    assert "25 findings" in text
    assert "19.h5:u[0]" in text
    assert "20.h5" not in text
    assert "and 5 more" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda entry: entry["parameters"].clear(), "a.h5:Nu: not finite"),
        (
            lambda entry: entry["arrays"]["u"].update(dtype="float64"),
            "a.h5:u: is (6, 11, 1, 16) float32, the index",
        ),
        (lambda entry: entry.update(samples=7), "a.h5:u: 6 along N, expected 7"),
        (lambda entry: entry["arrays"].pop("u"), "a.h5:u: no such array"),
        (lambda entry: entry["arrays"].pop("t"), "a.h5:t: no such coordinate"),
    ],
)
def test_index_and_file_must_agree(tmp_path, change, said):
    write_burgers(tmp_path / "a.hdf5")
    of, options = family("burgers1d"), ConvertOptions()
    entry, _ = convert_file(tmp_path / "a.hdf5", "a.hdf5", of, options, tmp_path, lambda done, total: None)
    change(entry)
    findings = Findings()
    check_file(tmp_path, entry, of, {}, findings)
    assert any(line.startswith(said) for line in findings.lines), findings.lines


def test_data_of_another_family(pipeline, raw):
    write_burgers(raw / "a.hdf5")
    data = converted(pipeline, raw)
    with pytest.raises(DataInvalid, match=r"(?s)another family.*burgers1d.*advection1d"):
        validated(pipeline, data, of="advection1d")


def test_too_few_states(pipeline, raw):
    write_burgers(raw / "a.hdf5")
    data = converted(pipeline, raw)
    with pytest.raises(InvalidSpec, match=r"(?s)spec.splits.test.*0 initial states.*at least 5"):
        validated(pipeline, data, splits={"train": 4, "val": 2, "test": 5})


# ------------------------------------------------------------------------------------------- cache


@pytest.mark.parametrize("fmt", ["hdf5", "zarr"])
def test_cache_holds_what_was_dealt_out(pipeline, raw, fmt):
    values = {name: write_burgers(raw / f"{name}.hdf5", burgers_values(seed=i), nu=nu)
              for i, (name, nu) in enumerate([("a", 0.01), ("b", 0.1)])}  # fmt: skip
    data = converted(pipeline, raw, stride={"t": 2, "x": 2}, format=fmt)
    splits = validated(pipeline, data, splits={"train": 0.5, "val": 0.25, "test": 0.25})
    cached = pipeline.run("cache", {}, {"data": data, "splits": splits})
    folder = pipeline.folder_of(cached)
    seen = []
    for name, count in (("train", 6), ("val", 3), ("test", 3)):
        u = np.load(folder / name / "u.npy", mmap_mode="r")
        parameters, samples = (
            np.load(folder / name / "parameters.npy"),
            read_json(folder / name / "samples.json"),
        )
        assert u.shape == (count, 6, 1, 8)
        assert u.dtype == np.float32
        for row, sample in enumerate(samples):
            stem = Path(sample["file"]).stem
            np.testing.assert_array_equal(u[row, :, 0], values[stem][sample["index"], ::2, ::2])
            assert parameters[row, 0] == {"a": 0.01, "b": 0.1}[stem]
        seen += [(sample["file"], sample["index"]) for sample in samples]
        np.testing.assert_allclose(np.load(folder / name / "t.npy"), 0.02 * np.arange(6), rtol=1e-6)
    assert len(set(seen)) == 12
    dataset, train = cached.json("dataset.json"), np.load(folder / "train/u.npy").astype(np.float64)
    assert dataset["splits"]["train"] == {"samples": 6, "shape": [6, 1, 8]}
    assert dataset["dt"] == pytest.approx(0.02)
    assert dataset["parameters"] == ["Nu"]
    assert not dataset["steady"]
    assert dataset["normaliser_sha256"] == cached.manifest.files["normaliser.json"]["sha256"]
    statistics = cached.json("normaliser.json")["fields"]["u"]
    assert statistics["mean"] == pytest.approx(train.mean(), abs=1e-12)
    assert statistics["std"] == pytest.approx(train.std(), rel=1e-12)
    means = [[frame.mean() for frame in sample] for sample in train]
    drift = max(abs(mean - sample[0]) for sample in means for mean in sample)
    assert statistics["drift"] == pytest.approx(drift / train.std(), rel=1e-9)


def test_cache_of_a_steady_problem_with_two_resolutions(pipeline, raw):
    write_darcy(raw / "fine_beta1.0.hdf5", samples=6, nodes=8)
    write_darcy(raw / "coarse_beta1.0.hdf5", samples=2, nodes=4)
    splits = {
        "train": {"pattern": "fine*", "count": 3},
        "val": {"pattern": "fine*", "count": 1},
        "test": {"pattern": "fine*", "count": 2},
        "test4": {"pattern": "coarse*"},
    }
    data = converted(pipeline, raw, "darcy2d")
    dealt = validated(pipeline, data, "darcy2d", splits)
    cached = pipeline.run("cache", {}, {"data": data, "splits": dealt})
    dataset = cached.json("dataset.json")
    assert dataset["splits"]["train"]["shape"] == [1, 8, 8]
    assert dataset["splits"]["test4"]["shape"] == [
        1,
        4,
        4,
    ]
    assert dataset["dt"] is None
    assert [item["name"] for item in dataset["inputs"]] == ["a"]
    a = np.load(pipeline.folder_of(cached) / "train/a.npy")
    assert a.shape == (3, 1, 8, 8)
    assert a.dtype == np.float32
    assert cached.json("normaliser.json")["inputs"]["a"]["mean"] == pytest.approx(a.mean(dtype=np.float64))
    assert set(cached.json("normaliser.json")["fields"]["u"]) == {"mean", "std"}  # nothing moves
    mixed = validated(pipeline, data, "darcy2d", {**splits, "test4": {"pattern": "*"}})
    with pytest.raises(
        DataInvalid, match=r"(?s)different grids.*fine_beta1.0.hdf5 \(8,\).*coarse_beta1.0.hdf5, \(4,\)"
    ):
        pipeline.run("cache", {}, {"data": data, "splits": mixed})


def test_splits_with_different_time_steps(pipeline, raw):
    write_burgers(raw / "fine.hdf5")
    write_burgers(raw / "coarse.hdf5", burgers_values(seed=1))
    spoil(raw / "coarse.hdf5", "t-coordinate", values=0.1 * np.arange(12.0))
    data = converted(pipeline, raw)
    splits = {"train": {"pattern": "fine*", "count": 4}, "val": {"pattern": "fine*", "count": 2}}
    dealt = validated(pipeline, data, splits={**splits, "test": {"pattern": "coarse*"}})
    with pytest.raises(DataInvalid, match="different time steps"):
        pipeline.run("cache", {}, {"data": data, "splits": dealt})


# ------------------------------------------------------------------------------------ open_dataset


def test_open_dataset(pipeline, raw, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        write_burgers(raw / f"{name}.hdf5", burgers_values(seed=seed))
    data = converted(pipeline, raw, stride={"x": 2})
    dealt = validated(pipeline, data, splits={"train": 8, "val": 2, "test": 2})
    u = np.load(
        pipeline.folder_of(pipeline.run("cache", {}, {"data": data, "splits": dealt})) / "train/u.npy"
    )
    entry = {"key": dealt.manifest.key, "object": dealt.path}
    pipeline.store.put("datasets/default/demo/1.json", json.dumps(entry).encode())
    for uri in (
        dealt.uri,
        pipeline.store.url("datasets/default/demo/1.json"),
        str(tmp_path / "store" / dealt.path),
    ):
        opened = open_dataset(uri, tmp_path / "work")
        assert opened.splits == {"train": 8, "val": 2, "test": 2}
        assert opened.family.name == "burgers1d"
        train = opened["train"]
        assert train.u.shape == u.shape
        assert len(train) == 8
        np.testing.assert_array_equal(np.asarray(train.u), u)
        for key in (3, -1, slice(6, 1, -2), (slice(None, 5), 0), ([4, 1], ..., 3), (2, 5, 0), ..., (..., 0)):
            np.testing.assert_array_equal(train.u[key], u[key])
        assert train.parameters["Nu"].tolist() == [0.01] * 8
        assert train.coordinates["x"].shape == (8,)
    with pytest.raises(NotFound, match="no split nosuch"):
        opened["nosuch"]
    with pytest.raises(NotFound, match="no input array"):
        _ = train.a
    with pytest.raises(InvalidSpec, match="the object of a convert step"):
        open_dataset(data.uri)


def test_json_is_the_same_bytes_whatever_the_order(tmp_path):
    write_json(tmp_path / "a", {"x": 1, "y": [2.5]})
    write_json(tmp_path / "b", {"y": [2.5], "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_one_frame_is_no_trajectory(pipeline, raw):
    write_burgers(raw / "a_Nu0.01.hdf5")
    data = converted(pipeline, raw, stride={"t": 50})
    with pytest.raises(DataInvalid) as caught:
        pipeline.run("cache", {}, {"data": data, "splits": validated(pipeline, data)})
    for words in (
        "a_Nu0.01.hdf5, in split",
        "1 frame at convert.stride.t = 50",
        "lower spec.convert.stride.t",
    ):
        assert words in str(caught.value)


def test_a_split_by_an_unknown_parameter(pipeline, raw):
    write_burgers(raw / "a_Nu0.01.hdf5")
    with pytest.raises(InvalidSpec, match="write Nu for nu"):
        validated(pipeline, converted(pipeline, raw), splits={**SPLITS, "test": {"where": {"nu": 0.01}}})


@pytest.mark.parametrize("form", ["hdf5", "zarr"])
def test_the_strongest_initial_states_are_a_test_set(pipeline, raw, monkeypatch, form):
    # The second file reads its samples one by one, and its later frames are larger than any initial state.
    monkeypatch.setattr("ups_core.data.canonical.BLOCK_BYTES", 1)
    strengths = np.array([[1.0, 7.0, 2.0, 3.0, 5.0, 4.0], [2.5, 3.5, 0.5, 6.0, 1.5, 4.5]], np.float32)
    for name, strength in zip("ab", strengths, strict=True):
        values = np.ones((6, 11, 16), np.float32) * np.where(np.arange(16) % 2, 1, -1)
        values[:, 1:] *= 100
        values[:, 0] *= strength[:, None]
        write_burgers(raw / f"{name}.hdf5", values.astype(np.float32))
    data = converted(pipeline, raw, format=form)
    splits = {"train": 6, "val": 1, "test": 2, "strong": {"largest": "rms", "count": 3}}
    result = validated(pipeline, data, splits=splits)
    dealt = result.json("splits.json")
    suffix = {"hdf5": "h5", "zarr": "zarr"}[form]
    assert dealt["strong"] == [
        {"file": f"a.{suffix}", "indices": [1, 4]},
        {"file": f"b.{suffix}", "indices": [3]},
    ]
    told = result.json("report.json")["splits"]
    assert "extreme" not in told["test"]
    here, train = (np.array(told["strong"]["extreme"][name]) for name in ("here", "train"))
    assert here / here[0] == pytest.approx([1, 6 / 5, 7 / 5])
    assert train[2] < here[0]
    assert result.json("dataset.json")["splits"]["strong"]["samples"] == 3
    cached = pipeline.run("cache", {}, {"data": data, "splits": result})
    u = np.load(pipeline.folder_of(cached) / "strong/u.npy")
    assert np.abs(u[:, 0]).max(axis=(1, 2)).tolist() == [7, 5, 6]
    spoil(raw / "b.hdf5", "tensor", at=((0, 0, 0), np.nan))
    with pytest.raises(DataInvalid, match="holds NaN"):
        validated(pipeline, converted(pipeline, raw, format=form), splits=splits)


def test_of_a_steady_problem_the_inputs_are_ranked(pipeline, raw):
    a, _ = write_darcy(raw / "a_beta1.0.hdf5", samples=8, nodes=4)
    data = converted(pipeline, raw, "darcy2d")
    splits = {"train": 3, "val": 1, "test": 1, "rough": {"largest": "gradient", "count": 2}}
    dealt = validated(pipeline, data, "darcy2d", splits).json("splits.json")
    jumps = [np.square(np.diff(a, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2)]  # (N,), all of one width
    expected = np.argsort(-(jumps[0] + jumps[1]), kind="stable")[:2]
    assert dealt["rough"][0]["indices"] == sorted(expected.tolist())
