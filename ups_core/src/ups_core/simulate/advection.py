"""Linear advection u_t + β u_x = 0 on the periodic unit interval: the starting state, moved by β t.

Nothing is integrated: the random starting states are known in closed form (see ``waves``), so a frame is
that form evaluated at x - β t, exact to rounding. PDEBench's files hold a finite-volume approximation of
the same solution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ups_core.simulate.fourier import to_grid, to_modes
from ups_core.simulate.rawfile import RawFile, blocks, finite, whole
from ups_core.simulate.waves import draw_waves

#: Time between output frames, as in PDEBench (201 frames: t in [0, 2]).
FRAME_INTERVAL = 0.01


def simulate(
    path: Path,
    *,
    indices: range,
    seed: int,
    params: Mapping[str, float],
    progress: Callable[[int, int], None],
) -> None:
    """Write the samples ``indices`` to ``path`` in PDEBench's layout.

    ``params``: ``beta`` (the velocity), ``points``, ``frames``. The file holds ``tensor`` (N, T, X) float32,
    ``x-coordinate`` (X,), ``t-coordinate`` (T+1,), attribute ``beta``.
    """
    beta = finite(params, "beta")
    points, frames = whole(params, "points", at_least=16), whole(params, "frames", at_least=2)
    x = (np.arange(points) + 0.5) / points
    times = np.arange(frames + 1) * FRAME_INTERVAL
    attributes = {
        "beta": beta,
        "seed": seed,
        "first_sample": indices.start,
        "points": points,
        "frames": frames,
    }
    with RawFile(path, attributes) as file:
        tensor = file.create("tensor", (len(indices), frames, points))
        file.write("x-coordinate", x)
        file.write("t-coordinate", times)
        for block in blocks(len(indices), frames * points):
            u = np.empty((len(block), frames, points), dtype=np.float32)
            for row, i in enumerate(block):
                u[row] = draw_waves(seed, indices[i])(x - beta * times[:-1, None])  # (T, X)
                progress(i + 1, len(indices))
            tensor[block.start : block.stop] = u


def solve(
    initial: np.ndarray,
    *,
    coordinates: Mapping[str, np.ndarray],
    parameters: Mapping[str, np.ndarray],
    input: np.ndarray | None = None,
) -> np.ndarray:
    """The classical peer: the trigonometric interpolant of frame 0, shifted by β t.

    ``initial`` (N, 1, X) at ``coordinates["T"][0]`` gives (N, T, 1, X); ``coordinates["X"]`` is uniform;
    ``parameters["beta"]`` (N,). On band-limited states this is exact to rounding, so no surrogate can beat
    it there: its error measures only how well the grid resolves the state (kinks, steep windows).
    """
    x, times = np.asarray(coordinates["X"], dtype=float), np.asarray(coordinates["T"], dtype=float)
    points = len(x)
    length = points * (x[-1] - x[0]) / (points - 1)
    beta = np.broadcast_to(np.asarray(parameters["beta"], dtype=float), len(initial))
    c = to_modes(np.asarray(initial, dtype=float)[:, 0], points // 2 + 1)  # (N, K)
    wave_numbers = 2 * np.pi / length * np.arange(c.shape[1])  # (K,)
    distance = beta[:, None] * (times - times[0])  # (N, T)
    shifted = c[:, None] * np.exp(-1j * distance[..., None] * wave_numbers)  # (N, T, K)
    return to_grid(shifted, points)[:, :, None]  # (N, T, 1, X)
