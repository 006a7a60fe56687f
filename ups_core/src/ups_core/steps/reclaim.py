"""``reclaim``: remove a deleted Dataset's entry from the registry, where its ``reclaimPolicy`` is ``Delete``.

Objects stay until ``ups gc`` finds that nothing else reaches them: other names may share them.
"""

from __future__ import annotations

from typing import Any

from ups_core.steps.context import StepContext
from ups_core.store import unregister


def run(ctx: StepContext) -> dict[str, Any]:
    entry = ctx.options
    return {"removed": unregister(ctx.store, entry["namespace"], entry["name"], entry["version"])}
