"""The mean predictor on another grid."""

from __future__ import annotations

import numpy as np
import pytest

from ups_core.evaluate.peers import resample


def test_resampling_is_exact_for_what_is_linear_between_the_nodes() -> None:
    x, y = np.arange(4) / 4, np.arange(6) / 6
    finer_x, finer_y = np.arange(7) / 8, np.arange(11) / 12
    plane = lambda x, y: (2 + 3 * x[:, None] - y[None, :])[None]  # noqa: E731
    found = resample(
        plane(x, y), {"X": x, "Y": y}, {"X": finer_x, "Y": finer_y}, {"X": "dirichlet", "Y": "dirichlet"}
    )
    assert found == pytest.approx(plane(finer_x, finer_y))


def test_outside_the_grid_walls_hold_the_last_value_and_periods_wrap() -> None:
    x, finer = np.arange(4) / 4, np.arange(8) / 8
    values = np.array([[0.0, 1.0, 2.0, 3.0]])
    wall = resample(values, {"X": x}, {"X": finer}, {"X": "dirichlet"})
    period = resample(values, {"X": x}, {"X": finer}, {"X": "periodic"})
    assert wall[0, -1] == 3.0
    assert period[0, -1] == 1.5
