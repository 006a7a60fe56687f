"""What the command does beside the API server: probes of a store, lines of a record, its own options."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ups_core.errors import InvalidSpec
from ups_core.store import RunRecord, open_store
from ups_workflows.cli.checks import PROBES, storage
from ups_workflows.cli.rows import followed, sorted_lines
from ups_workflows.cli.runs import open_runs

if TYPE_CHECKING:
    from conftest import S3Bucket  # at run time some other folder's conftest may have that name

ALL = ["identity", "list", "write", "conditional write", "read", "delete"]


def told(uri: str) -> list[tuple[str, str]]:
    return [(check.name.removeprefix("storage: "), check.level) for check in storage(uri)]


def test_a_good_store_is_good_in_every_probe_and_nothing_is_left(tmp_path: Path):
    assert told(str(tmp_path / "store")) == [(name, "ok") for name in ALL]
    assert list(open_store(str(tmp_path / "store")).list(PROBES)) == []


def test_s3_tells_who_you_are_from_what_you_may(s3: S3Bucket, monkeypatch: pytest.MonkeyPatch):
    assert told(s3.uri) == [(name, "ok") for name in ALL]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "reader-secret")
    assert told(s3.uri) == [("identity", "ok"), ("list", "ok"), ("write", "fail")]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert told(s3.uri) == [("identity", "fail")]
    assert [check.exit_code for check in storage(s3.uri)] == [4]


def test_a_store_that_ignores_conditions_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ups_core.store.Store.create", lambda self, path, data: True)
    failed = [check for check in storage(str(tmp_path)) if check.level == "fail"]
    assert [(check.name, check.exit_code) for check in failed] == [("storage: conditional write", 8)]


def test_a_bucket_that_is_not_there(s3: S3Bucket):
    (only,) = storage("s3://not-there-at-all/store")
    assert (only.name, only.exit_code) == ("storage: list", 5)


def test_a_record_is_followed_until_nothing_more_can_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ups_workflows.cli.rows.INTERVAL", 0)
    record = RunRecord(open_store(str(tmp_path)), "runs/default/tr/demo/u")
    written = iter(("one", "two", "three"))

    def live() -> bool:
        """Writes a segment at every look; after the last one the run is over."""
        event = next(written, None)
        if event is not None:
            with record.writer("logs", "convert") as writer:
                writer.write({"event": event, "step": "convert", "time": float(len(event))})
        return event is not None

    lines = list(followed(record, "logs", None, live))
    assert [line.split()[-1] for line in lines] == ["one", "two", "three"]
    assert sorted(lines) == sorted(sorted_lines(record, "logs", None))
    assert list(sorted_lines(record, "logs", None, without=frozenset({"convert"}))) == []


def test_options_of_a_cluster_are_refused_without_one(tmp_path: Path):
    with pytest.raises(InvalidSpec, match="a context is of a cluster"):
        open_runs("local", None, None, "prod")


def test_help_loads_neither_a_cluster_nor_an_engine():
    code = (
        "import sys, typer\n"
        "from ups_workflows.cli import app\n"
        "typer.main.get_command(app)\n"
        "heavy = {'kubernetes', 'hera', 'pydantic', 'rich'}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_a_kubeconfig_the_command_says_so(tmp_path: Path):
    env = {**os.environ, "KUBECONFIG": str(tmp_path / "none"), "UPS_ENGINE": "argo"}
    command = [sys.executable, "-m", "ups_workflows", "status"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no cluster to talk to" in done.stderr
