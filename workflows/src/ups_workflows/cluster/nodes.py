"""What a Workflow says of its pods. Pure: from the JSON that the API server gives."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Phases of a node that stay.
ENDED = frozenset({"Succeeded", "Failed", "Error", "Skipped", "Omitted"})


@dataclass(frozen=True)
class Node:
    """One pod of a Workflow, or the place of one that was not needed."""

    id: str
    #: As it is shown: the step's name, with the number of a shard or of a retry.
    name: str
    #: Name of the step in the plan, which is the name of its template.
    step: str
    phase: str
    started: str = ""
    message: str = ""
    percent: int | None = None
    result: Mapping[str, Any] = field(default_factory=dict)


def nodes(workflow: Mapping[str, Any]) -> list[Node]:
    """The pods of a Workflow, in the order in which they were made.

    A large Workflow keeps its nodes gzipped in ``compressedNodes``.
    """
    status = workflow.get("status", {})
    found = status.get("nodes") or {}
    if not found and status.get("compressedNodes"):
        found = json.loads(gzip.decompress(base64.b64decode(status["compressedNodes"])))
    pods = [_node(each) for each in found.values() if each.get("type") in ("Pod", "Skipped")]
    return sorted(pods, key=lambda node: (node.started, node.id))


def _node(raw: Mapping[str, Any]) -> Node:
    return Node(
        id=raw["id"],
        name=raw.get("displayName") or raw["name"],
        step=raw.get("templateName") or raw.get("displayName", ""),
        phase=raw.get("phase", "Pending"),
        started=raw.get("startedAt") or "",
        message=raw.get("message", ""),
        percent=_percent(raw.get("progress", "")),
        result=_result(raw),
    )


def _percent(progress: str) -> int | None:
    """Of Argo's ``N/M``. A pod that reports nothing has ``0/1``."""
    done, _, total = progress.partition("/")
    if not (done.isdigit() and total.isdigit()) or int(total) <= 1:
        return None
    return min(100, 100 * int(done) // int(total))


def _result(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    for parameter in raw.get("outputs", {}).get("parameters", []):
        if parameter.get("name") == "result":
            return json.loads(parameter.get("value") or "{}")
    return {}
