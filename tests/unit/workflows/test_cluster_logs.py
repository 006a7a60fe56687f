"""Logs of pods that are gone."""

from __future__ import annotations

from pathlib import Path

from ups_core.store import RunRecord, open_store
from ups_workflows.cluster.logs import archived, archived_lines


def test_what_a_pod_said_is_read_from_the_store_when_it_is_gone(tmp_path: Path):
    record = RunRecord(open_store(str(tmp_path)), "runs/ns/tr/burgers-1/uid")
    row = b'{"time": 0.5, "step": "train-operator", "event": "resumed"}'
    said = b"\n".join([row, b"Traceback", b"time=1 level=INFO argo=true"])
    for attempt, step in ((1, "train-operator"), (1, "cache"), (12, "train-operator")):
        pod = f"logs/containers/{attempt}/tr-burgers-1-{attempt}-{step}-3141592653"
        record.store.put(record.path(f"{pod}/main.log"), said)
        record.store.put(record.path(f"{pod}/wait.log"), b"of no interest")
    logs = archived(record, "tr-burgers-1", None)
    assert {(log.step, log.pod) for log in logs} == {
        ("train-operator", "tr-burgers-1-1-train-operator-3141592653"),
        ("cache", "tr-burgers-1-1-cache-3141592653"),
        ("train-operator", "tr-burgers-1-12-train-operator-3141592653"),
    }
    assert [log.step for log in archived(record, "tr-burgers-1", "cache")] == ["cache"]
    assert list(archived_lines(record, logs[0])) == [
        "1970-01-01T00:00:00.500+00:00 train-operator resumed",
        f"{logs[0].step}: Traceback",
    ]
