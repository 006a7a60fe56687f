"""Burgers' equation at equal CPU seconds: ours, and a Fourier neural operator trained by the same run.

One frame of 128 points in, 40 frames out; 116 trajectories to train on, 12 to choose by, 32 to report on.
Every training has one thread and the same CPU seconds, validation included.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench.processes import Trained, python, train
from bench.rows import SCRATCH, Bound, Line, Row

FILE = "examples/quickstart.yaml"
SECONDS = 300
RECIPE = {"modes": 16, "width": 32, "lr": 4e-3, "noise": 0.01}


def measure(scratch: Path) -> Iterator[Line]:
    budget = f"spec.stages.operator.config={{architecture: default, cpuBudgetSeconds: {SECONDS}}}"
    ours = train(FILE, scratch / "store", budget)
    fno = peer(ours, SECONDS, RECIPE, "test")
    strong = peer(ours, SECONDS, {**RECIPE, "project": True}, "test")
    error, metrics = ours.metrics["rollout.nrmse"], ours.metrics
    seen = {"cpu_seconds": ours.result("train-operator")["cpuSeconds"], "seed": 0}
    yield Line(
        "burgers.rollout.nrmse",
        error,
        "nRMSE",
        fno["test"]["test"]["error"],
        Bound(0.2, "ratio"),
        {"peer": "tuned FNO", **seen, "peer_recipe": fno["recipe"], "peer_cpu_seconds": fno["cpu_seconds"]},
    )
    own, theirs = per_sample(ours, "rollout.nrmse"), fno["test"]["test"]
    yield Line(
        "burgers.rollout.nrmse.median",
        median(own),
        "nRMSE",
        theirs["median"],
        detail={"peer": "tuned FNO, its median sample", "worst": max(own), "peer_worst": theirs["worst"]},
    )
    yield Line(
        "burgers.rollout.nrmse.projected",
        error,
        "nRMSE",
        strong["test"]["test"]["error"],
        detail={"peer": "tuned FNO that keeps the mean exactly", "peer_cpu_seconds": strong["cpu_seconds"]},
    )
    for rival, said in (
        ("persistence", "the first frame, repeated"),
        ("solver", "ETDRK4 on the same points"),
    ):
        peers = metrics[f"{rival}.rollout.nrmse"]
        yield Line(f"burgers.rollout.nrmse.{rival}", error, "nRMSE", peers, detail={"peer": said})
    yield from speed("burgers", ours, fno, "test", "frames/CPU-s")
    rate, solver = ours.frames_per_cpu_second(), ours.frames_per_cpu_second("solver")
    yield Line("burgers.inference.solver", rate, "frames/CPU-s", solver, detail={"peer": "ETDRK4"})


def per_sample(ours: Trained, column: str) -> list[float]:
    """A column of the test split's samples; inf where a sample diverged."""
    table = csv.DictReader(io.StringIO(ours.objects["evaluate"].read("per_sample.csv").decode()))
    return [float(row[column] or "inf") for row in table if row["split"] == "test"]


def peer(ours: Trained, seconds: float, recipe: Mapping[str, Any], *test: str) -> dict[str, Any]:
    """Train the peer on the arrays that ours was trained on, in a process of its own."""
    arguments = ["--seconds", str(seconds), "--recipe", json.dumps(recipe), "--test", *test]
    return json.loads(
        python("-m", "bench.fno", str(ours.objects["cache"].folder(SCRATCH)), *arguments, quiet=False).out
    )


def speed(row: str, ours: Trained, fno: dict[str, Any], split: str, unit: str) -> Iterator[Line]:
    """What either side costs: parameters, training samples and predictions per CPU second."""
    trained = ours.result("train-operator")
    config = ours.objects["train-operator"].manifest.recipe["stages"]["operator"]["config"]
    samples = trained["metrics"]["train.steps"] * config["batchSize"] / trained["cpuSeconds"]
    parameters = trained["metrics"]["train.parameters"]
    yield Line(f"{row}.parameters", parameters, "", fno["parameters"], detail={"peer": "tuned FNO"})
    rate = fno["samples_per_cpu_second"]
    yield Line(f"{row}.training", samples, "samples/CPU-s", rate, detail={"peer": "tuned FNO"})
    rate = fno["test"][split]["frames_per_cpu_second"]
    yield Line(f"{row}.inference", ours.frames_per_cpu_second(), unit, rate, detail={"peer": "tuned FNO"})


ROW = Row("burgers", f"Burgers 1-D, {SECONDS} CPU seconds each, one thread", measure, (FILE, "bench/fno.py"))
