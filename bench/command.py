"""How long a person waits for the command: for its help, and for a run in which all is published already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.processes import Ran, python, train, ups
from bench.rows import Bound, Line, Row

REPEATS = 5
FILE = "examples/quickstart.yaml"


def measure(scratch: Path) -> Iterator[Line]:
    store = scratch / "store"
    train(FILE, store, "spec.stages.operator.config.steps=20")  # what is trained makes no difference here
    cached = ("run", FILE, "--store", str(store), "--set", "spec.stages.operator.config.steps=20")
    starts: list[Ran] = []
    helps: list[Ran] = []
    runs: list[Ran] = []
    for _ in range(REPEATS):  # in turn, so that a busy machine is busy for all of them
        starts.append(python("-c", "pass"))
        helps.append(ups("--help"))
        runs.append(ups(*cached))
    start = median(r.wall for r in starts)
    for name, measured, limit in (("help", helps, 0.5), ("cached_run", runs, 2.0)):
        detail = {
            "cpu_seconds": median(r.cpu for r in measured),
            "peer": "python -c pass",
            "repeats": REPEATS,
        }
        yield Line(f"command.{name}", median(r.wall for r in measured), "s", start, Bound(limit), detail)


ROW = Row("command", "Start-up of the command, in wall seconds; peer: the bare interpreter", measure, (FILE,))
