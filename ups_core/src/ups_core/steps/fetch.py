"""``fetch``: bring the raw files of a Dataset's source here, as they are, and check them."""

from __future__ import annotations

from typing import Any

from ups_core.data.sources import locate
from ups_core.data.transfer import fetch_all
from ups_core.steps.context import StepContext


def run(ctx: StepContext) -> dict[str, Any]:
    """Publishes the files under their names. ``recipe["files"]`` is the fingerprint that resolve made."""
    files = ctx.recipe["files"]
    fetch_all(files, locate(ctx.options["source"]), ctx.out, ctx.work, ctx.progress)
    return {"files": len(files), "bytes": sum((ctx.out / file["name"]).stat().st_size for file in files)}
