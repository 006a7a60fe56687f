"""The quick start from an empty store, as in `make demo`: time, and accuracy beside the trivial guess."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.processes import train
from bench.rows import Bound, Line, Row

FILE = "examples/quickstart.yaml"


def measure(scratch: Path) -> Iterator[Line]:
    load = os.getloadavg()[0]
    shutil.rmtree(scratch / "store", ignore_errors=True)  # an earlier measurement may have been interrupted
    trained = train(FILE, scratch / "store")
    metrics, ran = trained.metrics, trained.ran
    steps = ("simulate", "convert", "validate", "cache", "train-operator", "evaluate", "analyze")
    seconds = {
        step: trained.objects[step].manifest.provenance["seconds"]
        for step in steps
        if step in trained.objects
    }
    yield Line(
        "demo.wall",
        ran.wall,
        "s",
        bound=Bound(90.0),
        detail={"steps": seconds, "load_before": round(load, 2)},
    )
    yield Line("demo.cpu", ran.cpu, "s")
    error = metrics["rollout.nrmse"]
    yield Line(
        "demo.rollout.nrmse",
        error,
        "nRMSE",
        metrics["persistence.rollout.nrmse"],
        Bound(0.1, "ratio"),
        {"peer": "persistence: the first frame, repeated"},
    )
    yield Line(
        "demo.rollout.nrmse.solver",
        error,
        "nRMSE",
        metrics["solver.rollout.nrmse"],
        detail={"peer": "ETDRK4 on the same 128 points"},
    )


ROW = Row("demo", "The quick start from an empty store", measure, (FILE,))
