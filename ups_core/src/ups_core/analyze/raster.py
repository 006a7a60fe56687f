"""Values at scattered points as a picture: linear between them, on their triangles."""

from __future__ import annotations

import numpy as np

#: Cells of a picture along its longer side.
CELLS = 96


def raster_nodes(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The centres (X,) and (Y,) of the square cells of a picture of points x, y (M,)."""
    size = max(np.ptp(x), np.ptp(y)) / CELLS
    across, up = (v.min() + (np.arange(max(2, round(float(np.ptp(v)) / size))) + 0.5) * size for v in (x, y))
    return across, up


def raster(
    x: np.ndarray, y: np.ndarray, values: np.ndarray, nodes: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Values (F, M) at points x, y (M,) as (F, X, Y) at ``nodes``.

    The linear interpolant on the Delaunay triangles of the points. NaN outside of the triangles, and in those
    with a corner that is not finite.
    """
    from scipy.interpolate import LinearNDInterpolator

    at = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)  # (X, Y, 2)
    drawn = LinearNDInterpolator(np.stack([x, y], axis=-1), values.T.astype(np.float64))(at)  # (X, Y, F)
    return np.moveaxis(drawn, -1, 0)
