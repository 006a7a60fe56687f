"""Particles of a few samples: where they are, where they are predicted, and how far these are apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ups_core.analyze.fieldmap import DISTANCES, LEVELS, Box, Ends, axes, colourbar, colours, frame, largest
from ups_core.analyze.figures import WIDTH
from ups_core.analyze.numbers import coordinate, number
from ups_core.analyze.samples import ROW, TOP, evenly
from ups_core.analyze.svg import figure, px, text
from ups_core.data.particles import nearest, periods

#: Particles in a panel: more would cover each other, and twelve samples take some 2 MB.
MOST = 400


@dataclass(frozen=True)
class Particles:
    """One sample of particles that is drawn: arrays in physical units, and what to call them.

    ``truth`` and ``prediction`` (F, 2, M) are positions along x and y at the times ``t`` (F,), ``velocities``
    (2, F, 2, M) those of truth and prediction, None where the data have none. The box lies between the
    ``ends`` along each axis; where the ``boundary`` is periodic these are the same place. ``unit`` is that of
    positions, empty where they have none.
    """

    name: str
    truth: np.ndarray
    prediction: np.ndarray
    velocities: np.ndarray | None
    t: np.ndarray
    ends: tuple[Ends, Ends]
    boundary: tuple[str, str]
    unit: str

    @property
    def size(self) -> np.ndarray:
        """Width and height of the box, (2,)."""
        return np.array([high - low for low, high in self.ends])

    @cached_property
    def error(self) -> np.ndarray:
        """From where a particle is to where it is predicted, the shortest way: (F, 2, M)."""
        with np.errstate(invalid="ignore"):  # a prediction may be infinite
            prediction = self.prediction.astype(np.float64)
            return nearest(prediction, self.truth, periods((0, 1), self.boundary, self.ends)) - self.truth

    @cached_property
    def distance(self) -> np.ndarray:
        """How far a particle is from where it is predicted, (F, M)."""
        return np.hypot(self.error[:, 0], self.error[:, 1])

    @property
    def worst(self) -> tuple[int, int]:
        """Frame and particle of the largest distance that is finite."""
        at = np.argmax(np.where(np.isfinite(self.distance), self.distance, -1.0))
        frame, particle = np.unravel_index(int(at), self.distance.shape)
        return int(frame), int(particle)

    @cached_property
    def drawn(self) -> np.ndarray:
        """Which particles are drawn, (m,): at most :data:`MOST`, the worst one among them."""
        some, worst = evenly(self.truth.shape[-1], MOST), self.worst[1]
        some[np.abs(some - worst).argmin()] = worst
        return some

    @property
    def spacing(self) -> float:
        """How far those that are drawn would be apart if they filled the box evenly."""
        return float(np.sqrt(self.size.prod() / len(self.drawn)))

    @cached_property
    def headings(self) -> np.ndarray | None:
        """The velocities as ways to draw, (2, F, 2, M): that of the fastest as long as the spacing."""
        if self.velocities is None:
            return None
        fastest = largest(np.hypot(self.velocities[0, :, 0], self.velocities[0, :, 1])) or 1.0
        return self.velocities.astype(np.float64) * (self.spacing / fastest)

    @property
    def label(self) -> str:
        """What the colours of the error tell."""
        return f"distance [{self.unit}]" if self.unit else "distance"

    @property
    def axes(self) -> tuple[str, str]:
        """The names of the axes."""
        x, y = (f"{axis} [{self.unit}]" if self.unit else axis for axis in "xy")
        return x, y

    @property
    def where(self) -> str:
        """When and where the largest distance is, ``t = 0.15, x = 0.38, y = 0.2``; nothing if it is zero."""
        at, particle = self.worst
        if not self.distance[at, particle] > 0:
            return ""
        values = (self.t[at], *self.truth[at, :, particle])
        return ", ".join(f"{axis} = {coordinate(float(v))}" for axis, v in zip("txy", values, strict=True))

    @property
    def seen(self) -> str:
        """What its figure shows, in a sentence."""
        if not (finite := np.isfinite(self.distance).all(axis=1)).all():
            first = coordinate(float(self.t[~finite][0]))
            return f"From t = {first} on not every prediction is finite; only finite ones are drawn."
        most, middle = (
            f"{number(float(d))} {self.unit}".rstrip()
            for d in (self.distance.max(), np.median(self.distance[-1]))
        )
        return (
            "The largest distance drawn between a particle and its prediction is "
            f"{most}{f', at {self.where}' if self.where else ''}; half of the particles end within {middle}."
        )

    def draw(self) -> str:
        """Rows of truth, surrogate and error at a few times; x to the right, y up."""
        shown, bound = evenly(len(self.t), ROW), largest(self.distance)
        left, right, gap = 58.0, 60.0, 8.0
        wide = (WIDTH - left - right - gap * (len(shown) - 1)) / len(shown)
        tall = float(wide * self.size[1] / self.size[0])
        tops = [TOP + row * (tall + gap) for row in range(3)]
        parts = []
        for top, words in zip(tops, ("truth", "surrogate", "error"), strict=True):
            parts.append(text(14, top + tall / 2, words, "panel", "middle", turn=True))
            for i, at in enumerate(shown.tolist()):
                box = (left + i * (wide + gap), top, wide, tall)
                parts.append(
                    _errors(self, at, box, bound) if top == tops[-1] else _places(self, words, at, box)
                )
                if top == TOP:
                    parts.append(text(box[0], TOP - 7, f"t = {coordinate(float(self.t[at]))}", "panel"))
                if top == tops[-1]:
                    parts.append(axes(box, *self.ends, self.axes, numbers=i == 0))
        parts.append(text(WIDTH - 2, tops[-1] + tall / 2, self.label, "label", "middle", turn=True))
        parts.append(colourbar((WIDTH - right + 6, tops[-1], 7, tall), (0.0, bound), DISTANCES))
        title = "Particles: truth, surrogate and error"
        return figure(self.name, title, self.seen, WIDTH, tops[-1] + tall + 32, parts)


def particles(arrays: Mapping[str, np.ndarray], nth: int, dataset: Mapping[str, Any]) -> Particles:
    """Sample ``nth`` of ``fields/*.npy``, whose positions and velocities ``dataset.json`` names."""
    names = [field["name"] for field in dataset["fields"]]
    both = np.stack([arrays["truth"][nth], arrays["prediction"][nth]])  # (2, F, C, M)
    places, velocities = (
        both[:, :, [names.index(name) for name in dataset[kind]]] for kind in ("positions", "velocities")
    )
    unit = dataset["fields"][names.index(dataset["positions"][0])]["unit"]
    x, y = dataset["space"]
    (left, right), (low, high) = dataset["box"][x], dataset["box"][y]
    return Particles(
        name=f"sample-{nth}", truth=places[0], prediction=places[1],
        velocities=velocities if dataset["velocities"] else None, t=arrays["t"],
        ends=((left, right), (low, high)), unit="" if unit == "1" else unit,
        boundary=(dataset["boundary"][x], dataset["boundary"][y]),
    )  # fmt: skip


def _places(one: Particles, who: str, at: int, box: Box) -> str:
    """The particles of truth or surrogate at a frame: dots, with strokes along their velocities."""
    row = 0 if who == "truth" else 1
    places, dot = _px(one, (one.truth, one.prediction)[row][at], box), _dot(one, box)
    marks = _path(dot, _dots(places), f"dots {who}")
    if one.headings is not None:
        marks += _path(dot / 3, _strokes(places, _ways(one, one.headings[row, at], box)), f"dots {who}")
    return _panel(box, marks)


def _errors(one: Particles, at: int, box: Box, bound: float) -> str:
    """A dot at each particle, and a stroke to where it is predicted, of the colour of their distance.

    Large distances lie over small ones.
    """
    places, ways, dot = _px(one, one.truth[at], box), _ways(one, one.error[at], box), _dot(one, box)
    distance, table, marks = one.distance[at, one.drawn], colours(DISTANCES), []
    finite = np.isfinite(distance)
    level = np.rint(np.where(finite, distance, 0.0) / (bound or 1.0) * (LEVELS - 1)).astype(int)
    for k in np.unique(level[finite]).tolist():
        own = finite & (level == k)
        both = _path(dot, _dots(places[:, own])) + _path(dot / 2, _strokes(places[:, own], ways[:, own]))
        marks.append(f'<g class="dots" stroke="{table[k]}">{both}</g>')
    return _panel(box, "".join(marks))


def _panel(box: Box, marks: str) -> str:
    """Marks in px from the corner of a frame, cut off at it."""
    left, top, width, height = box
    where = f'x="{px(left)}" y="{px(top)}" width="{px(width)}" height="{px(height)}"'
    return f"<svg {where}>{marks}</svg>{frame(box)}"


def _path(width: float, d: str, css: str = "") -> str:
    kind = f' class="{css}"' if css else ""
    return f'<path{kind} stroke-width="{px(width)}" d="{d}"/>'


def _dot(one: Particles, box: Box) -> float:
    """How wide a dot is, in px: small beside the spacing."""
    return float(np.clip(0.38 * one.spacing * box[2] / one.size[0], 1.4, 3.6))


def _px(one: Particles, places: np.ndarray, box: Box) -> np.ndarray:
    """Places (2, M), of those that are drawn, in px from the upper left corner of a panel: (2, m)."""
    (left, _), (_, top) = one.ends
    x, y = places[:, one.drawn].astype(np.float64)
    return np.stack([x - left, top - y]) * (box[2] / one.size[0])


def _ways(one: Particles, ways: np.ndarray, box: Box) -> np.ndarray:
    """Ways (2, M), of those that are drawn, in px right and down: (2, m); none longer than leaves a panel."""
    x, y = ways[:, one.drawn]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.minimum(1.0, one.size.sum() / np.hypot(x, y))
        return np.stack([x, -y]) * share * (box[2] / one.size[0])


def _dots(places: np.ndarray) -> str:
    """Strokes of no length at (2, m), which round ends make dots."""
    return "".join(f"M{px(x)} {px(y)}h0" for x, y in _near(places))


def _strokes(places: np.ndarray, ways: np.ndarray) -> str:
    """Strokes from (2, m) by (2, m)."""
    pairs = _near(np.concatenate([places, ways]))
    return "".join(f"M{px(x)} {px(y)}l{px(dx)} {px(dy)}" for x, y, dx, dy in pairs)


def _near(columns: np.ndarray) -> list[list[float]]:
    """The columns of (R, m), in px, that are finite and not far outside of every panel."""
    return columns.T[(np.abs(columns) < 1e4).all(axis=0)].tolist()
