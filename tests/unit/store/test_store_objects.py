"""Objects: digests, publishing, finding, reading with the hash, verifying."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_cases import KEY, make_folder, publish_folder

from ups_core.errors import DataInvalid, InvalidSpec, NotFound, StorageUnavailable
from ups_core.store import (
    Manifest,
    Store,
    digest_of,
    find,
    open_object,
    open_uri,
    publish,
    verify,
)
from ups_core.store import publishing as publishing_module
from ups_core.store.manifest import FileFacts, describe

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
facts = st.fixed_dictionaries(
    {"size": st.integers(0, 2**40), "sha256": st.text("0123456789abcdef", max_size=4)}
)
listings = st.dictionaries(names, facts, max_size=5)


@given(listings.flatmap(lambda files: st.tuples(st.just(files), st.permutations(list(files.items())))))
def test_digest_knows_no_order(case) -> None:
    files, shuffled = case
    assert digest_of(dict(shuffled)) == digest_of(files)


@given(listings, listings)
def test_digest_is_equal_only_for_equal_listings(files, others) -> None:
    assert (digest_of(files) == digest_of(others)) == (files == others)


@given(st.dictionaries(names, facts, min_size=1, max_size=5), st.data())
def test_any_change_changes_the_digest(files: dict[str, FileFacts], data) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    size, sha256 = files[name]["size"], files[name]["sha256"]
    rest = {other: each for other, each in files.items() if other != name}
    for changed in (
        rest,
        rest | {name: FileFacts(size=size + 1, sha256=sha256)},
        rest | {name: FileFacts(size=size, sha256=sha256 + "0")},
        rest | {name + "x" * 9: files[name]},
    ):
        assert digest_of(changed) != digest_of(files)


def test_digest_by_hand() -> None:
    files = {"b": FileFacts(size=2, sha256="ff"), "a": FileFacts(size=1, sha256="ee")}
    assert digest_of(files) == hashlib.sha256(b'[["a",1,"ee"],["b",2,"ff"]]').hexdigest()


def test_a_folder_becomes_an_object(store: Store, tmp_path: Path) -> None:
    source = publish_folder(store, make_folder(tmp_path / "in"), "cd" * 32, step="fetch")
    folder = make_folder(tmp_path / "out", 1)
    expected = (folder / "data.bin").read_bytes()
    published = publish_folder(store, folder, inputs={"source": source})
    assert not folder.exists()
    assert published.uri == f"{store.uri}/objects/convert/{KEY}"
    assert published.read("data.bin") == expected
    assert published.json("inner/facts.json") == {"n": 3}
    assert published.file("data.bin", tmp_path) == store.local_path(
        f"{published.path}/{published.manifest.uuid}/data.bin"
    )
    assert (published.folder(tmp_path) / "empty").read_bytes() == b""
    assert (
        open_object(store, published.path)
        == open_uri(published.uri)
        == find(store, "convert", KEY)
        == published
    )
    assert published.manifest.inputs == {
        "source": {"step": "fetch", "key": "cd" * 32, "digest": source.digest}
    }
    assert verify(store) == []
    raw = json.loads(store.get(f"{published.path}/manifest.json"))
    assert raw["files"]["data.bin"] == {"size": 1000, "sha256": hashlib.sha256(expected).hexdigest()}
    assert raw["schema"] == 1


def test_the_digest_is_of_the_content_only(store: Store, tmp_path: Path) -> None:
    one = publish_folder(store, make_folder(tmp_path / "a"), "11" * 32)
    two = publish_folder(
        store, make_folder(tmp_path / "b"), "22" * 32, step="other", provenance={}, recipe={}
    )
    assert one.digest == two.digest


def test_what_is_there_is_adopted(store: Store, tmp_path: Path) -> None:
    first = publish_folder(store, make_folder(tmp_path / "a", 1))
    assert publish_folder(store, make_folder(tmp_path / "b", 2)) == first
    assert not (tmp_path / "b").exists()


def test_one_of_fifty_publishers_wins(store: Store, tmp_path: Path, race) -> None:
    winner = race(store, tmp_path)
    assert {entry.path.split("/")[3] for entry in store.list(winner.path)} == {
        winner.manifest.uuid,
        "manifest.json",
    }
    assert verify(store) == []
    assert list(store.list(".probe")) == []


def test_a_faster_publisher_is_adopted(store: Store, tmp_path: Path, monkeypatch) -> None:
    """Both get past the look at what is there; the second to create its manifest loses."""
    rival = []

    def rival_publishes(*_) -> None:
        monkeypatch.undo()
        rival.append(publish_folder(store, make_folder(tmp_path / "rival", 2)))

    monkeypatch.setattr(publishing_module, "fault_point", rival_publishes)
    assert publish_folder(store, make_folder(tmp_path / "own", 1)) == rival[0]
    assert len([entry for entry in store.list("objects") if entry.path.endswith("data.bin")]) == 1


def test_a_lost_answer_is_a_win(store: Store, tmp_path: Path, monkeypatch) -> None:
    """A retried create meets the manifest that its first try wrote."""
    create = Store.create

    def lose_the_answer(self: Store, path: str, data: bytes) -> bool:
        return create(self, path, data) and not path.endswith("manifest.json")

    monkeypatch.setattr(Store, "create", lose_the_answer)
    published = publish_folder(store, make_folder(tmp_path / "a"))
    assert published.read("inner/facts.json") == b'{"n": 3}'


def test_a_store_that_ignores_the_condition_is_refused(store: Store, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Store, "create", lambda self, path, data: self.put(path, data) is None)
    with pytest.raises(StorageUnavailable, match="ignores conditional creation"):
        publish_folder(store, make_folder(tmp_path / "a"))
    assert list(store.list()) == []


def test_another_disk(store: Store, tmp_path: Path, monkeypatch) -> None:
    """Where a rename is impossible the folder is copied, and still consumed."""

    def rename_fails(*_) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", rename_fails)
    published = publish_folder(store, make_folder(tmp_path / "a"))
    assert not (tmp_path / "a").exists()
    assert verify(store, published.path) == []


def test_an_object_is_as_young_and_as_readable_as_its_publication(store: Store, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a")
    folder.chmod(0o700)  # as tempfile makes them
    os.utime(folder / "data.bin", (0, 0))
    published = publish_folder(store, folder)
    assert min(entry.mtime for entry in store.list(published.path)) > 1e9
    taken = published.folder(tmp_path)
    assert taken.stat().st_mode == taken.parent.stat().st_mode


def test_a_disk_that_fills_up_gets_its_space_back(store: Store, tmp_path: Path, monkeypatch) -> None:
    def no_space(_, target: Path) -> None:
        target.mkdir()
        (target / "data.bin").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publishing_module.shutil, "move", no_space)
    with pytest.raises(StorageUnavailable, match="the disk is full"):
        publish_folder(store, make_folder(tmp_path / "a"))
    assert list(store.list()) == []


def test_links_and_nothing_are_not_published(store: Store, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a")
    (folder / "link").symlink_to(folder / "data.bin")
    with pytest.raises(ValueError, match="not a regular file"):
        publish_folder(store, folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="nothing to publish"):
        publish_folder(store, tmp_path / "none")


def test_what_is_missing_is_told(store: Store, tmp_path: Path) -> None:
    assert find(store, "convert", KEY) is None
    with pytest.raises(NotFound):
        open_object(store, f"objects/convert/{KEY}")
    with pytest.raises(InvalidSpec):
        open_object(store, "runs/x")
    published = publish_folder(store, make_folder(tmp_path / "a"))
    with pytest.raises(NotFound, match="has no file nope") as caught:
        published.read("nope")
    assert "data.bin, empty" in caught.value.details["found"]


def test_damage_is_found(store: Store, tmp_path: Path) -> None:
    published = publish_folder(store, make_folder(tmp_path / "a"))
    file = published.file("data.bin", tmp_path)
    file.write_bytes(b"x" * 1000)
    assert find(store, "convert", KEY) is not None  # the size is right; readers hash
    for read in (published.read, lambda name: published.file(name, tmp_path)):
        with pytest.raises(DataInvalid, match="is damaged") as caught:
            read("data.bin")
        assert caught.value.details["fix"] == f"ups gc --damaged --apply --store {store.uri}"
    assert [(finding.object, finding.file) for finding in verify(store)] == [(published.path, "data.bin")]
    file.write_bytes(b"short")
    with pytest.raises(DataInvalid, match="is damaged"):
        find(store, "convert", KEY)
    assert verify(store)[0].found == "5 bytes"
    file.unlink()
    with pytest.raises(DataInvalid, match="is damaged"):
        published.read("data.bin")
    with pytest.raises(DataInvalid, match="is damaged"):
        published.folder(tmp_path)
    assert verify(store, published.path)[0].found == "no such file"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"schema": 9}', b'{"schema": 1, "step": "x"}'])
def test_a_damaged_manifest_is_found(store: Store, tmp_path: Path, damage: bytes) -> None:
    published = publish_folder(store, make_folder(tmp_path / "a"))
    store.put(f"{published.path}/manifest.json", damage)
    with pytest.raises(DataInvalid, match="manifest"):
        find(store, "convert", KEY)
    assert [(finding.object, finding.file) for finding in verify(store)] == [
        (published.path, "manifest.json")
    ]


@pytest.mark.parametrize("name", ["../up", "/abs", "a/../../b", "a//b", "a/./b", "tab\t"])
def test_a_manifest_cannot_reach_outside(name: str) -> None:
    manifest = Manifest("convert", KEY, "u", {name: {"size": 1, "sha256": "aa"}})
    with pytest.raises(DataInvalid, match="damaged"):
        Manifest.from_json(manifest.to_json(), where="here", fix="that")


def test_describe_hashes_what_is_there(tmp_path: Path) -> None:
    described = describe(make_folder(tmp_path / "a"))
    assert list(described) == ["data.bin", "empty", "inner/facts.json"]
    assert described["empty"] == {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}


def test_a_key_that_is_no_path_segment_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not make a path"):
        publish(
            store,
            step="convert",
            key="../x",
            folder=tmp_path,
            inputs={},
            recipe={},
            deterministic=True,
            provenance={},
        )
