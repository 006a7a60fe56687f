"""``python -m bench``: measure the rows that are not measured yet, and print every figure beside its peer."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import (
    advection,
    architectures,
    burgers,
    codec,
    command,
    contracts,
    convert,
    darcy,
    demo,
    diffusion,
    inference,
    navier_stokes,
    particles,
    peer,
)
from bench.rows import ROOT, Row
from bench.table import HEADINGS, cells, write_docs

#: Short ones first.
ROWS = {
    row.name: row
    for row in (
        *(
            m.ROW
            for m in (command, demo, convert, contracts, inference, codec, diffusion, advection, burgers)
        ),
        *(burgers.UNDECLARED_ROW, burgers.SHARP_ROW, burgers.SMOOTH_ROW, burgers.MANY_ROW),
        *(m.ROW for m in (navier_stokes, darcy, particles, peer, architectures)),
    )
}


def main() -> None:
    asked = arguments()
    if asked.write_docs:
        write_docs(ROOT / "docs" / "benchmarks.md", [(row, row.measured()) for row in ROWS.values()])
        return
    found = [(row, lines_of(row, again=asked.again)) for row in asked.only]
    out = Console(width=None if sys.stdout.isatty() else 140)
    for row, lines in found:
        out.print(table(row, lines))
    missed = [line["name"] for _, lines in found for line in lines if line["met"] is False]
    if missed:
        sys.exit(f"bounds not met: {', '.join(missed)}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", type=rows, default=list(ROWS.values()), metavar="ROW,ROW", help=", ".join(ROWS)
    )
    parser.add_argument("--again", action="store_true", help="measure again what is measured already")
    parser.add_argument(
        "--write-docs", action="store_true", help="put the last figures into docs/benchmarks.md"
    )
    return parser.parse_args()


def rows(names: str) -> list[Row]:
    if unknown := [name for name in names.split(",") if name not in ROWS]:
        raise argparse.ArgumentTypeError(f"no row {unknown[0]}; there are {', '.join(ROWS)}")
    return [ROWS[name] for name in names.split(",")]


def lines_of(row: Row, *, again: bool) -> list[dict[str, Any]]:
    if not again and (lines := row.measured(row.key())):
        print(f"{row.name}: measured {lines[0]['measured'][:19]}, code and data unchanged", file=sys.stderr)
        return lines
    print(f"{row.name}: {row.title}", file=sys.stderr)
    return row.measure_now()


def table(row: Row, lines: list[dict[str, Any]]) -> Table:
    drawn = Table(title=row.title, title_justify="left", expand=True)
    for heading in HEADINGS:
        drawn.add_column(heading, justify="right" if heading in ("ours", "peer", "ratio") else "left")
    for line in lines:
        drawn.add_row(*cells(line))
    return drawn


if __name__ == "__main__":
    main()
