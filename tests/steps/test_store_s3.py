"""The store on a real S3 server: the same promises as on files, kept by conditional requests."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import s3_server
import store_cases
from store_cases import KEY, make_folder, publish_folder

from ups_core.errors import CredentialsInvalid, DataInvalid, NotFound
from ups_core.store import RunRecord, Store, find, gc, lookup, open_store, open_uri, publish, register, verify
from ups_core.store.base import PART_BYTES


@pytest.fixture
def store(s3) -> Store:
    return open_store(f"{s3.uri}/some/prefix")


def test_bytes(store: Store) -> None:
    for name in ("a b%20c/d", "a/é", "a/x=1"):
        store.put(name, b"old")
        store.put(name, b"new")
        assert store.get(name) == b"new"
    assert [(entry.path, entry.size) for entry in store.list("a")] == [("a/x=1", 3), ("a/é", 3)]
    assert store.create("c", b"1")
    assert not store.create("c", b"2")
    assert (store.exists("c"), store.exists("d")) == (True, False)
    assert store.local_path("c") is None
    with pytest.raises(NotFound):
        store.get("d")
    store.delete_folder("a")
    store.delete_folder("nothing")
    store.delete("c")
    store.delete("c")
    assert [entry.path for entry in store.list()] == ["a b%20c/d"]


def test_a_file_of_several_parts(store: Store, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(random.Random(0).randbytes(3 * PART_BYTES + 1))
    store.put_file("big", big)
    assert store.head("big").size == 3 * PART_BYTES + 1
    store.get_file("big", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == big.read_bytes()


def test_an_object_has_the_same_digest_on_s3_and_on_files(store: Store, tmp_path: Path) -> None:
    remote = publish_folder(store, make_folder(tmp_path / "a"))
    local = publish_folder(open_store(str(tmp_path / "files")), make_folder(tmp_path / "b"))
    assert remote.digest == local.digest
    assert not (tmp_path / "a").exists()
    there = open_uri(remote.uri)
    assert there.json("inner/facts.json") == {"n": 3}
    copied, original = there.folder(tmp_path / "work"), local.folder(tmp_path / "work")
    for name in local.manifest.files:
        assert (copied / name).read_bytes() == (original / name).read_bytes()
    assert find(store, "convert", KEY) == remote
    assert find(store, "convert", "none") is None


def test_damage_is_found_and_mended(store: Store, tmp_path: Path) -> None:
    published = publish_folder(store, make_folder(tmp_path / "a"))
    file = f"{published.path}/{published.manifest.uuid}/data.bin"
    store.put(file, b"x" * 1000)
    with pytest.raises(DataInvalid, match="is damaged"):
        published.read("data.bin")
    with pytest.raises(DataInvalid, match="is damaged"):
        published.file("data.bin", tmp_path / "work")
    assert [finding.file for finding in verify(store)] == ["data.bin"]
    store.delete(file)
    with pytest.raises(DataInvalid, match="is damaged"):
        find(store, "convert", KEY)
    gc(store, live=[], now=0, damaged=True, apply=True)
    assert find(store, "convert", KEY) is None


def test_a_copy_is_used_again_only_while_it_is_right(store: Store, tmp_path: Path) -> None:
    published = publish_folder(store, make_folder(tmp_path / "a"))
    copy = published.file("data.bin", tmp_path / "work")
    good, stat = copy.read_bytes(), copy.stat()
    assert published.file("data.bin", tmp_path / "work").stat() == stat
    copy.write_bytes(b"x" * 1000)
    assert published.file("data.bin", tmp_path / "work").read_bytes() == good


def test_one_of_fifty_publishers_wins(store: Store, tmp_path: Path, race) -> None:
    winner = race(store, tmp_path)
    assert len(list(store.list("objects"))) == 4  # its three files and the manifest
    assert verify(store) == []
    assert find(store, "convert", KEY) == winner


@pytest.mark.parametrize("fault", ["publish.after-upload", "publish.after-manifest"])
def test_killed_while_publishing(store: Store, tmp_path: Path, fault: str) -> None:
    command = [sys.executable, store_cases.__file__, store.uri, KEY, str(tmp_path / "a"), "0"]
    killed = subprocess.run(command, env=os.environ | {"UPS_FAULT": fault}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (find(store, "convert", KEY) is not None) == (fault == "publish.after-manifest")
    published = publish_folder(store, make_folder(tmp_path / "b"))
    assert published.json("inner/facts.json") == {"n": 3}
    assert verify(store) == []


def test_gc(store: Store, tmp_path: Path) -> None:
    kept = publish_folder(store, make_folder(tmp_path / "1"), "11" * 32)
    loose = publish_folder(store, make_folder(tmp_path / "2"), "22" * 32)
    later = max(entry.mtime for entry in store.list()) + 8 * 86_400
    assert [removal.path for removal in gc(store, live=[kept.uri], now=later, apply=True)] == [loose.path]
    assert list(store.list(loose.path)) == []
    assert verify(store) == []


def test_record_and_registry(store: Store) -> None:
    record = RunRecord(store, "runs/default/tr/demo/1")
    with record.writer("metrics", "train") as writer:
        for row in range(3):
            writer.write({"row": row})
            writer.flush()
    with record.writer("metrics", "train") as writer:
        writer.write({"row": 3})
    assert [row["row"] for row in record.rows("metrics")] == [0, 1, 2, 3]
    record.write_json("run.json", {"phase": "Running"})
    assert record.read_json("run.json") == {"phase": "Running"}
    register(store, "default", "burgers", "v1", {"key": "a", "registered": "2030"})
    assert lookup(store, "default", "burgers")["key"] == "a"


def _put(store: Store, _: Path) -> object:
    return store.put("a", b"1")


def _get(store: Store, _: Path) -> object:
    return store.get("a")


def _list(store: Store, _: Path) -> object:
    return list(store.list())


def _look(store: Store, _: Path) -> object:
    return store.exists("a")


def _find(store: Store, _: Path) -> object:
    return find(store, "convert", KEY)


def _publish(store: Store, work: Path) -> object:
    return publish(
        store,
        step="s",
        key="k",
        folder=make_folder(work / "f"),
        inputs={},
        recipe={},
        deterministic=True,
        provenance={},
    )


@pytest.mark.parametrize("do", [_put, _get, _list, _look, _find, _publish])
@pytest.mark.parametrize(
    ("name", "found"),
    [("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"), ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch")],
)
def test_wrong_credentials(
    s3, tmp_path: Path, monkeypatch, do: Callable[[Store, Path], object], name: str, found: str
) -> None:
    monkeypatch.setenv(name, "wrong")
    with pytest.raises(CredentialsInvalid, match="refused the credentials") as caught:
        do(open_store(s3.uri), tmp_path)
    assert s3.uri in caught.value.details["where"]
    if do is not _look:  # HEAD answers without a body
        assert found in caught.value.details["found"]


def test_credentials_that_may_only_read(s3, tmp_path: Path, monkeypatch) -> None:
    published = publish_folder(open_store(s3.uri), make_folder(tmp_path / "a"))
    for name, value in s3.server.environment("reader").items():
        monkeypatch.setenv(name, value)
    store = open_store(s3.uri)
    assert find(store, "convert", KEY) == published.__class__(store, published.path, published.manifest)
    with pytest.raises(CredentialsInvalid, match="refused the credentials") as caught:
        publish_folder(store, make_folder(tmp_path / "b"), "cd" * 32)
    assert "AccessDenied" in caught.value.details["found"]


@pytest.mark.parametrize("do", [_put, _get, _find, _publish])
def test_a_bucket_that_is_not_there(s3, tmp_path: Path, do: Callable[[Store, Path], object]) -> None:
    with pytest.raises(NotFound, match="the bucket does not exist") as caught:
        do(open_store("s3://nosuchbucket/prefix"), tmp_path)
    assert caught.value.details["fix"] == "create the bucket: aws s3 mb s3://nosuchbucket"


def test_the_server_as_a_command() -> None:
    """As a demonstration on S3 uses it: beside one command, whose exit code it gives back."""
    uri = f"s3://{s3_server.DEMO_BUCKET}/x"
    code = f"from ups_core.store import open_store; exit(41 + open_store({uri!r}).create('a', b''))"
    command = [sys.executable, s3_server.__file__, "--run", sys.executable, "-c", code]
    assert subprocess.run(command, check=False).returncode == 42
