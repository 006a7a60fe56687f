"""All architectures with equal CPU seconds: how well each learns, and what it costs to train and to use.

One seed each and a fifth of the time of the other rows: enough to choose by, not to claim by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.burgers import ERROR, UNIT
from bench.contest import Field, metric, parameters, samples_per_cpu_second, versus
from bench.processes import Trained, python
from bench.rows import Line, Row

SECONDS = 60
COMMON = ("gconv", "conv", "unet", "pdet", "fno")


@dataclass(frozen=True)
class Case:
    """Where they meet, by which error they are judged, and what of the config is changed for all of them."""

    field: Field
    error: str = ERROR
    unit: str = UNIT
    changes: str = ""
    names: Sequence[str] = COMMON


CASES = {
    "burgers": Case(Field("examples/quickstart.yaml", SECONDS)),
    "navier_stokes": Case(Field("examples/navier_stokes2d.yaml", SECONDS), changes=", batchSize: 4"),
    "darcy": Case(
        Field("examples/darcy2d.yaml", SECONDS), "rel_l2", "rel. L2", names=("homogenised", *COMMON)
    ),
}
#: What an architecture costs, and in which unit.
COSTS: dict[str, tuple[str, Callable[[Trained], float]]] = {
    "parameters": ("", lambda run: parameters(run, "train-operator")),
    "training": ("samples/CPU-s", lambda run: samples_per_cpu_second(run, "train-operator")),
    "inference": ("frames/CPU-s", Trained.frames_per_cpu_second),
    "memory": ("MiB", lambda run: run.peak_memory_mib("train-operator")),
}


def measure(scratch: Path) -> Iterator[Line]:
    python("examples/fetch_darcy.py")
    for problem, case in CASES.items():
        runs = {
            name: case.field.train(scratch, f"architecture: {{name: {name}}}{case.changes}", seeds=1)
            for name in case.names
        }
        for name, own in runs.items():
            line, fno = f"architectures.{problem}.{name}", runs["fno"]
            errors = metric(own, case.error), metric(fno, case.error)
            yield versus(f"{line}.{case.error}", case.unit, *errors, "fno")
            for cost, (unit, of) in COSTS.items():
                yield versus(
                    f"{line}.{cost}", unit, [of(run) for run in own], [of(run) for run in fno], "fno"
                )


ROW = Row(
    "architectures",
    f"Every architecture, {SECONDS} CPU seconds, one seed",
    measure,
    ("bench/contest.py", "bench/burgers.py", *(case.field.file for case in CASES.values())),
    matrix=True,
)
