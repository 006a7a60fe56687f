"""Two-dimensional turbulence: the vorticity on 64 x 64 points, 20 frames from one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.burgers import ERROR, PEERS, UNIT
from bench.contest import OURS, Field, metric, speeds, versus
from bench.rows import Bound, Line, Row

FIELD = Field("examples/navier_stokes2d.yaml", 300)
#: Without the step along the flow, and with the noise that was chosen for that.
STILL = "architecture: {name: unet, width: 16, levels: 4, advect: false}, noise: 0.1"
SMALL = ", batchSize: 4"


def measure(scratch: Path) -> Iterator[Line]:
    ours = FIELD.train(scratch, f"{OURS}{SMALL}", peers=PEERS)
    peer, solver = metric(ours, f"fno.{ERROR}"), metric(ours, f"solver.{ERROR}")
    yield versus(f"navier_stokes.{ERROR}", UNIT, metric(ours, ERROR), peer, "tuned FNO", Bound(0.3, "ratio"))
    pure = FIELD.train(scratch, f"{STILL}{SMALL}")
    said = "tuned FNO; ours without the step along the flow"
    yield versus(f"navier_stokes.{ERROR}.pure", UNIT, metric(pure, ERROR), peer, said, Bound(0.3, "ratio"))
    said = "pseudo-spectral, same points"
    yield versus(f"navier_stokes.{ERROR}.solver", UNIT, metric(ours, ERROR), solver, said)
    yield from speeds("navier_stokes", ours, "frames/CPU-s")


ROW = Row(
    "navier_stokes",
    "Navier-Stokes 2-D, 300 CPU seconds",
    measure,
    (FIELD.file, "bench/contest.py", "bench/burgers.py"),
)
