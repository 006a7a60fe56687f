from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ups_core.train.schedule import rate, ticks


@pytest.mark.parametrize(
    ("share", "warmup", "expected"),
    [
        (0.0, 0.0, 1.0),
        (0.0, 0.1, 0.0),
        (0.05, 0.1, 0.5),
        (0.1, 0.1, 1.0),
        (0.325, 0.1, 0.8535533905932737),
        (0.55, 0.1, 0.5),
        (1.0, 0.1, 0.0),
        (1.7, 0.1, 0.0),
    ],
)
def test_rate(share, warmup, expected):
    assert rate(share, warmup) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 400), st.integers(1, 60))
def test_every_mark_is_met_once_and_the_last_step_is_one(steps, count):
    met = [ticks(s / steps, (s + 1) / steps, count) for s in range(steps)]
    assert sum(met) == min(steps, count)
    assert met[-1]
