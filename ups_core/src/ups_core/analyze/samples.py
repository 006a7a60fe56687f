"""The fields themselves: truth, surrogate and error of a few samples, as maps and as profiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ups_core.analyze.fieldmap import (
    SIGNED,
    Box,
    axes,
    colourbar,
    edges,
    extremes,
    fieldmap,
    largest,
    within,
)
from ups_core.analyze.figures import WIDTH
from ups_core.analyze.numbers import coordinate, number
from ups_core.analyze.raster import raster, raster_nodes
from ups_core.analyze.svg import Panel, Scale, figure, px, text

#: Cells of all maps of a report together; keeps the file below some 2 MB.
CELLS = 150_000
#: Frames in a row of maps.
ROW = 5
#: Room for titles above, and for half a number on the right.
TOP, EDGE = 22.0, 14.0


@dataclass(frozen=True)
class Sample:
    """One sample that is drawn: arrays in physical units, and what to call them.

    ``truth`` and ``prediction`` (F, X[, Y]) are of one field; ``x``, ``y``, ``t`` their nodes and times,
    ``y`` None in one dimension, ``t`` None where steady (F = 1). ``given`` (X[, Y]) is the input of a
    steady problem; ``cells`` how many cells its maps may have together. On a mesh they are (F, M) and (M,)
    at the points ``x``, ``y`` (M,).
    """

    name: str
    label: str
    truth: np.ndarray
    prediction: np.ndarray
    x: np.ndarray
    y: np.ndarray | None
    t: np.ndarray | None
    given: np.ndarray | None
    given_label: str
    cells: int
    mesh: bool = False

    @property
    def error(self) -> np.ndarray:
        return self.prediction.astype(np.float64) - self.truth

    def panels(self, bound: float) -> list[tuple[np.ndarray, tuple[float, float], str]]:
        """What is drawn beside each other, with limits and title: two of one scale, and one around zero."""
        limits = extremes(self.truth)
        truth, prediction, error = (self.pictured(v) for v in (self.truth, self.prediction, self.error))
        return [
            (truth, limits, f"{self.label}, truth"),
            (prediction, limits, "surrogate"),
            (error, (-bound, bound), "error"),
        ]

    @cached_property
    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """The nodes (X,) and (Y,) of its maps: its own, or those of a picture of the points."""
        assert self.y is not None
        return raster_nodes(self.x, self.y) if self.mesh else (self.x, self.y)

    def pictured(self, values: np.ndarray) -> np.ndarray:
        """(F, X[, Y]), or (F, M) at points, as they are drawn: (F, X[, Y])."""
        if not self.mesh:
            return values
        assert self.y is not None
        return raster(self.x, self.y, values, self.nodes)

    @property
    def where(self) -> str:
        """Where the largest error is: ``t = 0.15, x = 0.38``; nothing where it is not finite or zero."""
        error = np.abs(self.error)
        if not np.isfinite(error).all() or not error.any():
            return ""
        at = np.unravel_index(int(error.argmax()), error.shape)
        nodes = [("t", self.t, at[0]), ("x", self.x, at[1])]
        nodes += [("y", self.y, at[-1])] if self.y is not None else []
        return ", ".join(f"{axis} = {coordinate(float(v[i]))}" for axis, v, i in nodes if v is not None)

    @property
    def seen(self) -> str:
        """What its figure shows, in a sentence."""
        if not np.isfinite(self.error).all():
            return "Blank: not finite."
        bound, (low, high) = largest(self.error), extremes(self.truth)
        share = f", {number(100 * bound / (high - low), 2)} % of the range of the truth" if high > low else ""
        return (
            f"The largest error drawn is {number(bound)}{f', at {self.where}' if self.where else ''}{share}."
        )

    def draw(self) -> str:
        """Truth, surrogate and error beside each other; values share a scale, errors have one around zero."""
        if self.y is None:
            return _space_time(self) if self.t is not None else _curves(self)
        return _frames(self) if self.t is not None else _steady(self)


def named(field: Mapping[str, Any]) -> str:
    """Name and unit of a field: ``velocity u [m/s]``, without a unit where it has none."""
    label = field["label"] or field["name"]
    return label if field["unit"] == "1" else f"{label} [{field['unit']}]"


def sample(
    arrays: Mapping[str, np.ndarray],
    nth: int,
    fields: list[dict[str, Any]],
    inputs: list[dict[str, Any]],
    drawn: int,
) -> Sample:
    """Sample ``nth`` of ``fields/*.npy``, of which ``drawn`` share a report; of several fields the first."""
    given = arrays["input"][nth, 0] if "input" in arrays else None
    mesh = arrays["x"].ndim == 2  # points, of each sample
    x, y = (arrays[axis][nth] for axis in "xy") if mesh else (arrays["x"], arrays.get("y"))
    return Sample(
        name=f"sample-{nth}", label=named(fields[0]),
        truth=arrays["truth"][nth, :, 0], prediction=arrays["prediction"][nth, :, 0],
        x=x, y=y, t=arrays.get("t"), mesh=mesh,
        given=given, given_label=named(inputs[0]) if given is not None else "", cells=CELLS // drawn,
    )  # fmt: skip


def evenly(count: int, most: int, first: int = 0) -> np.ndarray:
    """Which of ``count`` frames, from ``first`` on, are drawn: at most so many, both ends among them."""
    return np.unique(np.linspace(first, count - 1, min(most, count - first)).round().astype(int))


def points(one: Sample, box: Box) -> str:
    """Dots over a map where the points lie."""
    assert one.y is not None
    left, top, width, height = box
    across, up = (Scale(*edges(nodes)) for nodes in one.nodes)
    places = zip(one.x.tolist(), one.y.tolist(), strict=True)
    dots = (
        f"M{px(left + across.share(x) * width)} {px(top + (1 - up.share(y)) * height)}h0" for x, y in places
    )
    style = 'fill="none" stroke="#fff" stroke-width="1.6" stroke-linecap="round" stroke-opacity=".75"'
    return f'<path {style} d="{"".join(dots)}"/>'


def _said(one: Sample) -> str:
    return f"{one.label}: largest absolute error {number(largest(one.error))}."


def _space_time(one: Sample) -> str:
    """Maps over x (right) and t (up), and below them profiles at four times."""
    assert one.t is not None
    bound = largest(one.error)
    left, gap, height = 48.0, 22.0, 180.0
    width = (WIDTH - EDGE - left - 2 * gap) / 3
    limits, parts = extremes(one.truth), []
    for i, (values, bounds, title) in enumerate(one.panels(bound)):
        box = (left + i * (width + gap), TOP, width, height)
        parts.append(fieldmap(values, box, bounds, signed=title == "error", cells=one.cells // 3))
        parts.append(axes(box, edges(one.x), edges(one.t), ("x", "t"), numbers=i == 0))
        parts.append(text(box[0], TOP - 7, title, "panel"))
    bars = TOP + height + 34
    parts.append(colourbar((left, bars, 2 * width + gap, 6), limits))
    parts.append(colourbar((left + 2 * (width + gap), bars, width, 6), (-bound, bound), SIGNED))
    parts.append(_profiles(one, left, bars + 48))
    return figure(
        one.name, "Truth, surrogate and error over space and time", _said(one), WIDTH, bars + 200, parts
    )


def _profiles(one: Sample, left: float, top: float) -> str:
    """u(x) of truth and surrogate at the first predicted frame, the last, and two between."""
    assert one.t is not None
    shown = evenly(len(one.t), 4, first=1)
    gap, out = 14.0, []
    width = (WIDTH - EDGE - left - gap * (len(shown) - 1)) / len(shown)
    for i, frame in enumerate(shown):
        panel = _profile(one, int(frame), (left + i * (width + gap), top, width, 110))
        panel.title = f"t = {coordinate(float(one.t[frame]))}"
        out.append(panel.render(numbers=i == 0))
    return "".join(out)


def _profile(one: Sample, frame: int, box: tuple[float, float, float, float]) -> Panel:
    y = Scale.over(within(one.truth, one.prediction), pad=0.06)
    panel = Panel(*box, Scale(float(one.x[0]), float(one.x[-1])), y, "x")
    line = [float(v) if np.isfinite(v) and y.low <= v <= y.high else None for v in one.prediction[frame]]
    panel.line(one.x.tolist(), one.truth[frame].tolist(), "truth wide")
    panel.line(one.x.tolist(), line, "surrogate")
    return panel


def _curves(one: Sample) -> str:
    """A steady problem in one dimension: the curves of truth and surrogate."""
    panel = _profile(one, 0, (62, TOP, WIDTH - 62 - EDGE, 200))
    panel.y_label = one.label
    return figure(one.name, "Truth and surrogate", _said(one), WIDTH, TOP + 240, [panel.render()])


def _steady(one: Sample) -> str:
    """Input, truth, surrogate and error over the plane: x to the right, y up."""
    assert one.given is not None
    assert one.y is not None
    bound, limits, given = largest(one.error), extremes(one.truth), extremes(one.given)
    left, gap, (x, y) = 40.0, 18.0, one.nodes
    size = (WIDTH - EDGE - left - 3 * gap) / 4
    tall = size * len(y) / len(x)
    panels = [
        (one.pictured(one.given[None])[0], given, one.given_label),
        *((values[0], bounds, title) for values, bounds, title in one.panels(bound)),
    ]
    parts, at = [], [left + i * (size + gap) for i in range(4)]
    for i, (values, bounds, title) in enumerate(panels):
        box = (at[i], TOP, size, tall)
        parts.append(fieldmap(values.T, box, bounds, signed=title == "error", cells=one.cells // 4))
        parts += [points(one, box)] if one.mesh and i == 0 else []
        parts.append(axes(box, edges(x), edges(y), ("x", "y"), numbers=i == 0))
        parts.append(text(at[i], TOP - 7, title, "panel"))
    bars = TOP + tall + 34
    parts.append(colourbar((at[0], bars, size, 6), given))
    parts.append(colourbar((at[1], bars, 2 * size + gap, 6), limits))
    parts.append(colourbar((at[3], bars, size, 6), (-bound, bound), SIGNED))
    return figure(one.name, "Input, truth, surrogate and error", _said(one), WIDTH, bars + 24, parts)


def _frames(one: Sample) -> str:
    """Rows of truth, surrogate and error at a few times; x to the right, y up."""
    assert one.t is not None
    assert one.y is not None
    shown = evenly(len(one.t), ROW)
    bound, limits = largest(one.error), extremes(one.truth)
    left, right, gap, (x, y) = 58.0, 60.0, 8.0, one.nodes
    size = (WIDTH - left - right - gap * (len(shown) - 1)) / len(shown)
    tall = size * len(y) / len(x)
    tops = [TOP + r * (tall + gap) for r in range(3)]
    parts = []
    for top, (values, bounds, title) in zip(tops, one.panels(bound), strict=True):
        words = title.rpartition(", ")[2]
        parts.append(text(14, top + tall / 2, words, "panel", "middle", turn=True))
        for i, frame in enumerate(shown):
            box = (left + i * (size + gap), top, size, tall)
            cells = one.cells // (3 * len(shown))
            parts.append(fieldmap(values[frame].T, box, bounds, signed=words == "error", cells=cells))
            if top == TOP:
                parts += [points(one, box)] if one.mesh and i == 0 else []
                parts.append(text(box[0], TOP - 7, f"t = {coordinate(float(one.t[frame]))}", "panel"))
            if top == tops[-1]:
                parts.append(axes(box, edges(x), edges(y), ("x", "y"), numbers=i == 0))
    bars = WIDTH - right + 6
    parts.append(text(WIDTH - 2, TOP + tall + gap / 2, one.label, "label", "middle", turn=True))
    parts.append(colourbar((bars, TOP, 7, 2 * tall + gap), limits))
    parts.append(colourbar((bars, tops[-1], 7, tall), (-bound, bound), SIGNED))
    return figure(
        one.name, f"{one.label}: truth, surrogate and error", _said(one), WIDTH, tops[-1] + tall + 32, parts
    )
