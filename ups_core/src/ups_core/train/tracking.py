"""Weights & Biases, where a run asks for it: the same rows as the learning curve, nothing else.

The run's own record is complete without it. In the mode ``offline`` the record also receives a folder
``wandb/offline-run-...`` that ``wandb sync`` sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ups_core.store import RunRecord


@contextmanager
def tracker(
    tracking: Mapping[str, Any], name: str, facts: Mapping[str, Any], record: RunRecord, work: Path
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that takes rows of the curve; it does nothing unless ``wandb.mode`` asks for it."""
    wanted = tracking.get("wandb", {})
    if wanted.get("mode", "disabled") == "disabled":
        yield lambda row: None
        return
    import wandb

    run = wandb.init(
        mode=wanted["mode"],
        project=wanted.get("project", "ups"),
        entity=wanted.get("entity"),
        name=name,
        dir=work,
        config={key: facts[key] for key in ("stage", "config", "problem", "parameters")},
    )
    try:
        yield lambda row: run.log({k: v for k, v in row.items() if k != "step"}, step=row["step"])
    finally:
        run.finish()
        wandb.teardown()  # finish alone returns before the service has written the last rows
        for folder in work.glob("wandb/offline-run-*"):
            for path in (p for p in folder.rglob("*") if p.is_file()):
                record.store.put_file(record.path(path.relative_to(work).as_posix()), path)
