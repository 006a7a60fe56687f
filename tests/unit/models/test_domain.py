"""What fits a surrogate and what does not: the rules, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from ups_core.errors import DataInvalid
from ups_core.models.domain import DEVIATIONS, MARGIN, Channel, Domain, Parameter
from ups_core.models.limits import check_coordinates, check_parameter, check_units, check_values, limits
from ups_core.models.problem import Motion, Problem

U = Channel("u", "m/s", low=-2.0, high=4.0, std=1.5)
NU = Parameter("nu", 0.001, 0.1, logarithmic=True)
X = np.arange(16) / 16


def domain(*, at_rest: bool = False, origin: float = 0.0) -> Domain:
    return Domain((U,), (NU,), (origin,), at_rest, {"train": 8, "val": 2}, "0" * 64)


def test_it_travels_as_json() -> None:
    assert Domain.from_dict(json.loads(json.dumps(domain().to_dict()))) == domain()


def test_the_margin_of_a_parameter_is_a_share_of_its_range() -> None:
    linear = Parameter("beta", -1.0, 3.0)
    assert linear.allowed == pytest.approx((-1 - 4 * MARGIN, 3 + 4 * MARGIN))
    decades = 2 * MARGIN
    assert NU.allowed == pytest.approx((0.001 / 10**decades, 0.1 * 10**decades))


@pytest.mark.parametrize(
    ("value", "fits", "extrapolated"),
    [
        (0.001, True, True),
        (0.01, True, True),
        (0.12, True, True),
        (0.13, False, True),
        (0.0007, False, True),
        (0.0, False, False),  # has no logarithm
        (-0.01, False, False),
        (np.nan, False, False),
    ],
)
def test_parameters(value: float, fits: bool, extrapolated: bool) -> None:
    for expected, extrapolate in ((fits, False), (extrapolated, True)):
        values = np.array([0.01, value])
        if expected:
            check_parameter(NU, values, extrapolate=extrapolate)
        else:
            with pytest.raises(DataInvalid, match="nu is outside the range of training") as caught:
                check_parameter(NU, values, extrapolate=extrapolate)
            assert caught.value.details["where"] == "sample 1"
            assert caught.value.details["found"] == f"nu = {value:g}"
            assert "0.001 to 0.1" in caught.value.details["expected"]


def test_values_are_counted_in_standard_deviations() -> None:
    u = np.zeros((3, 1, 16), np.float32)
    u[1, 0, 5] = U.high + DEVIATIONS * U.std - 0.01
    check_values(domain(), u, 0)
    u[2, 0, 5] = U.low - 10 * U.std
    with pytest.raises(DataInvalid, match="u is far outside") as caught:
        check_values(domain(), u, 100)
    assert caught.value.details["where"] == "sample 102"
    assert "10 standard deviations beyond" in caught.value.details["found"]
    assert "check the unit of u" in caught.value.details["fix"]


def test_a_moving_observer_counts_from_the_mean() -> None:
    u = 50 + np.sin(2 * np.pi * X)[None, None]
    check_values(domain(at_rest=True), u, 0)
    with pytest.raises(DataInvalid, match="far outside"):
        check_values(domain(), u, 0)
    with pytest.raises(DataInvalid, match="about the mean"):
        check_values(domain(at_rest=True), 50 * u, 0)


def test_units() -> None:
    check_units(domain(), {})
    check_units(domain(), {"u": "m/s"})
    with pytest.raises(DataInvalid) as caught:
        check_units(domain(), {"u": "km/s"})
    assert (caught.value.details["found"], caught.value.details["expected"]) == ("km/s", "m/s")
    with pytest.raises(DataInvalid, match="does not take"):
        check_units(domain(), {"v": "m/s"})


@pytest.mark.parametrize(
    ("nodes", "points", "free", "words"),
    [
        (X, 16, True, None),
        (X + 0.3, 16, True, None),  # where the equation does not know places
        (X + 0.3, 16, False, "lies elsewhere"),
        (X.astype(np.float32), 16, False, None),
        (np.arange(32) / 32, 32, False, None),
        (2 * X, 16, True, "lies elsewhere"),
        (np.linspace(0, 1, 16), 16, True, "lies elsewhere"),  # the periodic end counted twice
        (X**2, 16, True, "lies elsewhere"),
        (X[:8], 16, True, "do not fit the values"),
    ],
)
def test_nodes(line: Callable[..., Problem], nodes, points: int, free: bool, words: str | None) -> None:
    problem = line(shifts=("X",) if free else ())
    if words is None:
        check_coordinates(domain(), problem, {"x": nodes}, (points,))
        return
    with pytest.raises(DataInvalid, match=words):
        check_coordinates(domain(), problem, {"x": nodes}, (points,))


def test_times(line: Callable[..., Problem]) -> None:
    check_coordinates(domain(), line(), {"t": np.array([0.7])}, (16,))
    check_coordinates(domain(), line(), {"t": 0.1 * np.arange(5)}, (16,))
    with pytest.raises(DataInvalid, match="another time") as caught:
        check_coordinates(domain(), line(), {"t": 0.2 * np.arange(5)}, (16,))
    assert "dt = 0.1" in caught.value.details["expected"]


def test_limits_are_told_in_words(line: Callable[..., Problem]) -> None:
    told = dict(limits(domain(), line(varying=("nu",))))
    assert told["values of u"] == "-2 to 4 in training; refused below -6.5 and above 8.5"
    assert told["nu"].startswith("0.001 to 0.1 in training; refused below 0.0007943 and above 0.1259")
    assert told["time between frames"] == "0.1"


def test_where_particles_may_be_is_told_where_it_is_less_than_the_box(line: Callable[..., Problem]) -> None:
    x, y = Channel("x", "1", low=0.0, high=1.0, std=0.3), Channel("y", "1", low=0.4, high=0.5, std=0.03)
    gas = line(
        space="XY", fields=("x", "y"), inputs=("x", "y"), units=("1", "1"), shape=(20,), spacing=(), wall=(),
        boundary=("periodic", "neumann"), conserved=(False, False), bounded=(False, False),
        box=((0.0, 1.0), (0.0, 1.0)), motion=Motion((0, 1), (), stride=0.1, carried=()),
    )  # fmt: skip
    held = Domain((x, y), (), (), False, {"train": 8, "val": 2}, "0" * 64)
    told = dict(limits(held, gas))
    assert told["values of y"] == "0.4 to 0.5 in training; refused below 0.31 and above 0.59"
    assert "values of x" not in told
    far = np.full((1, 2, 20), 0.9)
    with pytest.raises(DataInvalid, match="y is far outside what training has seen"):
        check_values(held, far, 0)
