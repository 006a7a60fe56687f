"""Burgers' equation: one frame of 128 points in, 40 frames out, at equal CPU seconds.

116 trajectories to train on, 12 to choose by, 32 to report on. ``burgers`` is the viscosity of the quick
start with all contenders, ``burgers_undeclared`` the same without a declaration. ``burgers_sharp`` and
``burgers_smooth`` are two other viscosities, ``burgers_many`` is one model for six of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench.contest import OURS, STRONG, Field, metric, speeds, versus
from bench.rows import Bound, Line, Row
from ups_core.api.peers import TRANSIENT
from ups_core.data.families import family

FILE = "examples/quickstart.yaml"
PEERS = "persistence, solver, fno"
UNDECLARED = "bench/undeclared.yaml"
ERROR, UNIT = "rollout.nrmse", "nRMSE"
WITH_ALL = "FNO with our optimiser, symmetries and physics"
MAIN = Field(FILE, 300)
#: Four blocks; the default's three were not tried with several viscosities. Some fronts are thinner than a
#: cell: several frames say where in a cell one is, a single one does not.
AHEAD = "architecture: {name: gconv, dilations: [1, 2, 4, 4]}, unroll: 4, unrollShare: 0.5"
#: All fronts are: docs/stages.md says what these are for.
LONG = "batchSize: 8, unroll: 4, unrollShare: 0.5, horizon: 40"
FRONTS = f"architecture: {{name: gconv, averages: true, characteristics: true}}, {LONG}"
#: All of it that this architecture can have.
STRONG_FRONTS = f"architecture: {{name: fno, characteristics: true}}, {LONG}"
MANY = Field("examples/burgers_many.yaml", 300)


def main(scratch: Path) -> Iterator[Line]:
    ours = MAIN.train(scratch, OURS, peers=PEERS)
    fno, solver = metric(ours, f"fno.{ERROR}"), metric(ours, f"solver.{ERROR}")
    yield versus(f"burgers.{ERROR}", UNIT, metric(ours, ERROR), fno, "tuned FNO", Bound(0.01, "ratio"))
    yield versus(f"burgers.{ERROR}.solver", UNIT, metric(ours, ERROR), solver, "ETDRK4 on the same points")
    still = metric(ours, f"persistence.{ERROR}")
    yield versus(f"burgers.{ERROR}.persistence", UNIT, metric(ours, ERROR), still, "first frame, repeated")
    strong = metric(MAIN.train(scratch, STRONG), ERROR)
    yield versus(f"burgers.{ERROR}.strong", UNIT, metric(ours, ERROR), strong, WITH_ALL, Bound(0.5, "ratio"))
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


def undeclared(scratch: Path) -> Iterator[Line]:
    """Ours knows nothing of the equation; the peer still has its symmetries."""
    field = Field(UNDECLARED, 300, [f"dataset.spec.source.uri={raw(scratch)}"])
    ours = metric(field.train(scratch), ERROR)
    peer = metric(MAIN.train(scratch, json.dumps(TRANSIENT)[1:-1]), ERROR)
    yield versus(f"burgers_undeclared.{ERROR}", UNIT, ours, peer, "tuned FNO", Bound(0.1, "ratio"))


def at(row: str, nu: float, config: str, said: str, with_all: str, scratch: Path) -> Iterator[Line]:
    """Another viscosity: how ours is trained, and how the strong FNO beside it is."""
    field = Field(FILE, 300, [f"dataset.spec.source.simulate.params.nu={nu}"])
    ours = field.train(scratch, config, peers=PEERS)
    own, peer, solver = (metric(ours, f"{who}{ERROR}") for who in ("", "fno.", "solver."))
    yield versus(f"{row}.{ERROR}", UNIT, own, peer, said, Bound(0.05, "ratio"))
    yield versus(f"{row}.{ERROR}.solver", UNIT, own, solver, "ETDRK4 on the same points")
    strong = metric(field.train(scratch, with_all), ERROR)
    yield versus(f"{row}.{ERROR}.strong", UNIT, own, strong, WITH_ALL, Bound(0.5, "ratio"))
    yield from speeds(row, ours, "frames/CPU-s")


def sharp(scratch: Path) -> Iterator[Line]:
    said = "tuned FNO; ours goes along characteristics first"
    yield from at("burgers_sharp", 0.001, FRONTS, said, STRONG_FRONTS, scratch)


def smooth(scratch: Path) -> Iterator[Line]:
    yield from at("burgers_smooth", 0.1, OURS, "tuned FNO", STRONG, scratch)


def many(scratch: Path) -> Iterator[Line]:
    ours = MANY.train(scratch, AHEAD, peers=PEERS)
    for split, said in (("", "seen viscosities"), ("unseen.", "a viscosity that no training had")):
        pair = metric(ours, f"{split}{ERROR}"), metric(ours, f"{split}fno.{ERROR}")
        name = f"burgers_many.{split}{ERROR}"
        yield versus(name, UNIT, *pair, f"FNO with a channel for nu; {said}", Bound(0.1, "ratio"))


FILES = ("bench/burgers.py", "bench/contest.py", FILE)
ROW = Row("burgers", "Burgers 1-D, nu = 0.01, 300 CPU seconds, three seeds", main, FILES)
UNDECLARED_ROW = Row(
    "burgers_undeclared",
    "Burgers 1-D of which nothing is declared, 300 CPU seconds, three seeds",
    undeclared,
    (*FILES, UNDECLARED),
)
SHARP_ROW = Row("burgers_sharp", "Burgers 1-D, nu = 0.001, 300 CPU seconds, three seeds", sharp, FILES)
SMOOTH_ROW = Row("burgers_smooth", "Burgers 1-D, nu = 0.1, 300 CPU seconds, three seeds", smooth, FILES)
MANY_ROW = Row(
    "burgers_many", "Burgers 1-D, six viscosities in one model, three seeds", many, (*FILES[:2], MANY.file)
)
