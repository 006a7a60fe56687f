"""The fields themselves: truth, prediction and error of a few samples, as maps and as profiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ups_core.analyze.fieldmap import fieldmap
from ups_core.analyze.figures import WIDTH
from ups_core.analyze.numbers import number
from ups_core.analyze.svg import Panel, Scale, figure, text

GAP = 34.0
#: Cells of all maps of a report together; keeps the file below some 2 MB.
CELLS = 150_000


def draw(
    arrays: Mapping[str, np.ndarray],
    nth: int,
    name: str,
    fields: list[dict[str, Any]],
    inputs: list[dict[str, Any]],
) -> str:
    """Sample ``nth`` of ``fields/*.npy``. Only the first field is drawn where there are several."""
    truth, prediction = arrays["truth"][nth, :, 0], arrays["prediction"][nth, :, 0]  # (F, X[, Y])
    label = fields[0]["label"] or fields[0]["name"]
    cells = CELLS // (3 * len(arrays["truth"]))
    if truth.ndim == 2:
        return _space_time(arrays, truth, prediction, name, label, cells)
    if "input" in arrays:
        given = inputs[0]["label"] or inputs[0]["name"]
        return _steady(arrays["input"][nth, 0], truth[0], prediction[0], name, given, label, cells)
    return _frames(arrays["t"], truth, prediction, name, label, cells)


def _limits(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _largest(error: np.ndarray) -> float:
    finite = error[np.isfinite(error)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def edge(nodes: np.ndarray, end: int) -> str:
    """The first or last node of an axis, to a hundredth of the axis."""
    span = float(nodes[-1] - nodes[0]) or 1.0
    return f"{round(float(nodes[end]), max(0, 2 - int(np.floor(np.log10(abs(span)))))):g}"


def _said(error: np.ndarray, label: str) -> str:
    return f"{label}: largest absolute error {number(_largest(error))}."


def _space_time(
    arrays: Mapping[str, np.ndarray],
    truth: np.ndarray,
    prediction: np.ndarray,
    name: str,
    label: str,
    cells: int,
) -> str:
    """Maps over x (right) and t (up), and below them profiles at four times."""
    error = prediction.astype(np.float64) - truth
    x, t = arrays["x"], arrays["t"]
    left, width, height = 40.0, (WIDTH - 40 - 2 * GAP) / 3, 170.0
    limits, largest = _limits(truth), _largest(error)
    parts = []
    for i, (values, bounds, title) in enumerate(
        (
            (truth, limits, f"{label}, truth"),
            (prediction, limits, "surrogate"),
            (error, (-largest, largest), "error"),
        )
    ):
        box = (left + i * (width + GAP), 22.0, width, height)
        parts.append(fieldmap(values, box, bounds, signed=title == "error", title=title, cells=cells))
        parts.append(text(box[0], 22 + height + 13, edge(x, 0), "tick"))
        parts.append(text(box[0] + width / 2, 22 + height + 13, "x", "tick", "middle"))
        parts.append(text(box[0] + width, 22 + height + 13, edge(x, -1), "tick", "end"))
    parts.append(text(left - 6, 22 + height, edge(t, 0), "tick", "end"))
    parts.append(text(left - 6, 22 + height / 2, "t", "tick", "end"))
    parts.append(text(left - 6, 30, edge(t, -1), "tick", "end"))
    parts.append(_profiles(x, t, truth, prediction, 22 + height + 66))
    return figure(
        name, "Truth, surrogate and error over space and time", _said(error, label), WIDTH, 396, parts
    )


def _profiles(x: np.ndarray, t: np.ndarray, truth: np.ndarray, prediction: np.ndarray, top: float) -> str:
    """u(x) of truth and surrogate at the first predicted frame, the last, and two between."""
    shown = np.unique(np.linspace(1, len(t) - 1, min(4, len(t) - 1)).round().astype(int))
    finite = prediction[np.isfinite(prediction)]
    # A prediction that blew up must not flatten the truth beside it to a line.
    room = 0.5 * float(truth.max() - truth.min())
    y = Scale.over(
        [*_limits(truth), *np.clip(finite, truth.min() - room, truth.max() + room).tolist()], pad=0.06
    )
    left, gap = 40.0, 14.0
    width = (WIDTH - left - gap * (len(shown) - 1)) / len(shown)
    out = []
    for i, frame in enumerate(shown):
        panel = Panel(left + i * (width + gap), top, width, 110, Scale(float(x[0]), float(x[-1])), y)
        panel.title = f"t = {t[frame]:.4g}"
        line = [float(v) if np.isfinite(v) and y.low <= v <= y.high else None for v in prediction[frame]]
        panel.line(x.tolist(), truth[frame].tolist(), "truth wide")
        panel.line(x.tolist(), line, "surrogate")
        out.append(panel.render() if i == 0 else panel.render_bare())
    return "".join(out)


def _steady(
    given: np.ndarray,
    truth: np.ndarray,
    prediction: np.ndarray,
    name: str,
    given_label: str,
    label: str,
    cells: int,
) -> str:
    """Input, truth, prediction and error over the plane: x to the right, y up."""
    error = prediction.astype(np.float64) - truth
    largest, limits = _largest(error), _limits(truth)
    size = (WIDTH - 3 * 24) / 4
    panels = (
        (given, _limits(given), given_label),
        (truth, limits, f"{label}, truth"),
        (prediction, limits, "surrogate"),
        (error, (-largest, largest), "error"),
    )
    parts = [
        fieldmap(
            values.T, (i * (size + 24), 22.0, size, size * given.shape[1] / given.shape[0]), bounds,
            signed=title == "error", title=title, cells=cells,
        )
        for i, (values, bounds, title) in enumerate(panels)
    ]  # fmt: skip
    height = 22 + size * given.shape[1] / given.shape[0] + 44
    return figure(name, "Input, truth, surrogate and error", _said(error, label), WIDTH, height, parts)


def _frames(
    t: np.ndarray, truth: np.ndarray, prediction: np.ndarray, name: str, label: str, cells: int
) -> str:
    """Rows of truth, prediction and error at a few times; x to the right, y up."""
    error = prediction.astype(np.float64) - truth
    largest, limits = _largest(error), _limits(truth)
    count, left, gap = len(t), 20.0, 12.0
    size = (WIDTH - left - gap * (count - 1)) / count
    tall = size * truth.shape[2] / truth.shape[1]
    parts = []
    rows = (
        (truth, limits, "truth"),
        (prediction, limits, "surrogate"),
        (error, (-largest, largest), "error"),
    )
    for r, (values, bounds, title) in enumerate(rows):
        top = 22 + r * (tall + 58)
        parts.append(text(left - 8, top + tall / 2, title, "label", "middle", turn=True))
        for i in range(count):
            when = f"t = {t[i]:.4g}" if r == 0 else ""
            box = (left + i * (size + gap), top, size, tall)
            parts.append(
                fieldmap(values[i].T, box, bounds, signed=title == "error", title=when, cells=cells // count)
            )
    return figure(
        name, f"{label}: truth, surrogate and error", _said(error, label), WIDTH, 22 + 3 * (tall + 58), parts
    )
