"""The rows of a run's record as lines: all of them, or as they come."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from ups_core.store import RunRecord
from ups_core.store.record import Kind

#: Seconds between two looks at a record that is followed: a step writes its rows every ten.
INTERVAL = 1.0


def line(row: dict[str, Any]) -> str:
    """A row as a person reads it.

    >>> line({"time": 0.5, "step": "convert", "event": "done", "level": "info", "files": 2})
    '1970-01-01T00:00:00.500+00:00 convert done files=2'
    """
    row = dict(row)
    at = row.pop("time", None)
    stamp = (
        datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        if isinstance(at, float)
        else at or ""
    )
    rest = " ".join(
        f"{name}={value}" for name, value in row.items() if name not in ("step", "event", "level")
    )
    return f"{stamp} {row.get('step', '')} {row.get('event', '')} {rest}".rstrip()


def sorted_lines(
    record: RunRecord, kind: Kind, step: str | None, *, without: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Every row that is there, oldest first; ``without`` some steps."""
    rows = [row for row in record.rows(kind, step) if row.get("step") not in without]
    return map(line, sorted(rows, key=lambda row: row.get("time", 0)))


def followed(record: RunRecord, kind: Kind, step: str | None, live: Callable[[], bool]) -> Iterator[str]:
    """Every row, and those that are written while ``live`` says that some may come.

    A segment is written once and whole, so each is read once.
    """
    seen: set[str] = set()
    while True:
        ending = not live()  # asked before the last look, so that nothing is written after it
        rows = []
        for path in sorted({path for _, path in record.segments(kind, step)} - seen):
            seen.add(path)
            rows += [json.loads(text) for text in record.store.get(path).splitlines()]
        yield from map(line, sorted(rows, key=lambda row: row.get("time", 0)))
        if ending:
            return
        time.sleep(INTERVAL)
