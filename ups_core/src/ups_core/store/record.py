"""The record of a run: the mutable counterpart of published objects, plain files under ``runs/``.

``runs/<namespace>/<tr|ds>/<name>/<uid>/`` holds ``run.json``, checkpoints, the report, and rows of
events, metrics and logs. S3 cannot append, so rows go out in numbered segments, each written once,
by one writer: ``metrics/<step>-<attempt>-<shard>-<segment>.jsonl``.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ups_core.errors import NotFound, UpsError
from ups_core.store.base import Store
from ups_core.store.failures import BucketMissing

Kind = Literal["events", "metrics", "logs"]

_SEGMENT = re.compile(r"(?P<step>.+)-(?P<attempt>\d+)-(?P<shard>\d+)-(?P<segment>\d+)\.jsonl")


@dataclass(frozen=True)
class RunRecord:
    """The files of one run, below ``prefix``."""

    store: Store
    prefix: str

    def path(self, name: str) -> str:
        """The path in the store of a file of this record."""
        return f"{self.prefix}/{name}"

    def write_json(self, name: str, value: Any) -> None:
        self.store.put(self.path(name), json.dumps(value, indent=1, ensure_ascii=False).encode())

    def read_json(self, name: str, default: Any = None) -> Any:
        """The parsed file, or ``default`` where it was not written yet."""
        try:
            data = self.store.get(self.path(name))
        except BucketMissing:
            raise
        except NotFound:
            return default
        return json.loads(data)

    def writer(
        self, kind: Kind, step: str, attempt: int = 1, shard: int = 0, *, seconds: float = 10
    ) -> JsonlWriter:
        """Rows of one step process. Continues after the segments that are there."""
        return JsonlWriter(self, kind, f"{step}-{attempt}-{shard}", seconds=seconds)

    def rows(self, kind: Kind, step: str | None = None) -> Iterator[dict[str, Any]]:
        """All rows, by step, attempt, shard and segment, each in the order it was written."""
        for _, path in sorted(self.segments(kind, step)):
            for line in self.store.get(path).splitlines():
                yield json.loads(line)

    def segments(
        self, kind: Kind, step: str | None = None
    ) -> Iterator[tuple[tuple[str, int, int, int], str]]:
        """``((step, attempt, shard, segment), path)`` of every file of rows, in no order."""
        for entry in self.store.list(self.path(kind)):
            match = _SEGMENT.fullmatch(entry.path.rpartition("/")[2])
            if match and step in (None, match["step"]):
                attempt, shard, segment = map(int, match.group("attempt", "shard", "segment"))
                yield (match["step"], attempt, shard, segment), entry.path


class JsonlWriter:
    """Buffers rows; a thread behind puts them as a segment at once for the first, then every ``seconds``.

    Writing never waits for the store and never fails by it: a store that is away for a minute must
    not end a run of a day. Rows it would not take are tried again with the next segment, and by
    :meth:`close`, which raises. A context manager.
    """

    def __init__(self, record: RunRecord, kind: Kind, stem: str, *, seconds: float) -> None:
        self._record, self._stem, self._seconds = record, stem, seconds
        self._kind: Kind = kind
        self._rows: list[bytes] = []
        self._segment: int | None = None
        self._due = 0.0
        self._timer: threading.Timer | None = None
        self._changing = threading.Lock()
        self._putting = threading.Lock()

    def write(self, row: Mapping[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        with self._changing:
            self._rows.append(line)
            self._arm()

    def flush(self) -> None:
        """Put all buffered rows as one segment now. Raises what the store raises, and keeps the rows."""
        with self._putting:
            with self._changing:
                rows, self._rows = self._rows, []
                self._due = time.monotonic() + self._seconds
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            if not rows:
                return
            try:
                self._put(b"".join(rows))
            except BaseException:
                with self._changing:
                    self._rows[:0] = rows
                raise

    def close(self) -> None:
        """Put what is left; afterwards all rows are in the store."""
        self.flush()

    def __enter__(self) -> JsonlWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(max(0.0, self._due - time.monotonic()), self._flush_behind)
            self._timer.daemon = True
            self._timer.start()

    def _flush_behind(self) -> None:
        try:
            self.flush()
        except UpsError:
            with self._changing:
                self._arm()

    def _put(self, data: bytes) -> None:
        if self._segment is None:
            there = (numbers[-1] for numbers, path in self._record.segments(self._kind) if self._is_own(path))
            self._segment = max(there, default=-1) + 1
        while True:
            path = self._record.path(f"{self._kind}/{self._stem}-{self._segment:04d}.jsonl")
            # False for our own segment means that only the answer was lost.
            done = self._record.store.create(path, data) or self._record.store.get(path) == data
            self._segment += 1
            if done:
                return

    def _is_own(self, path: str) -> bool:
        return path.rpartition("/")[2].rpartition("-")[0] == self._stem
