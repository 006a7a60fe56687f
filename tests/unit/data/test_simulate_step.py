from __future__ import annotations

import h5py
import numpy as np
import pytest

from ups_core.errors import DataInvalid, InvalidSpec
from ups_core.steps.simulate import shard_files


@pytest.mark.parametrize("shards", [1, 3, 7])
@pytest.mark.parametrize("simulate", [{"samples": 10}, {"train": 7, "test": 3}])
def test_shards_hold_every_sample_once(simulate, shards):
    files = [
        file for shard in range(shards) for file in shard_files({**simulate, "shards": shards}, shard, ".h5")
    ]
    assert sorted(i for _, indices in files for i in indices) == list(range(10))
    assert len({name for name, _ in files}) == len(files)
    assert all(i >= 7 for name, indices in files for i in indices if name.startswith("test"))


def recipe(shard: int = 0, **simulate):
    params = {"beta": 0.1, "points": 32, "frames": 5}
    return {"family": "advection1d", "source": {"simulate": {"params": params, **simulate}}, "shard": shard}


def test_samples_do_not_depend_on_shards(pipeline):
    def values(simulate, shards):
        read = []
        for shard in range(shards):
            published = pipeline.run("simulate", recipe(shard, **simulate, shards=shards))
            for name in sorted(published.manifest.files):
                with h5py.File(pipeline.folder_of(published) / name) as file:
                    read.append(file["tensor"][...])
        return np.concatenate(read)

    np.testing.assert_array_equal(values({"samples": 5, "seed": 3}, 1), values({"samples": 5, "seed": 3}, 2))
    assert not np.array_equal(values({"samples": 2, "seed": 3}, 1), values({"samples": 2, "seed": 4}, 1))


@pytest.mark.parametrize(("family", "params"), [("advection1d", {"beta": 0.1}), ("burgers1d", {"nu": 0.1})])
def test_progress_is_counted_in_samples(pipeline, family, params):
    asked = recipe(samples=4)
    asked["family"], asked["source"]["simulate"]["params"] = family, {**params, "points": 32, "frames": 5}
    pipeline.run("simulate", asked)
    assert {total for _, total in pipeline.progress} == {4}
    done = [done for done, _ in pipeline.progress]
    assert done == sorted(done)
    assert done[-1] == 4
    assert done.count(4) == 1


def test_simulated_to_cached_in_shards(pipeline):
    raw = {
        f"raw-{shard}": pipeline.run("simulate", recipe(shard, train=6, test=2, shards=2)) for shard in (0, 1)
    }
    data = pipeline.run("convert", {"family": "advection1d", "convert": {"stride": {"x": 4}}}, raw)
    splits = {
        "train": {"pattern": "train-*", "count": 4},
        "val": {"pattern": "train-*", "count": 2},
        "test": {"pattern": "test-*"},
    }
    dealt = pipeline.run(
        "validate", {"family": "advection1d", "splits": splits, "seed": 0, "validation": {}}, {"data": data}
    )
    cached = pipeline.run("cache", {}, {"data": data, "splits": dealt})
    assert {name: split["samples"] for name, split in cached.json("dataset.json")["splits"].items()} == {
        "train": 4,
        "val": 2,
        "test": 2,
    }


def test_listed_values_share_initial_states_and_one_of_them_can_be_held_out(pipeline):
    asked = recipe(samples=6)
    asked["source"]["simulate"]["params"]["beta"] = [0.1, 0.4, 2.0]
    raw = pipeline.run("simulate", asked)
    assert sorted(raw.manifest.files) == [f"samples-0-beta{beta}.hdf5" for beta in ("0.1", "0.4", "2")]
    data = pipeline.run("convert", {"family": "advection1d", "convert": {}}, {"raw": raw})
    seen = {"beta": [0.1, 2.0]}
    splits = {
        "train": {"where": seen, "count": 3},
        "val": {"where": seen, "count": 1},
        "test": {"where": seen, "count": 2},
        "unseen": {"where": {"beta": 0.4}},
    }
    validation = {"conservation": 0.01}  # 32 points hold a kink badly
    wanted = {"family": "advection1d", "splits": splits, "seed": 0, "validation": validation}
    dealt = pipeline.run("validate", wanted, {"data": data})
    described = dealt.json("dataset.json")["splits"]
    assert {name: split["samples"] for name, split in described.items()} == {
        "train": 6,
        "val": 2,
        "test": 4,
        "unseen": 2,  # of six states, those that are neither trained nor chosen on
    }


def test_more_shards_than_samples(pipeline):
    with pytest.raises(InvalidSpec, match=r"(?s)more shards than samples.*spec.source.simulate.shards"):
        pipeline.run("simulate", recipe(0, samples=1, shards=3))


def test_raw_files_that_differ_in_suffix_alone(pipeline, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for name in ("a.hdf5", "a.h5"):
        (raw / name).write_bytes(b"")
    files = {"source": {}, "files": [{"name": "a.h5"}, {"name": "a.hdf5"}]}
    fetched = pipeline.run("fetch", files, options={"source": {"uri": str(raw)}})
    with pytest.raises(DataInvalid, match=r"differ in their suffix alone"):
        pipeline.run("convert", {"family": "burgers1d"}, {"raw": fetched})
