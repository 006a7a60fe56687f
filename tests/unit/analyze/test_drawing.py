"""Scales, labels and colour cells."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ups_core.analyze import fieldmap, numbers
from ups_core.analyze.svg import Panel, Scale

values = st.floats(-1e6, 1e6, allow_subnormal=False)


@settings(max_examples=100, deadline=None)
@given(st.lists(values, min_size=1, max_size=5), st.booleans())
def test_every_scale_shows_its_values_and_has_a_tick(given_values: list[float], log: bool) -> None:
    shown = [abs(v) + 1e-9 for v in given_values] if log else given_values
    scale = Scale.over(shown, log=log)
    assert all(-1e-9 <= scale.share(v) <= 1 + 1e-9 for v in shown)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 12
    assert all(-1e-6 <= scale.share(v) <= 1 + 1e-6 for v, _ in ticks)
    assert sorted(v for v, _ in ticks) == [v for v, _ in ticks]


@pytest.mark.parametrize(
    ("low", "high", "log", "labels"),
    [
        (0, 2, False, ["0.0", "0.5", "1.0", "1.5", "2.0"]),
        (0, 1500, False, ["0", "500", "1000", "1500"]),
        (2.1, 4.9, True, ["3", "4"]),
        (1e-4, 1, True, ["10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "1"]),
    ],
)
def test_ticks_are_round(low: float, high: float, log: bool, labels: list[str]) -> None:
    assert [label for _, label in Scale(low, high, log).ticks()] == labels


def test_a_line_breaks_where_a_value_is_missing() -> None:
    panel = Panel(0, 0, 100, 100, Scale(0, 4), Scale(0, 1))
    panel.line([0, 1, 2, 3, 4], [0.5, 0.5, None, 0.5, 0.5], "x")
    assert '<path class="line x" d="M0 50L25 50M75 50L100 50"/>' in panel.render()


def test_cells_can_be_read_back_from_their_paths() -> None:
    field = np.random.default_rng(0).normal(size=(5, 9))
    field[2, 3] = np.nan
    low, high = np.nanmin(field), np.nanmax(field)
    drawn = np.full(field.shape, -1)
    table = fieldmap.colours(fieldmap.VALUES)
    for colour, d in re.findall(
        r'stroke="(#\w+)" d="([^"]+)"', fieldmap.paths(field, low, high, fieldmap.VALUES)
    ):
        for column, row, length in re.findall(r"M(\d+) (\d+)h(\d+)", d):
            target = drawn[int(row), int(column) : int(column) + int(length)]
            assert (target == -1).all()
            target[:] = table.index(colour)
    expected = np.rint((field - low) / (high - low) * (fieldmap.LEVELS - 1))
    assert (drawn[::-1][np.isfinite(field)] == expected[np.isfinite(field)]).all()
    assert drawn[::-1][2, 3] == -1


def test_zero_of_a_signed_map_is_its_middle_colour() -> None:
    middle = fieldmap.colours(fieldmap.SIGNED)[fieldmap.LEVELS // 2]
    assert f'stroke="{middle}"' in fieldmap.paths(np.zeros((1, 1)), -0.3, 0.3, fieldmap.SIGNED)


def test_thinning_bounds_the_cells() -> None:
    for shape in ((41, 128), (201, 1024), (16, 16), (512, 512)):
        assert fieldmap.thinned(np.zeros(shape), 8192).size <= 8192 * 1.6


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.00597, "0.00597"), (2.53e-4, "2.53×10⁻⁴"), (99999.0, "99\u202f999"), (1.7, "1.70"), (None, "–"),
     (float("inf"), "–"), (-0.5, "-0.500"), (0.9996, "1.00"), (123456.7, "1.23×10⁵")],
)  # fmt: skip
def test_numbers_as_people_write_them(value: float | None, said: str) -> None:
    assert numbers.number(value) == said
