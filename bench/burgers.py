"""Burgers' equation: one frame of 128 points in, 40 frames out, at equal CPU seconds.

116 trajectories to train on, 12 to choose by, 32 to report on. ``burgers`` is the viscosity of the quick
start with all contenders, ``burgers_range`` two more viscosities, ``burgers_many`` one model for six of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.contest import OURS, PLAIN, REFERENCE, STRONG, Field, metric, references, speeds, versus
from bench.rows import Bound, Line, Row

FILE = "examples/quickstart.yaml"
PEERS = "persistence, solver, fno"
ERROR, UNIT = "rollout.nrmse", "nRMSE"
MAIN = Field(FILE, 300)
#: Some fronts are thinner than a cell: several frames say where in a cell one is, a single one does not.
AHEAD = f"{OURS}, unroll: 4, unrollShare: 0.5"
#: All fronts are: docs/stages.md says what these are for.
FRONTS = (
    "architecture: {name: gconv, averages: true, characteristics: true, dilations: [1, 2, 4]}, "
    "batchSize: 8, unroll: 4, unrollShare: 0.5, horizon: 40"
)
#: nu, and how it is trained.
RANGE = {0.001: FRONTS, 0.1: OURS}
MANY = Field("examples/burgers_many.yaml", 300)


def main(scratch: Path) -> Iterator[Line]:
    ours = MAIN.train(scratch, OURS, peers=PEERS)
    fno, solver = metric(ours, f"fno.{ERROR}"), metric(ours, f"solver.{ERROR}")
    yield versus(f"burgers.{ERROR}", UNIT, metric(ours, ERROR), fno, "tuned FNO", Bound(0.01, "ratio"))
    theirs = [found["test"]["test"]["error"] for found in references(ours, MAIN.seconds, REFERENCE)]
    said, bound = "the FNO of neuraloperator 2.0.0, tuned as ours", Bound(0.01, "ratio")
    yield versus(f"burgers.{ERROR}.neuraloperator", UNIT, metric(ours, ERROR), theirs, said, bound)
    yield versus(f"burgers.{ERROR}.solver", UNIT, metric(ours, ERROR), solver, "ETDRK4 on the same points")
    still = metric(ours, f"persistence.{ERROR}")
    yield versus(f"burgers.{ERROR}.persistence", UNIT, metric(ours, ERROR), still, "first frame, repeated")
    strong = metric(MAIN.train(scratch, STRONG), ERROR)
    said = "FNO with our optimiser, symmetries and physics"
    yield versus(f"burgers.{ERROR}.strong", UNIT, metric(ours, ERROR), strong, said, Bound(0.5, "ratio"))
    plain = metric(MAIN.train(scratch, PLAIN), ERROR)
    said = "tuned FNO; ours without what the family declares"
    yield versus(f"burgers.{ERROR}.undeclared", UNIT, plain, fno, said, Bound(0.1, "ratio"))
    yield from speeds("burgers", ours, "frames/CPU-s")


def over_range(scratch: Path) -> Iterator[Line]:
    for nu, config in RANGE.items():
        field = Field(FILE, 300, [f"dataset.spec.source.simulate.params.nu={nu}"])
        ours = field.train(scratch, config, peers=PEERS)
        peer = metric(ours, f"fno.{ERROR}")
        name = f"burgers_range.nu{nu}.{ERROR}"
        said = "tuned FNO; ours goes along characteristics first" if config == FRONTS else "tuned FNO"
        yield versus(name, UNIT, metric(ours, ERROR), peer, said, Bound(0.05, "ratio"))
        solver = metric(ours, f"solver.{ERROR}")
        yield versus(f"{name}.solver", UNIT, metric(ours, ERROR), solver, "ETDRK4 on the same points")
        yield from speeds(f"burgers_range.nu{nu}", ours, "frames/CPU-s")


def many(scratch: Path) -> Iterator[Line]:
    ours = MANY.train(scratch, AHEAD, peers=PEERS)
    for split, said in (("", "seen viscosities"), ("unseen.", "a viscosity that no training had")):
        pair = metric(ours, f"{split}{ERROR}"), metric(ours, f"{split}fno.{ERROR}")
        name = f"burgers_many.{split}{ERROR}"
        yield versus(name, UNIT, *pair, f"FNO with a channel for nu; {said}", Bound(0.1, "ratio"))


FILES = ("bench/burgers.py", "bench/contest.py", "bench/fno.py", FILE)
ROW = Row("burgers", "Burgers 1-D, nu = 0.01, 300 CPU seconds, three seeds", main, FILES)
RANGE_ROW = Row("burgers_range", "Burgers 1-D at other viscosities, three seeds", over_range, FILES)
MANY_ROW = Row(
    "burgers_many", "Burgers 1-D, six viscosities in one model, three seeds", many, (*FILES[:3], MANY.file)
)
