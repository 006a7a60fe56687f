"""``run.json`` on a cluster, where no engine sees the store: the first step begins it, the last ends it.

The operator keeps the status that ``kubectl`` shows. This copy makes a run's record whole without the
cluster: ``ups status --store``, ``ups predict`` and ``ups gc`` read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ups_core.runs import RUN, headline
from ups_core.store import RunRecord


def begin(record: RunRecord, resource: Mapping[str, Any], attempt: int) -> None:
    """An attempt of ``resource`` runs."""
    before = record.read_json(RUN, {}).get("status", {})
    started = before.get("startTime") or _now()
    status = {"phase": "Running", "attempt": attempt, "startTime": started}
    record.write_json(RUN, {**resource, "status": status})


def end(record: RunRecord, published: Mapping[str, Any], *, phase: str) -> None:
    """The resource has published its last object; ``published`` is the result of its last step."""
    resource = record.read_json(RUN)
    facts = {name: value for name, value in published.items() if name not in ("report", "splits")}
    stages = [stage["name"] for stage in resource["spec"].get("stages", [])]
    resource["status"] |= {
        **facts,
        "phase": phase,
        "completionTime": _now(),
        **({"stages": [{"name": name, "phase": "Succeeded"} for name in stages]} if stages else {}),
        **({"headline": best} if (best := headline(published.get("metrics", {}))) else {}),
    }
    record.write_json(RUN, resource)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
