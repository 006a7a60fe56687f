"""How a step tells what it is doing: progress, events, and a log in the run's record."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ups_core.steps import STEPS

if TYPE_CHECKING:
    from ups_core.steps.context import StepSpec
    from ups_core.store import RunRecord

#: Seconds between two progress lines where there is no terminal.
INTERVAL = 10.0


class Reporter:
    """Progress, logs, and the begin and end of a step as events.

    Progress goes to ``$ARGO_PROGRESS_FILE`` as ``N/100``; to the local engine as JSON lines on standard
    error, where ``UPS_PROGRESS=json``; and else as one plain line an interval.
    """

    def __init__(self, record: RunRecord, spec: StepSpec) -> None:
        self._events = record.writer("events", spec.name, spec.attempt, spec.shard)
        self._logs = record.writer("logs", spec.name, spec.attempt, spec.shard)
        self._name = spec.name
        self._logging = STEPS[spec.step].version > 0
        self._file = os.environ.get("ARGO_PROGRESS_FILE")
        self._json = os.environ.get("UPS_PROGRESS") == "json"
        self._next = 0.0

    def __enter__(self) -> Self:
        if self._logging:  # the steps that always run are quick, and loading a logger is not
            from ups_core.steps.logs import configure

            configure(self._logs, self._name)
        self._event("started")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._event("finished")
        else:
            self._event("stopped", error=type(error).__name__, message=str(error)[:2000])
        self._events.close()
        self._logs.close()

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Report that ``done`` of ``total`` is done; cheap enough to be called every step."""
        now = time.monotonic()
        if now < self._next and done < total:
            return
        percent = min(100, 100 * done // max(total, 1))
        if self._file:
            Path(self._file).write_text(f"{percent}/100")
        if self._json:
            self._next = now + 0.1
            line = json.dumps({"progress": percent, "step": self._name, "text": text})
        else:
            self._next = now + INTERVAL
            line = f"{self._name}: {percent} % {text}".rstrip()
        print(line, file=sys.stderr, flush=True)  # noqa: T201

    def _event(self, what: str, **details: str) -> None:
        self._events.write({"time": time.time(), "step": self._name, "event": what, **details})
