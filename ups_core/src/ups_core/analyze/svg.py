"""Plots as inline SVG: axes, lines, bands, dots, and nothing that a strict viewer forbids.

The report is shown under a policy that allows inline style and nothing else: no script, no ``data:``
image, no ``url(...)``. Drawing libraries clip by ``url(#...)`` and embed fields as images, and fix
colours that no dark page can change. So the few marks that the figures need are drawn here: colours
are classes of the report's style sheet, text is text, and the same numbers give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from ups_core.analyze.numbers import number, power_of_ten, signed


def px(value: float) -> str:
    """A length with one decimal, short."""
    return (
        f"{value:.1f}".removesuffix(".0").replace("-0", "0")
        if abs(value) < 0.05
        else f"{value:.1f}".removesuffix(".0")
    )


@dataclass(frozen=True)
class Scale:
    """From values to a share of an axis, 0 to 1, linear or logarithmic."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def over(cls, values: Iterable[float | None], *, log: bool = False, pad: float = 0.04) -> Scale:
        """The scale that shows all ``values`` (positive ones, if logarithmic) with some air."""
        kept = [v for v in values if v is not None and math.isfinite(v) and (v > 0 or not log)]
        low, high = (min(kept), max(kept)) if kept else ((0.1, 1.0) if log else (0.0, 1.0))
        if log:
            low, high = math.log10(low), math.log10(high)
        if high - low < 1e-12 * max(1.0, abs(high)):
            low, high = low - 0.5, high + 0.5
        air = pad * (high - low)
        low, high = low - air, high + air
        return cls(10**low, 10**high, True) if log else cls(low, high)

    def share(self, value: float) -> float:
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def shows(self, value: float | None) -> bool:
        return value is not None and math.isfinite(value) and (value > 0 or not self.log)

    def ticks(self, about: float = 4.5) -> list[tuple[float, str]]:
        """Round values inside the scale, with labels; ``about`` as many, if linear."""
        return self._decades() if self.log else self._round(about)

    def _round(self, about: float = 4.5) -> list[tuple[float, str]]:
        rough = (self.high - self.low) / about
        magnitude = 10.0 ** math.floor(math.log10(rough))
        step = next(magnitude * m for m in (1, 2, 2.5, 5, 10) if magnitude * m >= rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        if first >= last:
            return self._round(1.5 * about)  # one number alone says nothing of a scale
        decimals = max(0, -math.floor(math.log10(step) + 1e-9) + (1 if step / magnitude == 2.5 else 0))
        small = max(abs(self.low), abs(self.high)) < 1e-3 or step >= 1e5
        values = [i * step for i in range(first, last + 1)]
        return [(v, number(v, 2) if small else signed(f"{v + 0.0:.{decimals}f}")) for v in values]

    def _decades(self) -> list[tuple[float, str]]:
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        every = max(1, math.ceil((last - first + 1) / 7))
        powers = [(10.0**p, power_of_ten(p)) for p in range(first, last + 1) if p % every == 0]
        if len(powers) >= 3:
            return powers
        found = [(v, number(v, 1)) for p in range(first - 1, last + 1) for v in (2 * 10.0**p, 5 * 10.0**p)]
        plain = [(v, number(v, 1) if 1e-3 <= v < 1e4 else label) for v, label in powers]
        together = sorted([*plain, *((v, label) for v, label in found if self.low <= v <= self.high)])
        # Within less than a factor of two or so a logarithmic axis is nearly a linear one.
        return together if len(together) >= 2 else self._round()


Anchor = Literal["start", "middle", "end"]


def text(x: float, y: float, words: str, css: str = "", anchor: Anchor = "start", turn: bool = False) -> str:
    """One line of text."""
    rotate = f' transform="rotate(-90 {px(x)} {px(y)})"' if turn else ""
    kind = f' class="{css}"' if css else ""
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{px(x)}" y="{px(y)}"{kind}{place}{rotate}>{escape(words)}</text>'


@dataclass
class Panel:
    """A pair of axes at a place in a figure. Marks are drawn in the order in which they are added."""

    left: float
    top: float
    width: float
    height: float
    x: Scale
    y: Scale
    x_label: str = ""
    y_label: str = ""
    title: str = ""
    _marks: list[str] = field(default_factory=list)
    _ends: list[tuple[float, str, str]] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.left + self.x.share(x) * self.width, self.top + (1 - self.y.share(y)) * self.height

    def line(self, xs: Sequence[float], ys: Sequence[float | None], css: str, label: str = "") -> None:
        """A line, broken where a value is missing; ``label`` is written at its right end."""
        parts, pen, last = [], "M", None
        for x, y in zip(xs, ys, strict=True):
            if not (self.x.shows(x) and self.y.shows(y)):
                pen = "M"
                continue
            assert y is not None
            last = self.at(x, y)
            parts.append(f"{pen}{px(last[0])} {px(last[1])}")
            pen = "L"
        if last is None:
            return
        self._marks.append(f'<path class="line {css}" d="{"".join(parts)}"/>')
        if label:
            self._ends.append((last[1], label, css))

    def band(
        self, xs: Sequence[float], low: Sequence[float | None], high: Sequence[float | None], css: str
    ) -> None:
        """The area between two lines, where both have values."""
        kept = [
            (x, a, b)
            for x, a, b in zip(xs, low, high, strict=True)
            if self.y.shows(a) and self.y.shows(b) and a is not None and b is not None
        ]
        if len(kept) < 2:
            return
        there = [self.at(x, b) for x, _, b in kept]
        back = [self.at(x, a) for x, a, _ in reversed(kept)]
        points = "L".join(f"{px(x)} {px(y)}" for x, y in [*there, *back])
        self._marks.append(f'<path class="band {css}" d="M{points}Z"/>')

    def dots(self, xs: Sequence[float], ys: Sequence[float | None], css: str, radius: float = 2.2) -> None:
        """A dot at each value, as one path of zero-length strokes with round ends."""
        where = [self.at(x, y) for x, y in zip(xs, ys, strict=True) if self.y.shows(y) and y is not None]
        if where:
            d = "".join(f"M{px(x)} {px(y)}h0" for x, y in where)
            self._marks.append(f'<path class="dots {css}" stroke-width="{px(2 * radius)}" d="{d}"/>')

    def rule(self, x: float, words: str = "") -> None:
        """A vertical line at ``x``."""
        at = self.at(x, self.y.low)[0]
        self._marks.append(f'<path class="rule" d="M{px(at)} {px(self.top)}v{px(self.height)}"/>')
        if words:
            near_right = self.x.share(x) > 0.7
            self._marks.append(
                text(
                    at + (-5 if near_right else 5),
                    self.top + 11,
                    words,
                    "note",
                    "end" if near_right else "start",
                )
            )

    def add(self, mark: str) -> None:
        self._marks.append(mark)

    def render_bare(self) -> str:
        """As :meth:`render`, without numbers on the y axis: for the neighbours of a panel that has them."""
        return self.render(numbers=False)

    def render(self, *, numbers: bool = True) -> str:
        bottom, right = self.top + self.height, self.left + self.width
        out: list[str] = []
        grid, labels = [], []
        for value, label in self.x.ticks():
            at = self.at(value, self.y.low)[0]
            grid.append(f"M{px(at)} {px(self.top)}V{px(bottom)}")
            labels.append(text(at, bottom + 14, label, "tick", "middle"))
        for value, label in self.y.ticks():
            at = self.at(self.x.low, value)[1]
            grid.append(f"M{px(self.left)} {px(at)}H{px(right)}")
            if numbers:
                labels.append(text(self.left - 6, at + 3.6, label, "tick", "end"))
        out.append(f'<path class="grid" d="{"".join(grid)}"/>')
        out.append(f'<path class="axis" d="M{px(self.left)} {px(self.top)}V{px(bottom)}H{px(right)}"/>')
        out += labels
        if self.x_label:
            out.append(text(self.left + self.width / 2, bottom + 30, self.x_label, "label", "middle"))
        if self.y_label:
            out.append(
                text(self.left - 48, self.top + self.height / 2, self.y_label, "label", "middle", turn=True)
            )
        if self.title:
            out.append(text(self.left, self.top - 7, self.title, "panel"))
        out += self._marks
        out += [
            text(right + 7, y + 3.6, label, f"name {css}")
            for y, label, css in _apart(self._ends, self.top, bottom)
        ]
        return "".join(out)


def _apart(
    ends: list[tuple[float, str, str]], top: float, bottom: float, gap: float = 14.0
) -> list[tuple[float, str, str]]:
    """Move labels at the ends of lines so far apart that they can be read."""
    ordered = sorted(ends)
    placed: list[float] = []
    for y, _, _ in ordered:
        placed.append(max(y, placed[-1] + gap) if placed else max(y, top))
    limit = bottom
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - gap
    return [(y, label, css) for y, (_, label, css) in zip(placed, ordered, strict=True)]


def figure(name: str, title: str, description: str, width: float, height: float, parts: Iterable[str]) -> str:
    """A whole drawing; ``title`` and ``description`` are what a screen reader says."""
    return (
        f'<svg class="plot" viewBox="0 0 {px(width)} {px(height)}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
        f"{''.join(parts)}</svg>"
    )
