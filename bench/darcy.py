"""Darcy flow on real data at equal CPU seconds: on the training grid, and zero-shot on one twice as fine.

A pure surrogate, and one that embeds the family's discretised operator, each in lines of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.contest import OURS, Field, metric, speeds, versus
from bench.processes import python
from bench.rows import Bound, Line, Row

FIELD = Field("examples/darcy2d.yaml", 300)
#: Largest relative L2 errors on the training grid and on the finer one, by what is measured.
BOUNDS = {"pure": {"16": 0.065, "32": 0.069}, "homogenised": {"16": 0.061, "32": 0.025}}
GRIDS = {"16": "", "32": "test32."}


def measure(scratch: Path) -> Iterator[Line]:
    python("examples/fetch_darcy.py")
    ours = FIELD.train(scratch, OURS, peers="persistence, solver, fno")
    embedded = FIELD.train(scratch, "architecture: homogenised")
    for name, runs in (("pure", ours), ("homogenised", embedded)):
        for grid, split in GRIDS.items():
            errors, peer = metric(runs, f"{split}rel_l2"), metric(ours, f"{split}fno.rel_l2")
            bound = Bound(BOUNDS[name][grid])
            yield versus(f"darcy.{name}.rel_l2.{grid}", "rel. L2", errors, peer, "tuned FNO", bound)
            solver = metric(ours, f"{split}solver.rel_l2")
            said = "finite volumes on the same nodes"
            yield versus(f"darcy.{name}.rel_l2.{grid}.solver", "rel. L2", errors, solver, said)
    yield from speeds("darcy", ours, "solutions/CPU-s")


ROW = Row(
    "darcy",
    f"Darcy flow 2-D, real data, {FIELD.seconds} CPU seconds, three seeds",
    measure,
    (FIELD.file, "examples/fetch_darcy.py", "bench/contest.py"),
)
