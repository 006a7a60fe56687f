"""Is a latent state worth it here? Codec and operator on codes against the operator on the fields themselves.

Both sides get the same CPU seconds in all; the latent side spends a third of them on its codec.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.burgers import ERROR, FILE, UNIT
from bench.contest import Field, metric, versus
from bench.rows import Line, Row

SECONDS = 150


def measure(scratch: Path) -> Iterator[Line]:
    operator = "architecture: default"
    full = Field(FILE, SECONDS).train(scratch, operator)
    # Whatever it loses: here that is what is measured.
    codec = f"{{name: codec, config: {{cpuBudgetSeconds: {SECONDS // 3}, target: 10}}}}"
    latent = Field(FILE, SECONDS - SECONDS // 3, before=codec).train(scratch, operator)
    said = "full resolution"
    yield versus(f"codec.{ERROR}", UNIT, metric(latent, ERROR), metric(full, ERROR), said)
    floor = [run.result("train-codec")["metrics"]["train.val.reconstruction.nrmse"] for run in latent]
    yield versus("codec.reconstruction.nrmse", UNIT, floor, metric(full, ERROR), f"{said}, its rollout")
    rates = ([run.frames_per_cpu_second() for run in runs] for runs in (latent, full))
    yield versus("codec.inference", "frames/CPU-s", next(rates), next(rates), said)


ROW = Row(
    "codec",
    f"Latent path against full resolution, {SECONDS} CPU seconds each in all, three seeds",
    measure,
    (FILE, "bench/contest.py", "bench/burgers.py"),
)
