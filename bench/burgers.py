"""Burgers' equation: one frame of 128 points in, 40 frames out, at equal CPU seconds.

116 trajectories to train on, 12 to choose by, 32 to report on. ``burgers`` is the viscosity of the quick
start with all contenders, ``burgers_range`` two more viscosities, ``burgers_many`` one model for six of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.contest import OURS, PLAIN, REFERENCE, STRONG, Field, metric, references, speeds, versus
from bench.rows import Bound, Line, Row
from ups_core.data.families import family

FILE = "examples/quickstart.yaml"
PEERS = "persistence, solver, fno"
UNDECLARED = "bench/undeclared.yaml"
ERROR, UNIT = "rollout.nrmse", "nRMSE"
WITH_ALL = "FNO with our optimiser, symmetries and physics"
MAIN = Field(FILE, 300)
#: Some fronts are thinner than a cell: several frames say where in a cell one is, a single one does not.
AHEAD = f"{OURS}, unroll: 4, unrollShare: 0.5"
#: All fronts are: docs/stages.md says what these are for.
LONG = "batchSize: 8, unroll: 4, unrollShare: 0.5, horizon: 40"
FRONTS = f"architecture: {{name: gconv, averages: true, characteristics: true, dilations: [1, 2, 4]}}, {LONG}"
#: All of it that this architecture can have.
STRONG_FRONTS = f"architecture: {{name: fno, characteristics: true}}, {LONG}"
#: nu, how it is trained, and how the strong FNO beside it is.
RANGE = {0.001: (FRONTS, STRONG_FRONTS), 0.1: (OURS, STRONG)}
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
    yield versus(f"burgers.{ERROR}.strong", UNIT, metric(ours, ERROR), strong, WITH_ALL, Bound(0.5, "ratio"))
    own = Field(UNDECLARED, MAIN.seconds, [f"dataset.spec.source.uri={raw(scratch)}"])
    undeclared = metric(own.train(scratch), ERROR)
    said = "tuned FNO; ours where nothing is declared"
    yield versus(f"burgers.{ERROR}.undeclared", UNIT, undeclared, fno, said, Bound(0.1, "ratio"))
    off = metric(MAIN.train(scratch, PLAIN), ERROR)
    said = "tuned FNO; ours with all physics switched off"
    yield versus(f"burgers.{ERROR}.off", UNIT, off, fno, said)
    yield from speeds("burgers", ours, "frames/CPU-s")


def raw(scratch: Path) -> Path:
    """The quick start's trajectories as one file."""
    path, simulate = (scratch / "samples.hdf5").absolute(), family("burgers1d").simulate
    assert simulate is not None
    if not path.exists():
        part = path.with_suffix(".part")
        simulate(part, indices=range(160), seed=0, params={"nu": 0.01}, progress=lambda *_: None)
        part.replace(path)
    return path


def over_range(scratch: Path) -> Iterator[Line]:
    for nu, (config, with_all) in RANGE.items():
        field = Field(FILE, 300, [f"dataset.spec.source.simulate.params.nu={nu}"])
        ours = field.train(scratch, config, peers=PEERS)
        peer = metric(ours, f"fno.{ERROR}")
        name = f"burgers_range.nu{nu}.{ERROR}"
        said = "tuned FNO; ours goes along characteristics first" if config == FRONTS else "tuned FNO"
        yield versus(name, UNIT, metric(ours, ERROR), peer, said, Bound(0.05, "ratio"))
        solver = metric(ours, f"solver.{ERROR}")
        yield versus(f"{name}.solver", UNIT, metric(ours, ERROR), solver, "ETDRK4 on the same points")
        strong = metric(field.train(scratch, with_all), ERROR)
        yield versus(f"{name}.strong", UNIT, metric(ours, ERROR), strong, WITH_ALL, Bound(0.5, "ratio"))
        yield from speeds(f"burgers_range.nu{nu}", ours, "frames/CPU-s")


def many(scratch: Path) -> Iterator[Line]:
    ours = MANY.train(scratch, AHEAD, peers=PEERS)
    for split, said in (("", "seen viscosities"), ("unseen.", "a viscosity that no training had")):
        pair = metric(ours, f"{split}{ERROR}"), metric(ours, f"{split}fno.{ERROR}")
        name = f"burgers_many.{split}{ERROR}"
        yield versus(name, UNIT, *pair, f"FNO with a channel for nu; {said}", Bound(0.1, "ratio"))


FILES = ("bench/burgers.py", "bench/contest.py", "bench/fno.py", FILE)
ROW = Row("burgers", "Burgers 1-D, nu = 0.01, 300 CPU seconds, three seeds", main, (*FILES, UNDECLARED))
RANGE_ROW = Row("burgers_range", "Burgers 1-D at other viscosities, three seeds", over_range, FILES)
MANY_ROW = Row(
    "burgers_many", "Burgers 1-D, six viscosities in one model, three seeds", many, (*FILES[:3], MANY.file)
)
