"""Periodic functions as Fourier coefficients: c_k with u(x_j) = Σ_k c_k exp(2πi k j / n).

True coefficients, whatever the grid: going to a finer grid is padding, to a coarser one cutting.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy import fft


def to_grid(c: np.ndarray, points: int) -> np.ndarray:
    """Values (..., points) of the coefficients ``c`` (..., K); missing modes are zero."""
    return cast(np.ndarray, fft.irfft(c, n=points, norm="forward"))


def to_modes(u: np.ndarray, count: int, *, destroy: bool = False) -> np.ndarray:
    """The first ``count`` coefficients of the values ``u`` (..., n); ``destroy`` lets it use their memory."""
    return cast(np.ndarray, fft.rfft(u, norm="forward", overwrite_x=destroy))[..., :count]
