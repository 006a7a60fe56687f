"""Self-propelled particles that align with their neighbours: the Vicsek model in continuous time.

Particle i moves at a constant speed along its heading, in the periodic unit square, and turns towards its
neighbours:

    x_i' = s (cos θ_i, sin θ_i),    θ_i' = g Σ_j w(r_ij) sin(θ_j - θ_i) / Σ_j w(r_ij) + sqrt(2 D) ξ_i

(Vicsek et al., Phys. Rev. Lett. 75, 1226, 1995, with steps; Peruani, Deutsch & Bär, Eur. Phys. J. Special
Topics 157, 111, 2008, in continuous time.) Neighbours count by w(r) = (1 - r²/R²)² within the radius R, each
particle being a neighbour of itself: weights fall to zero smoothly, so that what follows depends smoothly on
the initial state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from ups_core.simulate.rawfile import RawFile, at_least_zero, blocks, positive, whole

#: Time between frames.
FRAME_INTERVAL = 0.05
#: A step of the integrator is at most so long, and turns by at most so much of 1/g.
LONGEST, TURN = 0.025, 0.1


def simulate(
    path: Path,
    *,
    indices: range,
    seed: int,
    params: Mapping[str, float],
    progress: Callable[[int, int], None],
) -> None:
    """Write the samples ``indices`` to ``path``.

    ``params``: ``speed`` s, ``radius`` R (below 0.5), ``coupling`` g, ``noise`` D, ``particles`` M and
    ``frames``. Places and headings are independent and uniform at first. The file holds ``position`` and
    ``velocity`` (N, T, M, 2), both float32, ``t`` (T,), and the first four as attributes.
    """
    speed, coupling = positive(params, "speed"), at_least_zero(params, "coupling")
    radius, noise = positive(params, "radius", below=0.5), at_least_zero(params, "noise")
    particles, frames = whole(params, "particles", at_least=2), whole(params, "frames", at_least=2)
    times = np.arange(frames) * FRAME_INTERVAL
    attributes = {"speed": speed, "radius": radius, "coupling": coupling, "noise": noise}
    with RawFile(path, {**attributes, "seed": seed, "first_sample": indices.start}) as file:
        shape = (len(indices), frames, particles, 2)
        position, velocity = file.create("position", shape), file.create("velocity", shape)
        file.write("t", times)
        for block in blocks(len(indices), 4 * frames * particles):
            for i in block:
                rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(indices[i], particles)))
                x, heading = rng.random((particles, 2)), rng.uniform(-np.pi, np.pi, particles)
                x, heading = advance(x, heading, times, speed, radius, coupling, noise, rng)
                position[i], velocity[i] = x, speed * direction(heading)
                progress(i + 1, len(indices))


def solve(
    initial: np.ndarray,
    *,
    coordinates: Mapping[str, np.ndarray],
    parameters: Mapping[str, np.ndarray],
    input: np.ndarray | None = None,
) -> np.ndarray:
    """The classical peer: the same equations from the given state, without noise, which nobody knows.

    ``initial`` (N, 4, M), place and velocity of each particle, gives (N, T, 4, M) at ``coordinates["T"]``.
    Runge-Kutta of fourth order, the neighbours found by a tree.
    """
    times = np.asarray(coordinates["T"], dtype=float)
    out = np.empty((len(initial), len(times), *initial.shape[1:]))
    for n, start in enumerate(np.asarray(initial, dtype=float)):
        heading, speed = np.arctan2(start[3], start[2]), float(np.hypot(start[2], start[3]).mean())
        radius, coupling = (float(parameters[name][n]) for name in ("radius", "coupling"))
        x, heading = advance(start[:2].T, heading, times, speed, radius, coupling)
        out[n] = np.concatenate([x, speed * direction(heading)], axis=-1).swapaxes(1, 2)
    return out


def advance(
    x: np.ndarray,
    heading: np.ndarray,
    times: np.ndarray,
    speed: float,
    radius: float,
    coupling: float,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Places (T, M, 2) in the unit square and headings (T, M) at ``times``, of which the first is given.

    x (M, 2), heading (M,). Steps of Runge-Kutta's method; behind each of them, with ``noise``, a kick.
    """
    places, headings = [x], [heading]
    for interval in np.diff(times):
        steps = int(np.ceil(interval / min(LONGEST, TURN / max(coupling, 1e-9)) - 1e-9))
        h = interval / steps
        for _ in range(steps):
            x, heading = _step(x, heading, h, speed, radius, coupling)
            if noise and rng is not None:
                heading = heading + np.sqrt(2 * noise * h) * rng.standard_normal(len(heading))
        places.append(x)
        headings.append(heading)
    return np.mod(np.stack(places), 1.0), np.stack(headings)


def direction(heading: np.ndarray) -> np.ndarray:
    """Unit vectors (..., 2) along headings (...)."""
    return np.stack([np.cos(heading), np.sin(heading)], axis=-1)


def turning(x: np.ndarray, heading: np.ndarray, radius: float, coupling: float) -> np.ndarray:
    """θ' (M,) of particles at x (M, 2) with these headings (M,), without noise."""
    home = np.mod(x, 1.0)
    pairs = KDTree(np.where(home < 1, home, 0.0), boxsize=1.0).query_pairs(radius, output_type="ndarray")
    i, j = pairs.T  # (Q,), each pair once
    apart = x[i] - x[j]
    apart -= np.round(apart)
    weight = np.square(1 - np.square(apart).sum(axis=1) / radius**2)  # (Q,)
    pull = weight * np.sin(heading[j] - heading[i])
    number = len(heading)
    total = np.bincount(i, pull, number) - np.bincount(j, pull, number)
    # A particle's own weight is 1.
    return coupling * total / (1 + np.bincount(i, weight, number) + np.bincount(j, weight, number))


def _step(
    x: np.ndarray, heading: np.ndarray, h: float, speed: float, radius: float, coupling: float
) -> tuple[np.ndarray, np.ndarray]:
    def rate(x: np.ndarray, heading: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return speed * direction(heading), turning(x, heading, radius, coupling)

    a, b = rate(x, heading)
    c, d = rate(x + h / 2 * a, heading + h / 2 * b)
    e, f = rate(x + h / 2 * c, heading + h / 2 * d)
    k, m = rate(x + h * e, heading + h * f)
    return x + h / 6 * (a + 2 * c + 2 * e + k), heading + h / 6 * (b + 2 * d + 2 * f + m)
