"""Particles that align with their neighbours: 40 frames from one, with and without a surrogate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.burgers import ERROR, UNIT
from bench.contest import OURS, Field, metric, versus
from bench.rows import Line, Row

FIELD = Field("examples/vicsek.yaml", 150)


def measure(scratch: Path) -> Iterator[Line]:
    ours = FIELD.train(scratch, f"{OURS}, batchSize: 8", peers="persistence, solver")
    still, solver = (metric(ours, f"{who}.{ERROR}") for who in ("persistence", "solver"))
    said = "every particle straight on"
    yield versus(f"particles.{ERROR}", UNIT, metric(ours, ERROR), still, said)
    for field in ("x", "vx"):
        error = metric(ours, f"rollout.{field}.nrmse")
        yield versus(f"particles.rollout.{field}.nrmse", UNIT, error, error, "ours")
    yield versus(f"particles.{ERROR}.solver", UNIT, metric(ours, ERROR), solver, "the simulator itself")
    own, peer = (
        [run.frames_per_cpu_second() for run in ours],
        [run.frames_per_cpu_second("solver") for run in ours],
    )
    yield versus("particles.inference.solver", "frames/CPU-s", own, peer, "the simulator itself")


ROW = Row(
    "particles",
    "256 particles of the Vicsek model, 150 CPU seconds",
    measure,
    (FIELD.file, "bench/contest.py", "bench/burgers.py"),
)
