"""Rows, bounds and figures of the benchmark. Nothing here measures a time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import stdev

import pytest
from bench import rows as rows_module
from bench.__main__ import ROWS, lines_of, rows
from bench.contest import versus
from bench.rows import Bound, Line, Row
from bench.table import BEGIN, END, matrix, number, write_docs


@pytest.mark.parametrize(
    ("bound", "value", "peer", "met"),
    [
        (Bound(0.5), 0.5, None, True),
        (Bound(0.5), 0.51, None, False),
        (Bound(0.2, "ratio"), 0.02, 0.1, True),
        (Bound(0.2, "ratio"), 0.021, 0.1, False),
        (Bound(0.5, "ratio", ">="), 300.0, 600.0, True),
        (Bound(0.5, "ratio", ">="), 299.0, 600.0, False),
        (Bound(0.2, "ratio"), 0.0, None, False),  # no peer, no claim
        (Bound(0.2, "ratio"), float("nan"), 1.0, False),
    ],
)
def test_bound(bound: Bound, value: float, peer: float | None, met: bool) -> None:
    assert Line("x", value, "s", peer, bound).to_dict()["met"] is met


def test_line_as_json() -> None:
    line = Line("burgers.rollout.nrmse", 0.01, "nRMSE", 0.04, Bound(0.2, "ratio"), {"seed": 0})
    assert json.loads(json.dumps(line.to_dict())) == {
        "name": "burgers.rollout.nrmse",
        "value": 0.01,
        "unit": "nRMSE",
        "peer": 0.04,
        "ratio": 0.25,
        "bound": "<= 0.2 x",
        "met": False,
        "detail": {"seed": 0},
    }


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Row:
    """A row that counts its measurements, in a repository with one data file."""
    monkeypatch.setattr(rows_module, "ROOT", tmp_path)
    monkeypatch.setattr(rows_module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(rows_module, "SCRATCH", tmp_path / "scratch")
    for name in (
        "bench/counted.py",
        "bench/rows.py",
        "bench/processes.py",
        "uv.lock",
        "data.yaml",
        "ups_core/src/a.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    counts = iter(range(10))

    def measure(scratch: Path) -> Iterator[Line]:
        assert scratch.is_dir()
        assert not list(scratch.iterdir())
        (scratch / "left-over").touch()
        yield Line("counted.runs", next(counts), "")

    return Row("counted", "Counted", measure, ("data.yaml",))


def value(row: Row, *, again: bool = False) -> float:
    (line,) = lines_of(row, again=again)
    return line["value"]


def test_measured_once_while_code_and_data_stay(counted: Row, tmp_path: Path) -> None:
    assert [value(counted), value(counted), value(counted, again=True), value(counted)] == [0, 0, 1, 1]
    for name in ("data.yaml", "ups_core/src/a.py"):
        before = value(counted)
        (tmp_path / name).write_text("changed")
        assert value(counted) == before + 1
    assert len(counted.results.read_text().splitlines()) == 4


def test_an_interrupted_measurement_goes_on_from_what_it_left(counted: Row) -> None:
    seen: list[bool] = []

    def measure(scratch: Path) -> Iterator[Line]:
        seen.append((scratch / "trained").exists())
        (scratch / "trained").touch()
        if len(seen) == 1:
            raise KeyboardInterrupt
        yield Line("counted.runs", 1.0, "")

    row = Row("counted", "Counted", measure, ("data.yaml",))
    with pytest.raises(KeyboardInterrupt):
        row.measure_now()
    assert row.measured() == []
    row.measure_now()
    row.measure_now()
    assert seen == [False, True, False]


def test_a_contest_compares_means_over_seeds() -> None:
    line = versus("x", "nRMSE", [1.0, 2.0, 3.0], [10.0, 10.0, 40.0], "tuned FNO", Bound(0.1, "ratio"))
    assert (line.value, line.peer, line.ratio) == (2.0, 20.0, 0.1)
    assert (line.detail["spread"], line.detail["peer_spread"]) == (1.0, stdev([10.0, 10.0, 40.0]))


def test_rows_are_selected_by_name() -> None:
    assert [row.name for row in rows("darcy,demo")] == ["darcy", "demo"]
    assert all(name == row.name for name, row in ROWS.items())
    with pytest.raises(argparse.ArgumentTypeError, match="no row speed; there are"):
        rows("speed")


def test_every_row_has_a_key() -> None:
    assert len({row.key() for row in ROWS.values()}) == len(ROWS)


@pytest.mark.parametrize(
    ("figure", "text"),
    [(0.000251234, "0.000251"), (0.0244, "0.0244"), (1.70, "1.7"), (20833, "20,833"), (None, "")],
)
def test_number(figure: float | None, text: str) -> None:
    assert number(figure) == text


def test_docs_hold_the_last_figures_between_the_marks(tmp_path: Path, counted: Row) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{BEGIN}old\n{END}\nafter\n")
    value(counted)
    value(counted, again=True)
    for _ in range(2):  # writing it twice changes nothing
        write_docs(page, [(counted, counted.measured())])
        text = page.read_text()
        assert text.startswith(f"before\n{BEGIN}\n### counted: Counted\n")
        assert text.endswith(f"| counted.runs | 1 |  |  |  |  |  |\n\n{END}\nafter\n")
        assert "old" not in text
    write_docs(page, [(counted, [])])  # not measured here, but where the page was written
    assert page.read_text() == text


def test_a_matrix_has_a_line_for_each_contender() -> None:
    figures = {"rel_l2": (0.07, "rel. L2"), "training": (1200.0, "samples/CPU-s")}
    lines = [
        Line(f"row.darcy.{who}.{name}", value, unit).to_dict()
        for who in ("unet", "fno")
        for name, (value, unit) in figures.items()
    ]
    assert matrix(lines) == [
        ["problem", "contender", "error", "training, samples/CPU-s"],
        ["darcy", "unet", "0.07 rel. L2", "1,200"],
        ["darcy", "fno", "0.07 rel. L2", "1,200"],
    ]
