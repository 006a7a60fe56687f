"""Measured lines as text: the cells of a table, and the figures in docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.rows import Row

BEGIN, END = "<!-- figures: python -m bench --write-docs -->\n", "<!-- end of figures -->"
HEADINGS = ("figure", "ours", "peer", "ratio", "bound", "met", "the peer is")


def number(value: float | None) -> str:
    """Three significant digits, thousands grouped.

    >>> [number(v) for v in (0.000251234, 0.0244, 1.7, 90.04, 20833, 7e11, None)]
    ['0.000251', '0.0244', '1.7', '90', '20,833', '7e+11', '']
    """
    if value is None:
        return ""
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e7 else f"{value:.3g}"


def cells(line: Mapping[str, Any]) -> list[str]:
    """One line as the cells under :data:`HEADINGS`."""
    met = {True: "yes", False: "NO", None: ""}[line["met"]]
    unit = f" {line['unit']}" if line["unit"] else ""
    peer, ratio = number(line["peer"]), number(line["ratio"])
    said = line["detail"].get("peer", "")
    return [line["name"], number(line["value"]) + unit, peer, ratio, line["bound"] or "", met, said]


def write_docs(path: Path, measured: Sequence[tuple[Row, Sequence[Mapping[str, Any]]]]) -> None:
    """Replace what lies between the two marks by the last figures of each row that has any."""
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    path.write_text(before + BEGIN + markdown(measured) + END + after, encoding="utf-8")


def markdown(measured: Sequence[tuple[Row, Sequence[Mapping[str, Any]]]]) -> str:
    parts = []
    for row, lines in measured:
        if not lines:
            continue
        when = f"Measured {lines[0]['measured'][:10]}, key `{lines[0]['key']}`."
        grid = [HEADINGS, ["---"] * len(HEADINGS), *(cells(line) for line in lines)]
        parts.append(f"\n### {row.name}: {row.title}\n\n{when}\n\n")
        parts += ["| " + " | ".join(line) + " |\n" for line in grid]
    return "".join(parts) + "\n"
