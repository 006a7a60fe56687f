"""Fields as coloured cells in pure vector form.

An embedded image is not allowed where the report is shown, and one rectangle a cell would take
megabytes. Values are put into a few dozen colours; cells of one colour that lie side by side become
one stroke, and all strokes of one colour one path. A 41 x 128 space-time field takes some 20 kB.
"""

from __future__ import annotations

import numpy as np

from ups_core.analyze.svg import Scale, px, text

#: Anchor colours, evenly spaced: viridis for values, red and blue around white for signed errors, and for
#: distances from grey to red, all of which are seen on light and on dark paper.
VALUES = (
    "440154", "481f70", "443983", "3b528b", "31688e", "287c8e", "21918c",
    "20a486", "35b779", "5ec962", "90d743", "c8e020", "fde725",
)  # fmt: skip
SIGNED = (
    "053061", "1c5c9f", "3783bb", "6bacd1", "a7d0e4", "d7e8f1", "f7f6f6",
    "fcdfcf", "f7b799", "e48066", "c94741", "a51429", "67001f",
)  # fmt: skip
DISTANCES = ("a3a8b0", "cfa066", "e07b39", "e0483a", "c8102e")
#: Odd, so that zero of a signed map has a colour of its own.
LEVELS = 49


def colours(anchors: tuple[str, ...]) -> list[str]:
    """:data:`LEVELS` colours, linear between the anchors."""
    table = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in anchors], dtype=float)  # (A, 3)
    at = np.linspace(0, len(anchors) - 1, LEVELS)
    rgb = np.stack([np.interp(at, np.arange(len(anchors)), table[:, i]) for i in range(3)], axis=1)
    return ["#" + "".join(f"{round(v):02x}" for v in row) for row in rgb]


def extremes(values: np.ndarray) -> tuple[float, float]:
    """The least and the greatest value."""
    return float(values.min()), float(values.max())


def within(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """Limits that show both, unless the prediction blew up: it must not flatten the truth to a line."""
    low, high = extremes(truth)
    room = 0.5 * (high - low)
    shown = np.append(prediction[np.isfinite(prediction)].clip(low - room, high + room), (low, high))
    return extremes(shown)


def largest(error: np.ndarray) -> float:
    """The largest absolute value of those that are finite; 0 where none is."""
    return float(np.abs(error[np.isfinite(error)]).max(initial=0.0))


def thinned(values: np.ndarray, cells: int) -> np.ndarray:
    """Every k-th row and column, so that at most about ``cells`` remain: (R, Q) to (r, q)."""
    step = max(1, int(np.ceil(np.sqrt(values.size / cells))))
    return values[:: min(step, max(1, values.shape[0] // 32)), ::step]


def paths(values: np.ndarray, low: float, high: float, anchors: tuple[str, ...]) -> str:
    """The cells of (R, Q) values, row 0 at the bottom, one unit each; cells without a number stay empty."""
    span = high - low or 1.0
    finite = np.isfinite(values)
    level = np.clip(
        np.rint((np.where(finite, values, low) - low) / span * (LEVELS - 1)), 0, LEVELS - 1
    ).astype(int)
    level[~finite] = -1
    rows, columns = level.shape
    strokes: dict[int, list[str]] = {}
    for row in range(rows):
        line = level[rows - 1 - row]
        starts = np.flatnonzero(np.diff(line, prepend=-2))
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), columns], strict=True):
            strokes.setdefault(int(line[start]), []).append(f"M{start} {row}h{stop - start}")
    table = colours(anchors)
    return "".join(
        f'<path stroke="{table[k]}" d="{"".join(strokes[k])}"/>' for k in sorted(strokes) if k >= 0
    )


Box = tuple[float, float, float, float]
"""Left, top, width and height in the drawing."""


def fieldmap(
    values: np.ndarray, box: Box, limits: tuple[float, float], *, signed: bool = False, cells: int = 8192
) -> str:
    """Values (R, Q), row 0 at the bottom, in a frame."""
    shown = thinned(values, cells)
    rows, columns = shown.shape
    return _cells(box, columns, rows, paths(shown, *limits, SIGNED if signed else VALUES)) + frame(box)


def frame(box: Box) -> str:
    """The line around a panel."""
    left, top, width, height = box
    return f'<rect class="frame" x="{px(left)}" y="{px(top)}" width="{px(width)}" height="{px(height)}"/>'


def colourbar(box: Box, limits: tuple[float, float], anchors: tuple[str, ...] = VALUES) -> str:
    """The colours between ``limits`` with round numbers: below a bar that lies, beside one that stands."""
    left, top, width, height = box
    table, scale = colours(anchors), Scale(*limits)
    if limits[0] == limits[1]:
        return ""
    if width > height:
        bar = "".join(f'<path stroke="{c}" d="M{i} 0h1"/>' for i, c in enumerate(table))
        labels = [
            text(left + scale.share(v) * width, top + height + 12, said, "tick", "middle")
            for v, said in scale.ticks(max(2.0, min(5.0, width / 60)))
        ]
        return _cells(box, LEVELS, 1, bar) + "".join(labels)
    bar = "".join(f'<path stroke="{c}" d="M0 {LEVELS - 1 - i}h1"/>' for i, c in enumerate(table))
    labels = [
        text(left + width + 5, top + (1 - scale.share(v)) * height + 3.6, said, "tick")
        for v, said in scale.ticks(max(2.0, min(5.0, height / 25)))
    ]
    return _cells(box, 1, LEVELS, bar) + "".join(labels)


Ends = tuple[float, float]
"""The two ends of an axis."""


def axes(box: Box, x: Ends, y: Ends, names: tuple[str, str], *, numbers: bool = True) -> str:
    """Round numbers along a panel from end to end of x (right) and y (up); on y only with ``numbers``."""
    left, top, width, height = box
    across, up = Scale(*x), Scale(*y)
    marks = [text(left + width / 2, top + height + 25, names[0], "label", "middle")]
    for v, said in across.ticks(max(1.5, width / 60)):
        share = across.share(v)
        # Numbers at the ends stay within the panel: the next one has its own there.
        anchor = "start" if share < 0.01 else "end" if share > 0.99 else "middle"
        marks.append(text(left + share * width, top + height + 12, said, "tick", anchor))
    if numbers:
        marks.append(text(left - 30, top + height / 2, names[1], "label", "middle", turn=True))
        for v, said in up.ticks(max(1.5, height / 45)):
            marks.append(text(left - 5, top + (1 - up.share(v)) * height + 3.6, said, "tick", "end"))
    return "".join(marks)


def edges(nodes: np.ndarray) -> Ends:
    """From the left edge of the first cell to the right edge of the last, the nodes being in the middle."""
    half = 0.5 * float(nodes[-1] - nodes[0]) / max(1, len(nodes) - 1) or 0.5
    return float(nodes[0]) - half, float(nodes[-1]) + half


def _cells(box: Box, columns: int, rows: int, strokes: str) -> str:
    left, top, width, height = box
    return (
        f'<svg x="{px(left)}" y="{px(top)}" width="{px(width)}" height="{px(height)}" '
        f'viewBox="0 0 {columns} {rows}" preserveAspectRatio="none" class="cells">'
        f'<g transform="translate(0 .5)">{strokes}</g></svg>'
    )
