"""Particles in figures, films and words: each where it is, and its error the shortest way."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_films import at, decoded, rgb
from test_report import assert_allowed

from ups_core.analyze import card, films, report
from ups_core.analyze.numbers import number
from ups_core.analyze.particles import MOST, Particles, particles
from ups_core.models.domain import Channel, Domain
from ups_core.models.problem import Motion, Problem

FIELDS = ("vx", "x", "vy", "y", "charge")  # neither in the order of space nor beside each other
DATASET: dict[str, Any] = {
    "family": "advection_mesh2d", "kind": "particles", "steady": False, "space": "XY", "dt": 0.5,
    "boundary": {"X": "periodic", "Y": "neumann"}, "box": {"X": [0.0, 2.0], "Y": [-1.0, 1.0]},
    "positions": ["x", "y"], "velocities": ["vx", "vy"], "inputs": [], "parameters": [],
    "fields": [{"name": name, "unit": "m" if name in "xy" else "1", "label": ""} for name in FIELDS],
    "splits": {name: {"samples": 2, "shape": [3, 5, 4]} for name in ("train", "val", "test")},
}  # fmt: skip
T = np.array([0.0, 0.5, 1.0])
#: Of four particles at three times: the first crosses the right edge, which its prediction does not.
X = [[1.90, 0.50, 1.00, 0.40], [1.98, 0.55, 1.00, 0.40], [0.06, 0.60, 1.00, 0.40]]
Y = [[0.00, 0.50, -0.50, 0.90], [0.00, 0.50, -0.40, 0.80], [0.00, 0.50, -0.30, 0.70]]
X_SEEN = [[1.90, 0.50, 1.00, 0.40], [1.94, 0.55, 1.00, 0.40], [1.98, 0.60, 1.10, 0.40]]
Y_SEEN = [[0.00, 0.50, -0.50, 0.90], [0.00, 0.50, -0.40, 0.80], [0.00, 0.50, -0.30, 0.70]]


def arrays() -> dict[str, np.ndarray]:
    """``fields/*.npy`` of a single sample."""
    moving = {"vx": np.full((3, 4), 0.16), "vy": np.zeros((3, 4)), "charge": np.ones((3, 4))}
    truth = np.stack([{"x": X, "y": Y, **moving}[name] for name in FIELDS], axis=1)
    prediction = np.stack([{"x": X_SEEN, "y": Y_SEEN, **moving}[name] for name in FIELDS], axis=1)
    return {"truth": truth[None].astype("f4"), "prediction": prediction[None].astype("f4"), "t": T}


def one(**changed: Any) -> Particles:
    return replace(particles(arrays(), 0, DATASET), **changed)


def panels(svg: str) -> list[tuple[float, ET.Element]]:
    """The boxes of a figure with their width, row by row."""
    return [
        (float(panel.attrib["width"]), panel)
        for panel in ET.fromstring(svg).iter("svg")
        if panel.attrib.keys() == {"x", "y", "width", "height"}
    ]


def strokes(panel: ET.Element) -> list[list[float]]:
    """Start and way of every stroke."""
    drawn = "".join(path.attrib["d"] for path in panel.iter("path"))
    return [[float(v) for v in found] for found in re.findall(r"M(\S+) (\S+?)l(\S+?) ([^M]+)", drawn)]


def test_the_error_of_a_particle_at_a_periodic_edge_is_short() -> None:
    drawn = panels(one().draw())
    assert len(drawn) == 9  # three times, and three rows
    wide, last = drawn[8]
    found = {round(x / wide * 2, 2): (dx / wide * 2, dy / wide * 2) for x, _, dx, dy in strokes(last)}
    assert found[0.06] == pytest.approx((-0.08, 0.0), abs=0.001)  # to the left, out of the frame
    assert found[1.00] == pytest.approx((0.1, 0.0), abs=0.001)
    walls = one(boundary=("neumann", "periodic"))
    assert walls.error[2, 0, 0] == pytest.approx(1.92)


def test_particles_lie_where_they_are_and_strokes_go_their_way() -> None:
    wide, first = panels(one().draw())[0]
    for (x, y, dx, dy), *place in zip(strokes(first), X[0], Y[0], strict=True):
        assert (x / wide * 2, 1 - y / wide * 2) == pytest.approx(place, abs=0.001)
        assert dx == pytest.approx(wide / 2, abs=0.1)  # as far as four particles would be apart
        assert dy == 0
    without = {**DATASET, "velocities": []}
    assert strokes(panels(particles(arrays(), 0, without).draw())[0][1]) == []


def test_the_caption_tells_the_largest_distance_and_where_it_is() -> None:
    most, ends = (0.0, 0, 0), []
    for frame in range(3):
        for i in range(4):
            x, y = X_SEEN[frame][i] - X[frame][i], Y_SEEN[frame][i] - Y[frame][i]
            distance = math.hypot(min(abs(x), 2 - abs(x)), y)
            most = max(most, (distance, frame, i))
            ends += [distance] if frame == 2 else []
    distance, frame, i = most
    middle = sum(sorted(ends)[1:3]) / 2
    assert one().seen == (
        f"The largest distance drawn between a particle and its prediction is {number(distance)} m, at "
        f"t = {T[frame]:g}, x = {X[frame][i]:g}, y = −{-Y[frame][i]:g}; "
        f"half of the particles end within {number(middle)} m."
    )
    assert "distance [m]" in one().draw()


def test_a_prediction_that_is_perfect_is_drawn_too() -> None:
    exact = one(prediction=one().truth)
    assert "its prediction is 0 m; half of the particles end within 0 m." in exact.seen
    assert ET.fromstring(exact.draw()).tag == "svg"


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_prediction_that_diverged_is_left_out_or_cut_off(value: float, tmp_path: Path) -> None:
    prediction = one().prediction.copy()
    prediction[1:, :, :2] = value
    velocities = one().velocities
    assert velocities is not None
    velocities[1, 1:, :, :2] = value
    gone = one(prediction=prediction, velocities=velocities)
    svg = gone.draw()
    assert not re.search(r"nan|inf|\d{6}", svg)
    finite = np.isfinite(value)
    assert gone.seen.startswith("From t = 0.5 on not every prediction is finite") != finite
    assert len(strokes(panels(svg)[4][1])) == 2  # the surrogate's, at the second time
    films.film(tmp_path / "film.mp4", gone)
    assert len(decoded(tmp_path / "film.mp4")) == 3


def test_many_particles_are_thinned_out_but_for_the_worst() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (9, 2, 2000)).astype("f4")
    prediction = truth + rng.normal(size=truth.shape).astype("f4") * 0.01
    prediction[5, :, 1234] += 0.3
    many = one(truth=truth, prediction=prediction, velocities=np.stack([truth, truth]), t=np.arange(9.0))
    assert len(many.drawn) == len(set(many.drawn.tolist())) == MOST
    assert 1234 in many.drawn
    assert "at t = 5" in many.seen
    assert 12 * len(many.draw()) < 3_000_000  # the most samples that a report has


def test_a_film_has_every_particle_at_its_place(tmp_path: Path) -> None:
    still = one(velocities=None)
    paths = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for path in paths:
        films.film(path, still)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    frames = decoded(paths[0]).astype(int)
    assert frames.shape == (3, films.SIZE[2][1], films.SIZE[2][0], 3)
    for panel, x, y, colour in ((0, X, Y, films.INK), (1, X_SEEN, Y_SEEN, films.SURROGATE)):
        for i in range(4):
            row, column = at(panel, x[2][i] / 2, (y[2][i] + 1) / 2)
            near = frames[2, row - 2 : row + 3, column - 2 : column + 3]
            assert np.abs(near - rgb(colour)).max(axis=2).min() < 40, (panel, i)
    row, first = at(2, 0.1, 0.5)
    _, last = at(2, 0.9, 0.5)
    paper = np.abs(frames[2, row, first:last] - rgb(films.PAPER)).max()
    assert paper < 10  # nothing goes across the box from the particle that left it


def material() -> report.Material:
    """Everything that a report on these particles is drawn from."""
    problem = Problem(
        family="flock", steady=False, space="XY", fields=FIELDS, units=("1",) * 5, inputs=FIELDS, shape=(4,),
        spacing=(), boundary=("periodic", "neumann"), wall=(), conserved=(True, *[False] * 4), dt=0.5,
        box=((0.0, 2.0), (-1.0, 1.0)), motion=Motion((1, 3), (0, 2), stride=0.1, carried=(0.1, 0.1)),
    )  # fmt: skip
    channels = tuple(Channel(name, "1", 0.0, 1.0, 1.0) for name in FIELDS)
    domain = Domain(channels, (), (), False, {"train": 2, "val": 2}, "1" * 64)
    errors = {"rollout.nrmse": 0.02, "one_step.nrmse": 0.01, "persistence.rollout.nrmse": 0.4}
    drift = {"rollout.conservation_drift": 0.1, "truth.rollout.conservation_drift": 0.01}
    validation = {"metric": "val.rollout.nrmse", "value": 0.02, "step": 10}
    sets = {"test": {"samples": 2, "given": 1, "steps": 2, "shape": [3, 5, 4], "notes": {}}}
    evaluation = {
        "steady": False, "split": "test", "headline": "rollout.nrmse", "sets": sets,
        "drawn": [{"sample": 1, "role": "worst", "error": 0.02, "parameters": {}}],
    }  # fmt: skip
    return report.Material(
        metrics={**errors, "rollout.x.nrmse": 0.03, "solver.rollout.nrmse": 0.01, **drift},
        evaluation=evaluation,
        over_time={"test": {"frame": [1, 2], "t": [0.5, 1.0], "rollout": _curve(), "one_step": _curve()}},
        spectra={"test": {}},
        per_sample="split,sample,rollout.nrmse\ntest,0,0.01\ntest,1,0.03\n",
        fields=arrays(),
        model={
            "problem": asdict(problem), "domain": domain.to_dict(), "stage": "operator", "shapes": {},
            "config": {"name": "points"}, "training": {"steps": 10}, "parameters": 100, "steps": 10,
            "validation": validation,
        },
        model_recipe={"seed": 0},
        verdicts=[],
        curve=[{"step": 10, "train.loss": 0.1, "val.rollout.nrmse": 0.02}],
        dataset=DATASET,
        described={"title": "A flock"},
        validated={"files": {}, "splits": {name: {"states": 2, "dropped": 0} for name in DATASET["splits"]}},
        provenance=[["data", "0" * 64, "1" * 64]],
    )  # fmt: skip


def _curve() -> dict[str, list[float]]:
    return {"mean": [0.01, 0.02], "p10": [0.01, 0.01], "p90": [0.02, 0.03]}


def test_a_report_speaks_of_particles() -> None:
    made = report.render(material(), 3)
    html, markdown = made["report.html"], made["report.md"]
    assert_allowed(html)
    for words in (
        "Particles: truth, surrogate and error",
        "above the classical solver with the same particles",
        "The solver has the particles that the surrogate sees.",
        "A dot is a particle, and a stroke the way it goes",
        "charge is not drawn.",
        "test: 2 samples, 4 particles, 2 frames after 1",
        "positions x, y, velocities vx, vy, in a box from 0 to 2 along x, -1 to 1 along y",
        "T × C × M",
        "the mean over all particles of vx",
        "nRMSE of x",
        one().seen,
        'href="films/sample-1.mp4"',
    ):
        assert words in html, words
    assert "test: 2 samples, 4 particles" in markdown
    assert not re.search(r"(the|same) grid|points of|stay where|spatial mean", html.split("<main>")[1])


def test_a_card_speaks_of_particles() -> None:
    text = card.render(material())
    assert "- Particles: 4 in training, periodic along x" in text
    assert "2 samples, 4 particles" in text
    assert "u = surrogate.rollout(u0, steps=10)  # (N, 10, 5, M)" in text
    assert "coordinates" not in text
    assert "- Keeps exactly: the mean over particles of vx" in text
