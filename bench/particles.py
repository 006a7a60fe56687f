"""Particles that align with their neighbours: 40 frames from one, with and without a surrogate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.burgers import ERROR, UNIT
from bench.contest import OURS, Field, metric, versus
from bench.rows import Bound, Line, Row

FIELD = Field("examples/vicsek.yaml", 150)


def measure(scratch: Path) -> Iterator[Line]:
    ours = FIELD.train(scratch, f"{OURS}, batchSize: 8", peers="persistence, solver")
    still, solver = (metric(ours, f"{who}.{ERROR}") for who in ("persistence", "solver"))
    said = "every particle straight on"
    yield versus(f"particles.{ERROR}", UNIT, metric(ours, ERROR), still, said, Bound(0.1, "ratio"))
    said = "the simulator itself"
    yield versus(f"particles.{ERROR}.solver", UNIT, metric(ours, ERROR), solver, said)
    own, peer = ([run.frames_per_cpu_second(who) for run in ours] for who in ("surrogate", "solver"))
    yield versus("particles.inference.solver", "frames/CPU-s", own, peer, said)


ROW = Row(
    "particles",
    "256 particles of the Vicsek model, 150 CPU seconds",
    measure,
    (FIELD.file, "bench/contest.py", "bench/burgers.py"),
)
