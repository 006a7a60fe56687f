"""What goes wrong for users: the documented exit code, and one message that says what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest
from tiny_run import TINY, Ups


class Case(NamedTuple):
    """What to run, and what must come of it."""

    arguments: list[object]
    code: int
    says: list[str]
    #: A file that is run before.
    first: Path | None = None
    #: Run in a mount namespace of its own, after this shell command.
    mount: str | None = None


class World(NamedTuple):
    """What a case is made from."""

    tmp: Path
    tiny: Path
    finished: Path

    def file(self, text: str) -> Path:
        path = self.tmp / "run.yaml"
        path.write_text(text)
        return path

    def copy(self) -> Path:
        shutil.copytree(self.finished, self.tmp / "store")
        return self.tmp / "store"


DATASET = TINY.split("---\n")[0]


def from_files(folder: str) -> str:
    source = "  source:\n    simulate: {samples: 14, params: {nu: 0.05, points: 128, frames: 11}}\n"
    assert source in TINY
    return TINY.replace(source, f"  source: {{uri: {folder}, pattern: '*.hdf5'}}\n")


def typo(w: World) -> Case:
    file = w.file(TINY.replace("stages:", "stagess:"))
    return Case(
        ["run", file, "--store", w.tmp / "s"], 2, [f"{file}:18:spec.stagess: unknown field", "write stages"]
    )


def no_resource_file(w: World) -> Case:
    return Case(
        ["run", w.tmp / "none.yaml", "--store", w.tmp / "s"], 5, ["there is no such file", "ups init"]
    )


def missing_source(w: World) -> Case:
    file = w.file(from_files("raw"))
    return Case(["run", file, "--store", w.tmp / "s"], 5, [str(w.tmp / "raw"), "spec.source.uri"])


def truncated_hdf5(w: World) -> Case:
    (w.tmp / "raw").mkdir()
    path = w.tmp / "raw" / "1D_Burgers_Sols_Nu0.05.hdf5"
    with h5py.File(path, "w") as file:
        file["tensor"] = np.random.default_rng(0).normal(size=(14, 11, 128)).astype("float32")
        file["x-coordinate"] = (np.arange(128) + 0.5) / 128
        file["t-coordinate"] = np.linspace(0, 2, 12)
        file.attrs["Nu"] = 0.05
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return Case(["run", w.file(from_files("raw")), "--store", w.tmp / "s"], 3, [path.name, "truncated"])


def damaged_object(w: World) -> Case:
    store = w.copy()
    [file] = store.glob("objects/cache/*/*/train/u.npy")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-8])
    return Case(["run", w.tiny, "--store", store], 3, ["damaged", "ups gc --damaged --apply"])


def wrong_bytes_of_the_right_size(w: World) -> Case:
    store = w.copy()
    [file] = store.glob("objects/train/*/*/model.safetensors")
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    return Case(["verify", "--store", store], 3, ["model.safetensors", "gc --damaged --apply"])


def wrong_checkpoint(w: World) -> Case:
    """The object to resume from is of a wider network."""
    store = w.copy()
    [train] = store.glob("objects/train/*")
    run = (
        TINY.split("---\n")[1]
        .replace("{name: tiny}\nspec:", "{name: wide}\nspec:")
        .replace("width: 8", "width: 12")
    )
    file = w.file(run + f"  resumeFrom: {{uri: objects/train/{train.name}}}\n")
    return Case(["run", file, "--store", store], 3, ["blocks.0.bias", "(8)", "(12)", "resumeFrom"])


def taken_version(w: World) -> Case:
    store = w.tmp / "store"
    first = w.tmp / "first.yaml"
    first.write_text(DATASET.replace("spec:\n", "spec:\n  version: v1\n"))
    file = w.file(DATASET.replace("spec:\n", "spec:\n  version: v1\n  seed: 1\n"))
    return Case(["run", file, "--store", store], 2, ["v1", "key"], first=first)


def read_only_store(w: World) -> Case:
    store = w.copy()
    file = w.file(TINY.replace("steps: 120", "steps: 20"))
    mount = f"mount --bind {store} {store} && mount -o remount,ro,bind {store}"
    return Case(["run", file, "--store", store], 8, ["read-only", str(store)], mount=mount)


def full_disk(w: World) -> Case:
    store = w.tmp / "store"
    store.mkdir()
    mount = f"mount -t tmpfs -o size=64k tmpfs {store}"
    return Case(["run", w.tiny, "--store", store], 8, ["No space left", "fix"], mount=mount)


def unknown_step(w: World) -> Case:
    return Case(["run", w.tiny, "--store", w.tmp / "s", "--force", "trian"], 2, ["trian", "train-operator"])


def unknown_run(w: World) -> Case:
    return Case(["status", "none", "--store", w.finished], 5, ["none", "tiny"])


def diverging(w: World) -> Case:
    file = w.file(
        TINY.replace(
            "        steps: 120\n", "        steps: 120\n        lr: 1.0e30\n        muonLr: 1.0e30\n"
        )
    )
    return Case(["run", file, "--store", w.copy()], 7, ["train-operator", "StageFailed"])


CASES: list[Callable[[World], Case]] = [
    typo,
    no_resource_file,
    missing_source,
    truncated_hdf5,
    damaged_object,
    wrong_bytes_of_the_right_size,
    wrong_checkpoint,
    taken_version,
    read_only_store,
    full_disk,
    unknown_step,
    unknown_run,
    diverging,
]


@pytest.fixture
def world(tmp_path: Path, tiny: Path, finished: Path) -> World:
    return World(tmp_path, tiny, finished)


def in_namespace(mount: str) -> list[str]:
    """What runs the words after it where ``mount`` was done, and nobody else sees it."""
    return ["unshare", "--map-root-user", "--mount", "sh", "-ec", f'{mount}\nexec "$@"', "sh"]


@pytest.mark.parametrize("make", CASES, ids=lambda case: case.__name__)
def test_a_failure_has_its_code_and_says_what_to_do(make: Callable[[World], Case], world: World, ups: Ups):
    case = make(world)
    if case.first:
        assert ups("run", case.first, "--store", world.tmp / "store").returncode == 0
    done = ups(*case.arguments, before=in_namespace(case.mount) if case.mount else ())
    told = done.stderr + done.stdout
    assert done.returncode == case.code, told
    for words in case.says:
        assert words in told, told
    assert "Traceback" not in told


def test_wrong_s3_credentials_have_their_code(ups: Ups, tiny: Path, s3):
    env = {**s3.environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
    done = ups("run", tiny, "--store", s3.uri + "/store", env=env)
    assert done.returncode == 4, done.stderr
    assert "wrong" not in done.stderr  # a secret is never shown
    assert s3.uri in done.stderr


def test_an_s3_server_that_does_not_answer_has_its_code(ups: Ups, tiny: Path):
    env = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    done = ups("run", tiny, "--store", "s3://bucket/store", env=env)
    assert done.returncode == 8, done.stderr


def test_check_finds_everything_and_exits_with_the_lowest_code(ups: Ups, tmp_path: Path):
    file = tmp_path / "run.yaml"
    text = from_files("nowhere").replace("  threads: 1\n", "  threads: 1\n  evaluation: {split: other}\n")
    file.write_text(text)
    done = ups("check", file, "--store", tmp_path / "s")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "spec.evaluation.split" in done.stderr
    shown = ups("check", file, "--store", tmp_path / "s", "-o", "json")
    assert sorted(error["exitCode"] for error in json.loads(shown.stdout)) == [2, 5]


def test_a_good_file_passes_check(ups: Ups, tiny: Path, tmp_path: Path):
    assert ups("check", tiny, "--store", tmp_path / "s").returncode == 0
