"""Is a latent state worth it? Codec and operator on codes against the operator on the fields themselves.

Both sides get the same CPU seconds in all; the latent side spends a third of them on its codec. On the grid
that the data are simulated on, which resolves more than the dynamics need, and on the quick start's, which
does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.burgers import ERROR, FILE, UNIT
from bench.contest import OURS, Field, metric, versus
from bench.rows import Bound, Line, Row

SECONDS = 150
SAID = "full resolution"
NO_WORSE, NO_SLOWER = Bound(1.2, "ratio"), Bound(1.0, "ratio", ">=")


def measure(scratch: Path) -> Iterator[Line]:
    yield from on(1024, 8, "codec", scratch, NO_WORSE, NO_SLOWER)
    yield from on(128, 2, "codec.at128", scratch)


def on(
    points: int,
    downsample: int,
    name: str,
    scratch: Path,
    no_worse: Bound | None = None,
    no_slower: Bound | None = None,
) -> Iterator[Line]:
    changes = [f"dataset.spec.convert.stride.x={1024 // points}"]
    full = Field(FILE, SECONDS, changes).train(scratch, OURS)
    # Whatever it loses: here that is what is measured.
    limits = f"target: 10, cpuBudgetSeconds: {SECONDS // 3}"
    codec = f"{{name: codec, config: {{downsample: {downsample}, {limits}}}}}"
    latent = Field(FILE, SECONDS - SECONDS // 3, changes, codec).train(scratch, OURS, peers="solver")
    yield versus(f"{name}.{ERROR}", UNIT, metric(latent, ERROR), metric(full, ERROR), SAID, no_worse)
    floor = [run.result("train-codec")["metrics"]["train.val.reconstruction.nrmse"] for run in latent]
    said = f"{SAID}, its rollout"
    yield versus(f"{name}.reconstruction.nrmse", UNIT, floor, metric(full, ERROR), said)
    own, theirs = ([run.frames_per_cpu_second() for run in runs] for runs in (latent, full))
    yield versus(f"{name}.inference", "frames/CPU-s", own, theirs, SAID, no_slower)
    solver = [run.frames_per_cpu_second("solver") for run in latent]
    said = "ETDRK4 on the same points"
    yield versus(f"{name}.inference.solver", "frames/CPU-s", own, solver, said)
    error = metric(latent, f"solver.{ERROR}")
    yield versus(f"{name}.{ERROR}.solver", UNIT, metric(latent, ERROR), error, said)


ROW = Row(
    "codec",
    f"Latent path against full resolution, {SECONDS} CPU seconds each in all, three seeds",
    measure,
    (FILE, "bench/contest.py", "bench/burgers.py"),
)
