"""Is the tuned FNO that stands beside every surrogate as good as the reference implementation?

``neuraloperator``'s network gets what ours gets: the same cached arrays, normalisation, loss, augmentation,
noise, schedule, validations and CPU seconds, in the same run. Its count of modes has another meaning (16 are
the 9 lowest frequencies), and so the number of parameters differs by little.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench.contest import (
    REFERENCE,
    Field,
    metric,
    parameters,
    references,
    samples_per_cpu_second,
    versus,
)
from bench.processes import python
from bench.rows import Bound, Line, Row
from ups_core.api.peers import STEADY, TRANSIENT

#: Where they meet, the error that counts, our recipe of the peer, that of the reference, and the least
#: ratio of their training speeds.
CASES = {
    "burgers": (
        Field("examples/quickstart.yaml", 150),
        "rollout.nrmse",
        TRANSIENT,
        REFERENCE,
        2.0,
    ),
    "darcy": (
        Field("examples/darcy2d.yaml", 150),
        "rel_l2",
        STEADY,
        {"modes": 8, "lr": 0.016, "grid": True},
        1.0,
    ),
}
SAID = "neuraloperator 2.0.0"


def measure(scratch: Path) -> Iterator[Line]:
    python("examples/fetch_darcy.py")
    for name, (field, error, ours, recipe, faster) in CASES.items():
        runs = field.train(scratch, json.dumps(ours)[1:-1])
        trained = references(runs, field.seconds, recipe)
        theirs = [found["test"]["test"]["error"] for found in trained]
        yield versus(f"peer.{name}.{error}", "", metric(runs, error), theirs, SAID, Bound(1.05, "ratio"))
        own = [parameters(run, "train-operator") for run in runs]
        yield versus(f"peer.{name}.parameters", "", own, [found["parameters"] for found in trained], SAID)
        rates = [samples_per_cpu_second(run, "train-operator") for run in runs]
        theirs = [found["samples_per_cpu_second"] for found in trained]
        bound = Bound(faster, "ratio", ">=")
        yield versus(f"peer.{name}.training", "samples/CPU-s", rates, theirs, SAID, bound)


ROW = Row(
    "peer",
    "The tuned FNO against its reference implementation, equal CPU seconds, three seeds",
    measure,
    ("examples/quickstart.yaml", "examples/darcy2d.yaml", "bench/fno.py", "bench/contest.py"),
)
