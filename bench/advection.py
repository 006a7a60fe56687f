"""The advection equation: a shape that only moves, which few networks keep over 40 frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.burgers import ERROR, PEERS, UNIT
from bench.contest import OURS, Field, metric, speeds, versus
from bench.rows import Bound, Line, Row

FIELD = Field("examples/advection1d.yaml", 100)


def measure(scratch: Path) -> Iterator[Line]:
    ours = FIELD.train(scratch, OURS, peers=PEERS)
    peer = metric(ours, f"fno.{ERROR}")
    yield versus(f"advection.{ERROR}", UNIT, metric(ours, ERROR), peer, "tuned FNO", Bound(0.1, "ratio"))
    yield from speeds("advection", ours, "frames/CPU-s")


ROW = Row(
    "advection", "Advection 1-D, beta = 0.4", measure, (FIELD.file, "bench/contest.py", "bench/burgers.py")
)
