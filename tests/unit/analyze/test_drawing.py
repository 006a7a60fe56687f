"""Scales, labels and colour cells."""

from __future__ import annotations

import itertools
import re
from importlib import resources

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


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.086, 1.2), (2.1, 2.9), (-1.2, -0.68), (5, 5.001)])
@pytest.mark.parametrize("about", [1.5, 2, 4.5])
def test_even_a_short_axis_has_two_numbers(low: float, high: float, about: float) -> None:
    ticks = Scale(low, high).ticks(about)
    assert len(ticks) >= 2
    assert len({label for _, label in ticks}) == len(ticks)


def test_a_colour_bar_goes_from_the_first_colour_to_the_last() -> None:
    lying = fieldmap.colourbar((10, 20, 100, 6), (-1.0, 1.0), fieldmap.SIGNED)
    strokes = re.findall(r'stroke="(#\w+)" d="M(\d+) 0h1"', lying)
    assert [c for c, _ in strokes] == fieldmap.colours(fieldmap.SIGNED)
    standing = fieldmap.colourbar((10, 20, 6, 100), (-1.0, 1.0), fieldmap.SIGNED)
    strokes = re.findall(r'stroke="(#\w+)" d="M0 (\d+)h1"', standing)
    assert [c for c, _ in sorted(strokes, key=lambda s: -int(s[1]))] == fieldmap.colours(fieldmap.SIGNED)
    assert '<text x="60" y="38" class="tick" text-anchor="middle">0</text>' in lying
    assert '<text x="21" y="73.6" class="tick">0.0</text>' in standing


def test_a_prediction_that_blew_up_does_not_flatten_the_truth() -> None:
    truth = np.array([0.0, 1.0])
    assert fieldmap.within(truth, np.array([0.2, 1e9])) == (0.0, 1.5)
    assert fieldmap.within(truth, np.array([np.nan, np.inf])) == (0.0, 1.0)
    assert fieldmap.largest(np.array([np.nan, -3.0, np.inf])) == 3.0
    assert fieldmap.largest(np.array([np.nan])) == 0.0


#: Machado, Oliveira and Fernandes (2009), full severity, on linear RGB.
VISION = {
    "all colours": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.052]],
    "no green": [[0.3673, 0.8606, -0.228], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
}  # fmt: skip


def lab(colour: str, vision: str) -> np.ndarray:
    """CIE L*a*b* (D65) of an sRGB colour as someone sees it."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ seen / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("page", [0, 1], ids=["light", "dark"])
def test_everyone_can_tell_the_models_apart(vision: str, page: int) -> None:
    css = resources.files("ups_core.analyze").joinpath("templates", "style.css").read_text()
    models = ("surrogate", "solver", "fno", "persistence", "one-step")
    colours = [lab(re.findall(rf"--{name}: (#\w{{6}})", css)[page], vision) for name in models]
    assert all(np.linalg.norm(a - b) > 12 for a, b in itertools.combinations(colours, 2))


def test_thinning_bounds_the_cells() -> None:
    for shape in ((41, 128), (201, 1024), (16, 16), (512, 512)):
        assert fieldmap.thinned(np.zeros(shape), 8192).size <= 8192 * 1.6


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.00597, "0.00597"), (2.53e-4, "2.53×10⁻⁴"), (99999.0, "99\u202f999"), (1.7, "1.70"), (None, "–"),
     (float("inf"), "–"), (-0.5, "−0.500"), (0.9996, "1.00"), (123456.7, "1.23×10⁵")],
)  # fmt: skip
def test_numbers_as_people_write_them(value: float | None, said: str) -> None:
    assert numbers.number(value) == said
