"""Darcy flow on real data at equal CPU seconds: on the training grid, and zero-shot on one twice as fine.

A pure surrogate, and one that embeds the family's discretised operator, each in lines of its own, beside a
tuned FNO that had as long. How long was chosen on validation data, where the pure one soon overfits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.contest import OURS, Field, metric, speeds, versus
from bench.processes import python
from bench.rows import Bound, Line, Row

FILE = "examples/darcy2d.yaml"
#: How long each trains, as which architecture, and its largest relative L2 errors on the two grids.
CASES = {
    "pure": (100, OURS, {"16": 0.065, "32": 0.069}),
    "homogenised": (300, "architecture: homogenised", {"16": 0.061, "32": 0.025}),
}
GRIDS = {"16": "", "32": "test32."}


def measure(scratch: Path) -> Iterator[Line]:
    python("examples/fetch_darcy.py")
    for name, (seconds, config, bounds) in CASES.items():
        runs = Field(FILE, seconds).train(scratch, config, peers="persistence, solver, fno")
        for grid, split in GRIDS.items():
            errors, peer = metric(runs, f"{split}rel_l2"), metric(runs, f"{split}fno.rel_l2")
            line = f"darcy.{name}.rel_l2.{grid}"
            yield versus(line, "rel. L2", errors, peer, "tuned FNO", Bound(bounds[grid]))
            solver = metric(runs, f"{split}solver.rel_l2")
            yield versus(f"{line}.solver", "rel. L2", errors, solver, "finite volumes on the same nodes")
        yield from speeds(f"darcy.{name}", runs, "solutions/CPU-s")


ROW = Row(
    "darcy",
    "Darcy flow 2-D, real data, three seeds",
    measure,
    (FILE, "examples/fetch_darcy.py", "bench/contest.py"),
)
