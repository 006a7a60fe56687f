"""gc: only what nothing leads to, and only when it is old."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from store_cases import make_folder, publish_folder

from ups_core.store import RunRecord, Store, find, gc, references, register, verify
from ups_core.store.garbage import DAY, ObjectState, decide
from ups_core.store.manifest import Manifest

NOW = 1_000 * DAY
OLD, YOUNG = NOW - 8 * DAY, NOW - 6 * DAY
CUTOFF = NOW - 7 * DAY


def _state(
    key: str, *inputs: str, changed: float = OLD, folders: dict[str, float] | None = None
) -> ObjectState:
    references = {name: {"step": "s", "key": name, "digest": "d"} for name in inputs}
    return ObjectState(
        published=True,
        manifest=Manifest("s", key, "own", {}, references),
        changed=changed,
        folders={uuid: (10, time) for uuid, time in (folders or {"own": changed}).items()},
    )


@pytest.mark.parametrize(
    ("roots", "objects", "removed"),
    [
        ([], {"a": _state("a")}, ["objects/s/a"]),
        (["a"], {"a": _state("a")}, []),
        ([], {"a": _state("a", changed=YOUNG)}, []),
        (["c"], {"a": _state("a"), "b": _state("b", "a"), "c": _state("c", "b")}, []),
        (["b"], {"a": _state("a"), "b": _state("b", "a"), "c": _state("c", "b")}, ["objects/s/c"]),
        (["gone"], {"a": _state("a")}, ["objects/s/a"]),
        (["a"], {"a": _state("a", folders={"own": OLD, "lost": OLD, "new": YOUNG})}, ["objects/s/a/lost"]),
        ([], {"a": _state("a", folders={"own": OLD, "new": YOUNG})}, []),
        ([], {"a": ObjectState(folders={"dead": (1, OLD), "alive": (1, YOUNG)})}, ["objects/s/a/dead"]),
        (["a"], {"a": ObjectState(published=True, changed=OLD, folders={"x": (1, OLD)})}, []),
    ],
    ids=[
        "unreachable",
        "live",
        "young",
        "inputs of live ones",
        "not what uses it",
        "a root that is gone",
        "abandoned beside the winner",
        "a publisher is at work",
        "a publisher died",
        "an unreadable manifest keeps all",
    ],
)
def test_decide(roots: list[str], objects: dict[str, ObjectState], removed: list[str]) -> None:
    states = {f"objects/s/{name}": state for name, state in objects.items()}
    removals = decide(states, {f"objects/s/{name}" for name in roots}, CUTOFF)
    assert [removal.path for removal in removals] == removed


def _age(store: Store, days: float) -> float:
    """Now, as seen so many days from the last change in the store."""
    return max(entry.mtime for entry in store.list()) + days * DAY


def test_gc_frees_what_nothing_names(store: Store, tmp_path: Path) -> None:
    source = publish_folder(store, make_folder(tmp_path / "1"), "11" * 32, step="fetch")
    data = publish_folder(store, make_folder(tmp_path / "2"), "22" * 32, inputs={"source": source})
    model = publish_folder(store, make_folder(tmp_path / "3"), "33" * 32, step="train", inputs={"data": data})
    loose = publish_folder(store, make_folder(tmp_path / "4"), "44" * 32, step="train")
    register(store, "default", "burgers", "v1", {"key": "22" * 32, "object": data.path, "registered": "2030"})
    RunRecord(store, "runs/default/tr/demo/1").write_json("run.json", {"artifacts": [{"uri": model.uri}]})
    store.put(f"{data.path}/feed/data.bin", b"half")
    live = references(store, "runs")
    assert live == {model.path}

    assert gc(store, live=live, now=_age(store, 6.9)) == []
    freed = gc(store, live=live, now=_age(store, 7.1))
    assert [(removal.path, removal.reason) for removal in freed] == [
        (f"{data.path}/feed", "abandoned"),
        (loose.path, "unreachable"),
    ]
    assert freed[0].size == 4
    assert find(store, "train", "44" * 32) is not None  # dry by default

    assert gc(store, live=live, now=_age(store, 7.1), apply=True) == freed
    assert gc(store, live=live, now=_age(store, 7.1), apply=True) == []
    assert find(store, "train", "44" * 32) is None
    assert verify(store) == []
    assert [removal.path for removal in gc(store, live=[], now=_age(store, 7.1))] == [model.path]


def test_gc_that_dies_leaves_no_half_object(store: Store, tmp_path: Path, monkeypatch) -> None:
    publish_folder(store, make_folder(tmp_path / "1"), "11" * 32)

    def dies(*_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "delete_folder", dies)
    with pytest.raises(KeyboardInterrupt):
        gc(store, live=[], now=_age(store, 8), apply=True)
    assert find(store, "convert", "11" * 32) is None


def test_gc_of_damaged_objects_removes_their_manifests_only(store: Store, tmp_path: Path) -> None:
    whole = publish_folder(store, make_folder(tmp_path / "1"), "11" * 32)
    broken = publish_folder(store, make_folder(tmp_path / "2"), "22" * 32)
    broken.file("data.bin", tmp_path).write_bytes(os.urandom(1000))
    removals = gc(store, live=[], now=_age(store, 0), damaged=True, apply=True)
    assert [removal.path for removal in removals] == [f"{broken.path}/manifest.json"]
    assert find(store, "convert", "22" * 32) is None
    assert store.exists(f"{broken.path}/{broken.manifest.uuid}/data.bin")
    assert publish_folder(store, make_folder(tmp_path / "3"), "22" * 32).digest == whole.digest


def test_gc_frees_probes_that_were_left(store: Store) -> None:
    store.put(".probe/x", b"1")
    assert gc(store, live=[], now=_age(store, 6), apply=True) == []
    assert [removal.path for removal in gc(store, live=[], now=_age(store, 8), apply=True)] == [".probe/x"]
    assert list(store.list()) == []


def test_gc_frees_the_outputs_of_killed_steps(store: Store) -> None:
    assert store.root is not None
    store.put("tmp/out-old/object/u.npy", b"1234")
    (store.root / "tmp" / "copy-empty").mkdir()
    store.put("tmp/out-young/object/u.npy", b"1")
    for path in (store.root / "tmp").rglob("*"):
        if "out-young" not in str(path):
            os.utime(path, (OLD, OLD))
        else:
            os.utime(path, (OLD, YOUNG if path.name == "u.npy" else OLD))
    freed = gc(store, live=[], now=NOW, apply=True)
    assert freed == [("tmp/copy-empty", "abandoned", 0), ("tmp/out-old", "abandoned", 4)]
    assert [path.name for path in (store.root / "tmp").iterdir()] == ["out-young"]


def test_gc_frees_checkpoints_of_published_stages(store: Store, tmp_path: Path) -> None:
    done, open_ = "11" * 32, "22" * 32
    model = publish_folder(store, make_folder(tmp_path / "1"), done, step="train")
    runs = "runs/default/tr/demo/1"
    for key in (done, open_):
        store.put(f"{runs}/checkpoints/{key}/00000010/checkpoint.json", b"{}")
        store.put(f"{runs}/checkpoints/{key}/00000020/checkpoint.json", b"{}")
    store.put(f"{runs}/run.json", b"{}")
    assert gc(store, live=[model.path], now=_age(store, 6)) == []
    freed = gc(store, live=[model.path], now=_age(store, 8), apply=True)
    assert freed == [(f"{runs}/checkpoints/{done}", "superseded", 4)]
    left = {entry.path for entry in store.list("runs")}
    assert left == {f"{runs}/run.json"} | {
        f"{runs}/checkpoints/{open_}/000000{n}0/checkpoint.json" for n in (1, 2)
    }
