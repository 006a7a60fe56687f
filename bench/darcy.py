"""Darcy flow on real data at equal CPU seconds: on the training grid, and zero-shot on one twice as fine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.burgers import peer, speed
from bench.processes import python, train
from bench.rows import Bound, Line, Row

FILE = "examples/darcy2d.yaml"
SECONDS = 300
RECIPE = {"modes": 8, "width": 32, "lr": 0.016, "grid": True}
#: Relative L2 errors of the tuned FNO2d in the sets' first measurement; ours must not be above either.
REFERENCE = {"test": 0.0906, "test32": 0.120}


def measure(scratch: Path) -> Iterator[Line]:
    python("examples/fetch_darcy.py")
    budget = f"spec.stages.operator.config={{architecture: default, cpuBudgetSeconds: {SECONDS}}}"
    ours = train(FILE, scratch / "store", budget)
    fno = peer(ours, SECONDS, RECIPE, "test", "test32")
    for split, grid, metric in (("test", "16", "rel_l2"), ("test32", "32", "test32.rel_l2")):
        value, mean = ours.metrics[metric], ours.metrics[metric.replace("rel_l2", "mean.rel_l2")]
        detail = {"peer": "tuned FNO", "mean_predictor": mean, "seed": 0}
        if split == "test":
            detail |= {"peer_recipe": fno["recipe"], "peer_cpu_seconds": fno["cpu_seconds"]}
        bound, peers = Bound(REFERENCE[split]), fno["test"][split]["error"]
        yield Line(f"darcy.rel_l2.{grid}", value, "rel. L2", peers, bound, detail)
        solver = ours.metrics.get(metric.replace("rel_l2", "solver.rel_l2"))
        if solver is not None:
            said = {"peer": "finite volumes on the same nodes"}
            yield Line(f"darcy.rel_l2.{grid}.solver", value, "rel. L2", solver, detail=said)
    yield from speed("darcy", ours, fno, "test", "solutions/CPU-s")


ROW = Row(
    "darcy",
    f"Darcy flow 2-D, real data, {SECONDS} CPU seconds each, one thread",
    measure,
    (FILE, "examples/fetch_darcy.py", "bench/fno.py", "bench/burgers.py"),
)
