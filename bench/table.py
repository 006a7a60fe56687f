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
    """Put the last figures of each row between the marks; a row that has none here keeps what is there."""
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    old, after = rest.split(END)
    kept = {part.split(":")[0]: part for part in old.split("### ")[1:]}
    parts = [section(row, lines) if lines else kept.get(row.name, "") for row, lines in measured]
    figures = "".join(f"### {part.strip()}\n\n" for part in parts if part)
    path.write_text(f"{before}{BEGIN}\n{figures}{END}{after}", encoding="utf-8")


def section(row: Row, lines: Sequence[Mapping[str, Any]]) -> str:
    """A row's heading, less its mark, and its table."""
    when = f"Measured {lines[0]['measured'][:10]}, key `{lines[0]['key']}`."
    heading, *rest = matrix(lines) if row.matrix else [HEADINGS, *map(cells, lines)]
    grid = [heading, ["---"] * len(heading), *rest]
    table = "".join("| " + " | ".join(line) + " |\n" for line in grid)
    return f"{row.name}: {row.title}\n\n{when}\n\n{table}"


def matrix(lines: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Lines called ``<row>.<problem>.<contender>.<figure>`` as a heading and a line for each contender.

    A contender's first figure is its error, and it alone has its unit beside it.
    """
    contenders: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for line in lines:
        _, problem, contender, _ = line["name"].split(".", 3)
        contenders.setdefault((problem, contender), []).append(line)
    first = next(iter(contenders.values()))
    costs = [
        line["name"].split(".", 3)[3] + (f", {line['unit']}" if line["unit"] else "") for line in first[1:]
    ]
    return [
        ["problem", "contender", "error", *costs],
        *(
            [
                *names,
                f"{number(own[0]['value'])} {own[0]['unit']}",
                *(number(each["value"]) for each in own[1:]),
            ]
            for names, own in contenders.items()
        ),
    ]
