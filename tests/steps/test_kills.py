"""Killed anywhere, run again: the same digests, and no finished step repeated.

Once each here; ``make soak`` (``UPS_SOAK=1``) kills twenty times.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_run import Ups, digests

KILLS = 20 if os.environ.get("UPS_SOAK") else 3


def start(file: Path, store: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ups_workflows", "run", str(file), "--store", str(store)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def steps_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of the steps that a run has started."""
    try:
        return [
            int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ]
    except OSError:
        return []


def published_times(store: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in store.glob("objects/*/*/manifest.json")}


@pytest.mark.parametrize("victim", ["run", "step"])
def test_a_killed_run_ends_like_an_undisturbed_one(
    victim: str, ups: Ups, tiny: Path, finished: Path, tmp_path: Path, environment: dict[str, str]
):
    chance, kills, stores = random.Random(victim), 0, 0
    while kills < KILLS:  # a run lasts some kills; then another begins
        store, seen = tmp_path / str(stores), {}
        stores += 1
        while kills < KILLS and not list(store.glob("objects/analyze/*/manifest.json")):
            process = start(tiny, store, environment)
            time.sleep(chance.uniform(0.3, 9.0))
            targets = [process.pid] if victim == "run" else steps_of(process)
            for pid in targets[:1]:
                os.kill(pid, signal.SIGKILL)
                kills += 1
            if victim == "step":
                time.sleep(0.2)
                process.terminate()  # so that the next round begins; the retry of the step is under way
            process.wait()
            now = published_times(store)
            assert all(now[path] == at for path, at in seen.items()), "a finished step was repeated"
            seen = now
        done = ups("run", tiny, "--store", store)
        assert done.returncode == 0, done.stderr
        now = published_times(store)
        assert all(now[path] == at for path, at in seen.items()), "a finished step was repeated"
        assert digests(store) == digests(finished)


def test_training_goes_on_from_its_checkpoint(ups: Ups, tiny: Path, finished: Path, tmp_path: Path):
    store = tmp_path / "store"
    killed = ups("run", tiny, "--store", store, env={"UPS_FAULT": "checkpoint.after"})
    assert killed.returncode == 137  # the step, and the other try that a kill is given
    assert ups("run", tiny, "--store", store).returncode == 0
    log = ups("logs", "tiny", "train-operator", "--store", store).stdout
    assert "going on from a checkpoint" in log
    assert digests(store) == digests(finished)


def test_cancel_saves_the_state_and_resume_goes_on(
    ups: Ups, tiny: Path, finished: Path, tmp_path: Path, environment: dict[str, str]
):
    store = tmp_path / "store"
    process = start(tiny, store, environment)
    deadline = time.monotonic() + 120
    while not list(store.glob("runs/default/tr/tiny/*/metrics/train-operator-*.jsonl")):
        assert process.poll() is None, "the run ended before training began"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ups("cancel", "tiny", "--store", store).returncode == 0
    assert process.wait(timeout=60) == 130
    resource = json.loads(ups("status", "tiny", "--store", store, "-o", "json").stdout)
    assert resource["status"]["phase"] == "Suspended"
    assert resource["spec"]["suspend"] is True
    assert list(store.glob("runs/default/tr/tiny/*/checkpoints/*/*/checkpoint.json"))
    done = ups("resume", "tiny", "--store", store)
    assert done.returncode == 0, done.stderr
    assert digests(store) == digests(finished)


def test_runs_of_one_file_in_two_stores_do_not_disturb_each_other(
    tiny: Path, finished: Path, tmp_path: Path, environment: dict[str, str]
):
    processes = [start(tiny, tmp_path / name, environment) for name in ("one", "other")]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    assert digests(tmp_path / "one") == digests(tmp_path / "other") == digests(finished)


def test_two_runs_of_one_resource_exclude_each_other(
    ups: Ups, tiny: Path, tmp_path: Path, environment: dict[str, str]
):
    store = tmp_path / "store"
    process = start(tiny, store, environment)
    try:
        deadline = time.monotonic() + 60
        while not list(store.glob("runs/default/tr/tiny/*/run.json")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        second = ups("run", tiny, "--store", store)
        assert second.returncode == 2
        assert str(process.pid) in second.stderr
    finally:
        process.terminate()
        process.wait()
