"""The record of a run: JSON files, and rows in segments that keep their order."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ups_core.errors import StorageUnavailable
from ups_core.store import RunRecord, Store
from ups_core.store.record import Kind


@pytest.fixture
def record(store: Store) -> RunRecord:
    return RunRecord(store, "runs/default/tr/demo/1234")


def _names(record: RunRecord, kind: str) -> list[str]:
    return [entry.path.rpartition("/")[2] for entry in record.store.list(record.path(kind))]


def test_json(record: RunRecord) -> None:
    assert record.read_json("run.json") is None
    assert record.read_json("run.json", {"phase": "Pending"}) == {"phase": "Pending"}
    record.write_json("run.json", {"phase": "Running", "name": "é"})
    assert record.read_json("run.json") == {"phase": "Running", "name": "é"}
    assert record.path("run.json") == "runs/default/tr/demo/1234/run.json"


def test_rows_come_in_order_over_segments_attempts_and_writers(record: RunRecord) -> None:
    for attempt, shard in ((2, 0), (10, 0), (1, 1), (1, 0)):
        with record.writer("metrics", "train-operator", attempt, shard) as writer:
            for row in range(12):  # past one digit of segments
                writer.write({"at": [attempt, shard, row]})
                writer.flush()
    with record.writer("metrics", "evaluate") as writer:
        writer.write({"at": "evaluate"})
    rows = [row["at"] for row in record.rows("metrics", "train-operator")]
    assert rows == sorted(rows)
    assert len(rows) == 48
    assert next(record.rows("metrics")) == {"at": "evaluate"}
    assert list(record.rows("metrics", "train")) == []
    assert list(record.rows("logs")) == []


def _wait_for_rows(record: RunRecord, kind: Kind, count: int) -> list:
    deadline = time.monotonic() + 5
    while len(rows := list(record.rows(kind))) < count and time.monotonic() < deadline:
        time.sleep(0.005)
    return rows


def test_rows_are_buffered(record: RunRecord) -> None:
    with record.writer("events", "train", seconds=60) as writer:
        writer.write({"row": 0})
        assert _wait_for_rows(record, "events", 1) == [{"row": 0}]  # the first is shown at once
        for row in range(1, 100):
            writer.write({"row": row})
        assert len(list(record.rows("events"))) == 1
    assert _names(record, "events") == ["train-1-0-0000.jsonl", "train-1-0-0001.jsonl"]
    assert [row["row"] for row in record.rows("events")] == list(range(100))


def test_a_row_does_not_wait_for_the_next_one(record: RunRecord) -> None:
    writer = record.writer("events", "train", seconds=0.05)
    writer.flush()
    writer.write({"row": 0})
    writer.write({"row": 1})
    assert _wait_for_rows(record, "events", 2) == [{"row": 0}, {"row": 1}]
    writer.close()
    assert len(_names(record, "events")) == 1


def test_a_process_that_starts_again_goes_on_behind(record: RunRecord) -> None:
    for _ in range(3):
        with record.writer("logs", "train", 1, 0) as writer:
            writer.write({"line": "x"})
    assert _names(record, "logs") == [f"train-1-0-{n:04d}.jsonl" for n in range(3)]


def test_two_writers_of_one_name_lose_no_row(record: RunRecord) -> None:
    one, two = record.writer("logs", "train"), record.writer("logs", "train")
    for row in range(3):
        one.write({"one": row})
        one.flush()
        two.write({"two": row})
        two.flush()
    assert len(list(record.rows("logs"))) == 6


def test_a_store_that_is_away_stops_nobody_and_loses_no_row(record: RunRecord, monkeypatch) -> None:
    def fails(*_) -> bool:
        raise StorageUnavailable("gone", where=os.devnull)

    writer = record.writer("metrics", "train", seconds=0.01)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "create", fails)
        for row in range(3):
            writer.write({"row": row})
            time.sleep(0.02)
        with pytest.raises(StorageUnavailable):
            writer.close()
    assert _wait_for_rows(record, "metrics", 0) == []
    writer.write({"row": 3})
    assert [row["row"] for row in _wait_for_rows(record, "metrics", 4)] == [0, 1, 2, 3]


def test_many_threads_write_rows(record: RunRecord) -> None:
    with record.writer("logs", "train", seconds=0.001) as writer, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda row: writer.write({"row": row}), range(500)))
    assert sorted(row["row"] for row in record.rows("logs")) == list(range(500))
