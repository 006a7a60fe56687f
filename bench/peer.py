"""Is the tuned FNO that stands beside every surrogate as good as the reference implementation?

``neuraloperator``'s network gets what ours gets: the same cached arrays, normalisation, loss, augmentation,
noise, schedule, validations and CPU seconds, in the same run. Its count of modes has another meaning (16 are
the 9 lowest frequencies), and so the number of parameters differs by little.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.contest import SEEDS, Field, metric, samples_per_cpu_second, versus
from bench.processes import Trained, python
from bench.rows import SCRATCH, Bound, Line, Row
from ups_core.api.peers import STEADY, TRANSIENT

#: Where they meet, the error that counts, our recipe of the peer, and that of the reference.
CASES = {
    "burgers": (
        Field("examples/quickstart.yaml", 150),
        "rollout.nrmse",
        TRANSIENT,
        {"modes": 16, "lr": 4e-3, "noise": 0.01},
    ),
    "darcy": (
        Field("examples/darcy2d.yaml", 150),
        "rel_l2",
        STEADY,
        {"modes": 8, "lr": 0.016, "grid": True},
    ),
}
SAID = "neuraloperator 2.0.0"


def measure(scratch: Path) -> Iterator[Line]:
    python("examples/fetch_darcy.py")
    for name, (field, error, own, recipe) in CASES.items():
        runs = field.train(scratch, json.dumps(own)[1:-1])
        references = [reference(runs[seed], field.seconds, recipe, seed) for seed in range(SEEDS)]
        theirs = [found["test"]["test"]["error"] for found in references]
        yield versus(f"peer.{name}.{error}", "", metric(runs, error), theirs, SAID, Bound(1.05, "ratio"))
        rates = [samples_per_cpu_second(run, "train-operator") for run in runs]
        theirs = [found["samples_per_cpu_second"] for found in references]
        bound = Bound(1.0, "ratio", ">=")
        yield versus(f"peer.{name}.training", "samples/CPU-s", rates, theirs, SAID, bound)


def reference(run: Trained, seconds: float, recipe: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Train the reference on the arrays that ours was trained on, in a process of its own."""
    cache = str(run.objects["cache"].folder(SCRATCH))
    options = ["--seconds", str(seconds), "--recipe", json.dumps(recipe), "--test", "test"]
    return json.loads(python("-m", "bench.fno", cache, *options, "--seed", str(seed), quiet=False).out)


ROW = Row(
    "peer",
    "The tuned FNO against its reference implementation, equal CPU seconds, three seeds",
    measure,
    ("examples/quickstart.yaml", "examples/darcy2d.yaml", "bench/fno.py", "bench/contest.py"),
)
