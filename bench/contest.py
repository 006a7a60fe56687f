"""Contests: what trains best from the same data in the same CPU seconds, over three seeds.

A contender is a way to train. All contenders of a row run as ``ups run`` on one dataset, each once a seed,
on one thread, for equal CPU seconds of the training loop, validation included. The tuned FNO is the peer that
``evaluation.peers`` trains within the run of ours. A line holds means over the seeds; their standard
deviation and every single value are in its detail.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from bench.processes import Trained, python, train
from bench.rows import SCRATCH, Bound, Line

SEEDS = 3

#: Configs of the stage ``operator``, but for their limit.
OURS = "architecture: default"
#: The FNO with all that ours has: Muon, exact symmetries as augmentation, and whatever the family declares.
STRONG = "architecture: fno"
#: The reference implementation's FNO on a line, as chosen on validation data.
REFERENCE = {"modes": 16, "lr": 4e-3, "noise": 0.01}


@dataclass(frozen=True)
class Field:
    """Where a row's contenders meet: an example, what of it is changed, and how long they train.

    ``before`` is a stage in front of the ``operator``, with a limit of its own.
    """

    file: str
    seconds: float
    changes: Sequence[str] = ()
    before: str = ""

    def train(
        self, scratch: Path, config: str = OURS, *, peers: str = "", seeds: int = SEEDS
    ) -> list[Trained]:
        """One run a seed. ``peers`` are trained or run beside it."""
        operator = f"{{name: operator, config: {{{config}, cpuBudgetSeconds: {self.seconds}}}}}"
        stages = ", ".join(filter(None, (self.before, operator)))
        return [
            train(
                self.file,
                scratch / "store",
                *self.changes,
                f"spec.stages=[{stages}]",
                f"spec.evaluation.peers=[{peers}]",
                f"spec.seed={seed}",
            )
            for seed in range(seeds)
        ]


def references(runs: Sequence[Trained], seconds: float, recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``neuraloperator``'s FNO, trained on the arrays of each run with its seed, in processes of its own."""
    options = ["--seconds", str(seconds), "--recipe", json.dumps(recipe), "--test", "test"]
    found = []
    for seed, run in enumerate(runs):
        cache = str(run.objects["cache"].folder(SCRATCH))
        ran = python("-m", "bench.fno", cache, *options, "--seed", str(seed), quiet=False)
        found.append(json.loads(ran.out))
    return found


def versus(
    name: str,
    unit: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    said: str,
    bound: Bound | None = None,
) -> Line:
    """The mean of ours beside the mean of theirs."""
    detail = {"peer": said, "seeds": list(ours), "peer_seeds": list(theirs)}
    if len(ours) > 1:
        detail |= {"spread": stdev(ours)}
    if len(theirs) > 1:
        detail |= {"peer_spread": stdev(theirs)}
    return Line(name, fmean(ours), unit, fmean(theirs), bound, detail)


def metric(runs: Sequence[Trained], name: str) -> list[float]:
    """A metric of each run; one that diverged is infinite."""
    return [run.metrics.get(name, float("inf")) for run in runs]


def speeds(row: str, ours: Sequence[Trained], unit: str) -> Iterator[Line]:
    """What ours and its tuned FNO cost: parameters, training samples and predictions per CPU second."""
    for name, figure, per in (
        ("parameters", parameters, ""),
        ("training", samples_per_cpu_second, "samples/CPU-s"),
    ):
        own, peer = ([figure(run, step) for run in ours] for step in ("train-operator", "train-fno"))
        yield versus(f"{row}.{name}", per, own, peer, "tuned FNO")
    own = [run.frames_per_cpu_second() for run in ours]
    for who, said in (("fno", "tuned FNO"), ("solver", "classical solver, same points")):
        if who in ours[0].result("evaluate")["cost"]:
            peer = [run.frames_per_cpu_second(who) for run in ours]
            name = f"{row}.inference" + ("" if who == "fno" else f".{who}")
            yield versus(name, unit, own, peer, said)


def parameters(run: Trained, step: str) -> float:
    return run.result(step)["metrics"]["train.parameters"]


def samples_per_cpu_second(run: Trained, step: str) -> float:
    trained = run.result(step)
    batch = run.objects[step].manifest.recipe["stages"]["operator"]["config"]["batchSize"]
    return trained["metrics"]["train.steps"] * batch / trained["cpuSeconds"]
