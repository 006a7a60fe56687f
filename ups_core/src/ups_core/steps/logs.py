"""Logging of steps: one structured line per event, to standard error and into the run's record."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from ups_core.store import JsonlWriter


def configure(writer: JsonlWriter, step: str) -> None:
    """Send what ``structlog.get_logger()`` says to ``writer``, and to standard error.

    There it is JSON, for log collectors, unless a person reads: on a terminal or below ``ups run``.
    """
    human = sys.stderr.isatty() or os.environ.get("UPS_PROGRESS") == "json"

    def record(_: object, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        row = {**event, "step": step, "level": level}
        writer.write(json.loads(json.dumps(row, default=str)))
        return row

    def render(_: object, __: str, event: MutableMapping[str, Any]) -> str:
        if not human:
            return json.dumps(event, default=str)
        rest = " ".join(f"{k}={v}" for k, v in event.items() if k not in ("event", "step", "level", "time"))
        return f"{step}: {event['event']} {rest}".rstrip()

    structlog.configure(
        processors=[structlog.processors.TimeStamper(fmt=None, key="time"), record, render],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
