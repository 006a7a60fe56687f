"""Advection and diffusion u_t + c·∇u = κ Δu of smooth random fields, seen at scattered points.

The field is a finite Fourier series on the periodic unit square, so its solution is one, too: each mode
travels with c and decays as exp(-κ |2πk|² t). A frame is that series at the points, exact to rounding.
The classical peer knows nothing of it: it has the values at the points, and solves by finite elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse.linalg import splu

from ups_core.simulate.fem import Mesh
from ups_core.simulate.rawfile import RawFile, at_least_zero, blocks, finite, whole

#: Time between frames.
FRAME_INTERVAL = 0.05
#: Wave numbers of the initial states: whole periods along each axis, at most so many in absolute value.
HIGHEST = 4
#: How far the classical peer goes in a step of its own, as a share of the mean distance of points.
COURANT = 0.25


@dataclass(frozen=True)
class Waves:
    """u(x, 0) = Re Σ_k a_k exp(2πi k·x): ``k`` (K, 2) and complex ``amplitude`` (K,)."""

    k: np.ndarray
    amplitude: np.ndarray

    def __call__(
        self, places: np.ndarray, times: np.ndarray, velocity: np.ndarray, kappa: float
    ) -> np.ndarray:
        """The solution (T, M) at ``places`` (M, 2)."""
        wave = 2 * np.pi * self.k  # (K, 2)
        rate = -1j * (wave @ velocity) - kappa * np.square(wave).sum(axis=1)  # (K,)
        moved = self.amplitude * np.exp(times[:, None] * rate)  # (T, K)
        return (moved @ np.exp(1j * wave @ places.T)).real


def draw(seed: int, index: int, points: int) -> tuple[Waves, np.ndarray]:
    """The field of sample ``index``, and its places (M, 2).

    Another number of points is another field: the same one at other points could not be told from a new one
    by its values, and would be tested on after it was learned from.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, points)))
    along = np.arange(-HIGHEST, HIGHEST + 1)
    k = np.stack(np.meshgrid(along, along, indexing="ij"), axis=-1).reshape(-1, 2)  # (K, 2)
    size = 1 / (1 + np.square(k).sum(axis=1))  # smooth: amplitudes fall as |k|^-2
    amplitude = size * (rng.standard_normal(len(k)) + 1j * rng.standard_normal(len(k)))
    # Of the cells of a square grid, with one point in each, as many as there are points.
    side = int(np.ceil(np.sqrt(points)))
    cell = rng.permutation(side**2)[:points]
    places = (np.stack(np.divmod(cell, side), axis=-1) + rng.random((points, 2))) / side
    return Waves(k, amplitude), places.astype(np.float32).astype(np.float64)  # as they are stored


def simulate(
    path: Path,
    *,
    indices: range,
    seed: int,
    params: Mapping[str, float],
    progress: Callable[[int, int], None],
) -> None:
    """Write the samples ``indices`` to ``path``.

    ``params``: ``vx``, ``vy`` (the velocity c), ``kappa``, ``points``, ``frames``. The file holds ``u``
    (N, T, M) and ``places`` (N, M, 2), each sample's own, both float32, ``t`` (T,), and the attributes
    ``vx``, ``vy`` and ``kappa``.
    """
    velocity, kappa = np.array([finite(params, "vx"), finite(params, "vy")]), at_least_zero(params, "kappa")
    points, frames = whole(params, "points", at_least=16), whole(params, "frames", at_least=2)
    times = np.arange(frames) * FRAME_INTERVAL
    attributes = {
        "vx": velocity[0],
        "vy": velocity[1],
        "kappa": kappa,
        "seed": seed,
        "first_sample": indices.start,
    }
    with RawFile(path, attributes) as file:
        u = file.create("u", (len(indices), frames, points))
        places = file.create("places", (len(indices), points, 2))
        file.write("t", times)
        for block in blocks(len(indices), frames * points):
            for i in block:
                waves, where = draw(seed, indices[i], points)
                u[i], places[i] = waves(where, times, velocity, kappa), where
                progress(i + 1, len(indices))


def solve(
    initial: np.ndarray,
    *,
    coordinates: Mapping[str, np.ndarray],
    parameters: Mapping[str, np.ndarray],
    input: np.ndarray | None = None,
) -> np.ndarray:
    """The classical peer: linear finite elements on the sample's own points, Crank-Nicolson in time.

    ``initial`` (N, 1, M) at the points ``coordinates["X"]``, ``coordinates["Y"]`` (N, M), gives u
    (N, T, 1, M) at ``coordinates["T"]``. Unconditionally stable, of second order in space and time.
    """
    times = np.asarray(coordinates["T"], dtype=float)
    places = np.stack([np.asarray(coordinates[axis], dtype=float) for axis in "XY"], axis=-1)  # (N, M, 2)
    out = np.empty((len(initial), len(times), *initial.shape[1:]))
    for n, start in enumerate(np.asarray(initial, dtype=float)[:, 0]):
        velocity = np.array([parameters["vx"][n], parameters["vy"][n]])
        out[n, :, 0] = _advanced(start, places[n], times, velocity, float(parameters["kappa"][n]))
    return out


def _advanced(
    u: np.ndarray, places: np.ndarray, times: np.ndarray, velocity: np.ndarray, kappa: float
) -> np.ndarray:
    """The frames (T, M) at ``times``, of which the first is u (M,) itself."""
    mesh, frames = Mesh.of(places), [u]
    mass, rate = mesh.mass(), mesh.advection(velocity) + kappa * mesh.stiffness()
    farthest = COURANT / np.sqrt(len(places))
    done: tuple[float, int] | None = None
    for interval in np.diff(times):
        steps = max(1, int(np.ceil(np.linalg.norm(velocity) * interval / farthest)))
        if done is None or done[1] != steps or not np.isclose(done[0], interval, rtol=1e-6):
            half = 0.5 * interval / steps * rate
            backward, forward, done = splu(mass + half), (mass - half).tocsr(), (float(interval), steps)
        for _ in range(steps):
            u = backward.solve(forward @ u)
        frames.append(u)
    return np.stack(frames)
