"""Fields as coloured cells in pure vector form.

An embedded image is not allowed where the report is shown, and one rectangle a cell would take
megabytes. Values are put into a few dozen colours; cells of one colour that lie side by side become
one stroke, and all strokes of one colour one path. A 41 x 128 space-time field takes some 20 kB.
"""

from __future__ import annotations

import numpy as np

from ups_core.analyze.numbers import number
from ups_core.analyze.svg import px, text

#: Anchor colours, evenly spaced: viridis for values, red and blue around white for signed errors.
VALUES = (
    "440154", "481f70", "443983", "3b528b", "31688e", "287c8e", "21918c",
    "20a486", "35b779", "5ec962", "90d743", "c8e020", "fde725",
)  # fmt: skip
SIGNED = (
    "053061", "1c5c9f", "3783bb", "6bacd1", "a7d0e4", "d7e8f1", "f7f6f6",
    "fcdfcf", "f7b799", "e48066", "c94741", "a51429", "67001f",
)  # fmt: skip
#: Odd, so that zero of a signed map has a colour of its own.
LEVELS = 49


def colours(anchors: tuple[str, ...]) -> list[str]:
    """:data:`LEVELS` colours, linear between the anchors."""
    table = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in anchors], dtype=float)  # (A, 3)
    at = np.linspace(0, len(anchors) - 1, LEVELS)
    rgb = np.stack([np.interp(at, np.arange(len(anchors)), table[:, i]) for i in range(3)], axis=1)
    return ["#" + "".join(f"{round(v):02x}" for v in row) for row in rgb]


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


def fieldmap(
    values: np.ndarray,
    box: tuple[float, float, float, float],
    limits: tuple[float, float],
    *,
    signed: bool = False,
    title: str = "",
    cells: int = 8192,
) -> str:
    """Values (R, Q), row 0 at the bottom, in ``box`` = (left, top, width, height), a colour bar below."""
    left, top, width, height = box
    low, high = limits
    anchors = SIGNED if signed else VALUES
    shown = thinned(values, cells)
    rows, columns = shown.shape
    bar = "".join(f'<path stroke="{c}" d="M{i} 0h1"/>' for i, c in enumerate(colours(anchors)))
    middle = number(0.0) if signed else ""
    return (
        f'<svg x="{px(left)}" y="{px(top)}" width="{px(width)}" height="{px(height)}" '
        f'viewBox="0 0 {columns} {rows}" preserveAspectRatio="none" class="cells">'
        f'<g transform="translate(0 .5)">{paths(shown, low, high, anchors)}</g></svg>'
        f'<rect class="frame" x="{px(left)}" y="{px(top)}" width="{px(width)}" height="{px(height)}"/>'
        f'<svg x="{px(left)}" y="{px(top + height + 20)}" width="{px(width)}" height="5" '
        f'viewBox="0 0 {LEVELS} 1" preserveAspectRatio="none" class="cells">'
        f'<g transform="translate(0 .5)">{bar}</g></svg>'
        + text(left, top + height + 37, number(low, 2), "tick")
        + (text(left + width / 2, top + height + 37, middle, "tick", "middle") if middle else "")
        + text(left + width, top + height + 37, number(high, 2), "tick", "end")
        + (text(left, top - 7, title, "panel") if title else "")
    )
