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

from ups_core.faults import fault_point
from ups_core.store import Store, find, verify


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
