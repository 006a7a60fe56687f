"""Killed at any point of publishing, an object is there whole or not at all, and the next run makes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import store_cases
from store_cases import KEY

from ups_core.errors import Preempted, UpsError
from ups_core.faults import fault_point
from ups_core.store import Store, find, publishing, verify


def _publish_in_a_process(store: Store, folder: Path, fault: str | None) -> int:
    environment = {name: value for name, value in os.environ.items() if name != "UPS_FAULT"}
    if fault:
        environment["UPS_FAULT"] = fault
    command = [sys.executable, store_cases.__file__, store.uri, KEY, str(folder), "0"]
    return subprocess.run(command, env=environment, check=False).returncode


@pytest.mark.parametrize(
    ("fault", "there"),
    [("publish.before-upload", False), ("publish.after-upload", False), ("publish.after-manifest", True)],
)
def test_killed_while_publishing(store: Store, tmp_path: Path, fault: str, there: bool) -> None:
    assert _publish_in_a_process(store, tmp_path / "one", fault) == -signal.SIGKILL
    assert (find(store, "convert", KEY) is not None) == there
    assert verify(store) == []
    assert _publish_in_a_process(store, tmp_path / "two", None) == 0
    published = find(store, "convert", KEY)
    assert published is not None
    assert published.json("inner/facts.json") == {"n": 3}
    assert verify(store) == []


@pytest.mark.parametrize("after", [True, False], ids=["after it took effect", "before"])
def test_a_signal_while_the_manifest_is_created(
    store: Store, tmp_path: Path, monkeypatch, after: bool
) -> None:
    create = Store.create

    def interrupted(self: Store, path: str, data: bytes) -> bool:
        if path.endswith("manifest.json"):
            if after:
                assert create(self, path, data)
            signal.raise_signal(signal.SIGTERM)
        return create(self, path, data)

    def on_sigterm(*_) -> None:
        raise Preempted("stopped by SIGTERM")

    before = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "create", interrupted)
            with pytest.raises(Preempted):
                store_cases.publish_folder(store, store_cases.make_folder(tmp_path / "one"))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (find(store, "convert", KEY) is not None) == after
    assert verify(store) == []
    published = store_cases.publish_folder(store, store_cases.make_folder(tmp_path / "two"))
    assert published.read("data.bin") == (store_cases.make_folder(tmp_path / "3") / "data.bin").read_bytes()


def test_a_loser_whose_answer_is_lost_removes_its_files(store: Store, tmp_path: Path, monkeypatch) -> None:
    def another_wins(store: Store, published) -> bool:
        monkeypatch.undo()
        store_cases.publish_folder(store, store_cases.make_folder(tmp_path / "winner", 1))
        raise Preempted("stopped by SIGTERM")

    monkeypatch.setattr(publishing, "_create_manifest", another_wins)
    with pytest.raises(UpsError):
        store_cases.publish_folder(store, store_cases.make_folder(tmp_path / "loser", 2))
    winner = find(store, "convert", KEY)
    assert winner is not None
    folders = {entry.path.split("/")[3] for entry in store.list("objects")}
    assert folders == {"manifest.json", winner.manifest.uuid}


def test_the_nth_passing(tmp_path: Path) -> None:
    code = """
from ups_core.faults import fault_point
for passing in range(9):
    print(passing, flush=True)
    fault_point("checkpoint.after")
"""
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"UPS_FAULT": "checkpoint.after:3"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (shown.returncode, shown.stdout.split()) == (-signal.SIGKILL, ["0", "1", "2"])


@pytest.mark.parametrize(("name", "wanted"), [("nope", ""), ("checkpoint.after", "nope:1")])
def test_a_name_that_nobody_registered(name: str, wanted: str, monkeypatch) -> None:
    monkeypatch.setenv("UPS_FAULT", wanted)
    with pytest.raises(ValueError, match="no such fault point: nope"):
        fault_point(name)
