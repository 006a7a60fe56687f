"""What a frame of 128 points costs, beside the tuned FNO and the classical solver, in turn in one process.

The rows that train report the same figure of a single rollout, on a machine that may be busy; here each rolls
out many times and the medians are compared. What the networks have learned makes no difference to it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np

from bench.processes import python, train
from bench.rows import SCRATCH, Bound, Line, Row
from ups_core.data.families import family
from ups_core.surrogate import Surrogate

FILE = "examples/quickstart.yaml"
STATES, STEPS, REPEATS = 32, 40, 15
WHO = {"fno": "tuned FNO", "solver": "ETDRK4 on the same points"}


def measure(scratch: Path) -> Iterator[Line]:
    trained = train(
        FILE, scratch / "store", "spec.stages.operator.config.steps=20", "spec.evaluation.peers=[fno]"
    )
    steps = ("train-operator", "train-fno", "cache")
    folders = [str(trained.objects[step].folder(SCRATCH)) for step in steps]
    found = json.loads(python("-m", "bench.inference", *folders, quiet=False).out)  # on one thread
    for peer, said in WHO.items():
        detail = {"peer": said, "repeats": REPEATS, "best": found["ours"]["best"]}
        ours, theirs = found["ours"]["median"], found[peer]["median"]
        bound = Bound(10_000, sense=">=") if peer == "fno" else None
        yield Line(f"inference.{peer}", ours, "frames/CPU-s", theirs, bound, detail)


def frames_per_cpu_second(ours: str, fno: str, cache: str) -> dict[str, dict[str, float]]:
    """Medians, and the best, of rollouts in turn."""
    split = Path(cache) / "test"
    u = np.load(split / "u.npy")[:STATES, 0]  # (N, C, X)
    grid = {"X": np.load(split / "x.npy"), "T": np.load(split / "t.npy")[: STEPS + 1]}
    parameters = {"Nu": np.load(split / "parameters.npy")[:STATES, 0]}
    solver, networks = family("burgers1d").solver, [Surrogate.load(Path(folder)) for folder in (ours, fno)]
    assert solver is not None
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: networks[0].rollout(u, STEPS),
        "fno": lambda: networks[1].rollout(u, STEPS),
        "solver": lambda: solver(u.astype(np.float64), coordinates=grid, parameters=parameters),
    }
    rates: dict[str, list[float]] = {who: [] for who in ways}
    for repeat in range(REPEATS + 1):
        for who, roll_out in ways.items():
            began = time.process_time()
            roll_out()
            if repeat:  # the first one imports, allocates and plans
                rates[who].append(len(u) * STEPS / (time.process_time() - began))
    return {who: {"median": median(own), "best": max(own)} for who, own in rates.items()}


ROW = Row("inference", "Frames of 128 points per CPU second; networks and solver in turn", measure, (FILE,))

if __name__ == "__main__":
    print(json.dumps(frames_per_cpu_second(*sys.argv[1:])))
