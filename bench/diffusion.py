"""Uncertainty that is there is found and has its size; where there is none, nothing is added.

The same equation twice: with every stored frame observed under white noise, and without. The operator comes
first, then ``diffusion`` draws ensembles of rollouts around it, and trains, if at all, for as long. The
spread is made true on more validation states than elsewhere: what an interval holds differs from state to
state.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.contest import SEEDS, metric
from bench.processes import Trained, train
from bench.rows import Bound, Line, Row

FILE = "examples/quickstart.yaml"
SECONDS = 60
#: Standard deviation of the noise on every stored value, in those of the first frame.
NOISE = 0.1


def measure(scratch: Path) -> Iterator[Line]:
    noisy = [run(scratch, NOISE, seed) for seed in range(SEEDS)]
    coverage = metric(noisy, "rollout.coverage")
    detail = {"peer": "what an 80 % interval claims", "seeds": coverage}
    for name, value, bound in (
        ("lowest", min(coverage), Bound(0.75, sense=">=")),
        ("highest", max(coverage), Bound(0.85)),
    ):
        yield Line(f"diffusion.noisy.coverage.{name}", value, "of the truth", 0.8, bound, detail)
    exact = [run(scratch, 0.0, seed) for seed in range(SEEDS)]
    for name, runs, right in (("noisy.kept", noisy, "kept"), ("exact.dropped", exact, "dropped")):
        said = [run.result("train-diffusion")["verdict"] for run in runs]
        count = sum(verdict.startswith(right) for verdict in said)
        detail = {"peer": "runs", "verdicts": said}
        yield Line(f"diffusion.{name}", count, "runs", SEEDS, Bound(1.0, "ratio", ">="), detail)


def run(scratch: Path, noise: float, seed: int) -> Trained:
    limit = f"config: {{cpuBudgetSeconds: {SECONDS}}}"
    return train(
        FILE,
        scratch / "store",
        f"dataset.spec.source.simulate.params.observationNoise={noise}",
        "dataset.spec.source.simulate.samples=212",
        "dataset.spec.splits={train: 116, val: 48, test: 48}",
        f"spec.stages=[{{name: operator, {limit}}}, {{name: diffusion, {limit}}}]",
        "spec.evaluation.peers=[persistence]",
        f"spec.seed={seed}",
    )


ROW = Row(
    "diffusion",
    "Burgers 1-D, observed with and without noise, three seeds",
    measure,
    (FILE, "bench/contest.py"),
)
