"""Statistics of initial states, held to a literal transcription of their definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ups_core.data.extremes import InitialStates, asked, how_far, mean_square, relative
from ups_core.data.families import family
from ups_core.data.families.base import Field
from ups_core.data.splits import Sample
from ups_core.errors import InvalidSpec


def test_which_statistics_are_asked_for():
    rule = {"largest": "rms", "count": 2}
    assert asked({"train": 0.8, "a": rule, "b": rule, "c": {"where": {"Nu": 1}}}) == ("rms",)
    assert asked({"train": 0.8, "val": {"fraction": 0.1}}) == ()


def test_of_a_sine_the_gradient_is_its_wavenumber_times_as_large():
    x = np.arange(256) / 256 * 2  # a period of 2
    u = np.stack([np.sin(np.pi * k * x) for k in (1, 3)])[:, None]  # (N, C, X)
    found = [mean_square(name, u, {"X": x}, family("burgers1d")) for name in ("rms", "gradient")]
    assert np.sqrt(found[0]) == pytest.approx(np.full((2, 1), np.sqrt(0.5)))
    assert np.sqrt(found[1]) == pytest.approx(np.pi * np.array([[1], [3]]) * np.sqrt(0.5), rel=1e-3)
    shifted = mean_square("gradient", np.roll(u, 100, -1), {"X": x}, family("burgers1d"))
    assert shifted == pytest.approx(found[1])


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
def test_in_the_plane_and_on_uneven_nodes(boundary: str):
    rng = np.random.default_rng(0)
    of = replace(family("darcy2d"), boundary={"X": boundary, "Y": "dirichlet"})
    x, y = np.array([0.0, 0.1, 0.3]), np.array([0.0, 0.5, 0.6, 0.7])
    u = rng.normal(size=(3, 4)).astype(np.float32)
    along_x = [((u[i + 1, j] - u[i, j]) / (x[i + 1] - x[i])) ** 2 for i in range(2) for j in range(4)]
    if boundary == "periodic":  # the node after the last is the first, a mean distance away
        along_x += [((u[0, j] - u[2, j]) / 0.15) ** 2 for j in range(4)]
    along_y = [((u[i, j + 1] - u[i, j]) / (y[j + 1] - y[j])) ** 2 for i in range(3) for j in range(3)]
    found = mean_square("gradient", u[None, None], {"X": x, "Y": y}, of)
    assert found == pytest.approx(np.array([[np.mean(along_x) + np.mean(along_y)]]), rel=1e-5)
    assert mean_square("rms", u[None, None], {}, of) == pytest.approx(np.array([[np.mean(np.square(u))]]))
    assert mean_square("gradient", u[None, None, :1], {"X": x[:1], "Y": y}, of).shape == (1, 1)


def test_fields_of_other_units_count_alike_whatever_the_blocks():
    rng = np.random.default_rng(1)
    of = replace(family("burgers1d"), fields=(Field("u"), Field("p", unit="Pa")))
    u = rng.normal(size=(7, 2, 8))
    x = np.arange(8) / 8
    values = []
    for unit, cuts in ((1.0, [7]), (1e5, [2, 5])):
        states = InitialStates(of, ("gradient", "rms"))
        for block in np.split(u * np.array([1.0, unit])[:, None], np.cumsum(cuts)[:-1]):
            states.add(block, {"X": x})
        values.append(states.values())
    for one, other in zip(*values, strict=True):
        assert one == pytest.approx(other)
    squares = np.square(u).mean(axis=2)
    expected = [np.sqrt(np.mean([squares[i, c] / squares[:, c].mean() for c in (0, 1)])) for i in range(7)]
    assert [each["rms"] for each in values[0]] == pytest.approx(expected)
    assert relative(np.zeros((3, 1))).tolist() == [0, 0, 0]


def test_how_far():
    def samples(*values: float) -> list[Sample]:
        return [Sample("a", "a", i, f"s{i}", {}, {"rms": v}) for i, v in enumerate(values)]

    found = how_far("rms", samples(4, 3, 8), samples(1, 2))
    assert found == {"largest": "rms", "here": [3, 4, 8], "train": [1, 1.5, 2]}


def test_places_alone_rank_no_states():
    places = replace(family("vicsek"), fields=(Field("x"), Field("y")), velocities=())
    for name in ("rms", "gradient"):
        with pytest.raises(InvalidSpec, match="nothing but places"):
            mean_square(name, np.zeros((3, 2, 7)), {}, places)
