"""The viscous Burgers equation u_t + u u_x = (Nu/π) u_xx on the periodic unit interval.

Waves steepen into fronts of width ~ 4ν/Δ (ν = Nu/π, Δ the jump), which then drift, merge and decay. A
fixed grid either wastes most of its points on the smooth late states or cannot hold the early fronts:
at Nu = 0.001 these need some ten thousand points. So every sample here carries its own resolution, chosen
afresh for each output interval from the tail of its own spectrum, and its own time step. A sample whose
spectrum has reached the edge of its grid by the end of an interval repeats that interval on a finer one.
Output frames are the trigonometric interpolant at the cell centres.

Two more facts are used. The mean ū is kept exactly and Burgers is Galilean invariant, so the solver works
on v = u - ū in the frame that moves along with ū; and the maximum of |v| never grows, so a step bounded by
it once per interval stays within bounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ups_core.errors import InvalidSpec
from ups_core.simulate.etdrk4 import ONE_BY_ONE, ROWS, Scheme, modes
from ups_core.simulate.fourier import to_grid, to_modes
from ups_core.simulate.rawfile import RawFile, at_least_zero, blocks, positive, whole
from ups_core.simulate.waves import Waves, draw_waves

#: Time between output frames, as in PDEBench (201 frames: t in [0, 2]).
FRAME_INTERVAL = 0.01
#: A mode counts when its amplitude exceeds this share of the largest one: float32 resolves 6e-8.
TAIL = 1e-7
#: Room left above the modes that count now, for the steepening within one output interval.
HEADROOM = 1.15
#: Bounds on the time step h. Fronts: largest speed x h / grid spacing. Bulk: largest speed x h x K and
#: ν x h x K², where K is the root mean square wave number of v. A 2.5 times smaller step and 30 times
#: smaller tail change no frame by more than 4e-7 of its norm (Nu = 0.002 ... 4).
COURANT, BULK_TURN, BULK_DECAY = 0.5, 0.05, 0.05
#: Grids that FFTs like. The last one resolves the fronts of Nu = 3e-4.
LADDER = tuple(sorted({f << p for f in (64, 96) for p in range(0, 11)} - {96 << 10}))
#: Grid of a starting state; kinks need no more, see ``_first_spectrum``.
FIRST_GRID = 4096


@lru_cache(maxsize=64)
def _scheme(points: int, viscosity: float, steps: int) -> Scheme:
    return Scheme(points, viscosity, FRAME_INTERVAL / steps)


def _grid_for(highest: int) -> int | None:
    """The coarsest grid that carries the modes 0 ... ``highest`` with headroom; None if none does."""
    return next((n for n in LADDER if modes(n) > HEADROOM * highest + 8), None)


def _highest_mode(c: np.ndarray) -> int:
    """The largest k whose |c_k| counts."""
    size = np.abs(c)
    counts = np.flatnonzero(size > TAIL * size.max(initial=0.0))
    return int(counts[-1]) if len(counts) else 0


def _regrid(c: np.ndarray, points: int) -> np.ndarray:
    """The coefficients ``c`` (k,) cut, or padded with zeros, to those of a grid of ``points``."""
    out = np.zeros(modes(points), dtype=np.complex128)
    keep = min(len(out), len(c))
    out[:keep] = c[:keep]
    return out


def _first_spectrum(
    initial: Callable[[np.ndarray], np.ndarray], viscosity: float
) -> tuple[float, np.ndarray]:
    """Mean of the starting state, and the Fourier coefficients of the rest.

    A rectified state has kinks, whose spectrum falls off only as k^-2. Modes that the viscosity itself
    removes within the first thousandth of a time unit need not be carried: no frame ever shows them.
    """
    c = to_modes(initial(np.arange(FIRST_GRID) / FIRST_GRID), modes(FIRST_GRID))
    mean, c[0] = float(c[0].real), 0.0
    wave_numbers = 2 * np.pi * np.arange(len(c))
    survives = np.exp(-viscosity * wave_numbers**2 * FRAME_INTERVAL / 10)
    return mean, c[: max(_highest_mode(c * survives), 1) + 1]


def _substeps(c: np.ndarray, points: int, viscosity: float) -> int:
    """Time steps to take within one output interval, rounded up so that few sizes occur."""
    speed = np.abs(to_grid(c, points)).max()
    energy = np.abs(c) ** 2
    wave_number_2 = (energy * (2 * np.pi * np.arange(len(c))) ** 2).sum() / max(energy.sum(), 1e-300)
    rates = (
        speed * points / COURANT,
        speed * np.sqrt(wave_number_2) / BULK_TURN,
        viscosity * wave_number_2 / BULK_DECAY,
    )
    need = FRAME_INTERVAL * max(rates)
    octave = 2 ** max(int(np.floor(np.log2(max(need, 1.0)))) - 2, 0)
    return max(octave * int(np.ceil(need / octave)), 1)


def _advance_together(
    spectra: list[np.ndarray], due: list[int], viscosity: float, grids: list[int]
) -> list[int]:
    """Advance the spectra ``due`` by one output interval, in place; returns those that need a finer grid."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i in due:
        spectra[i] = _regrid(spectra[i], grids[i])
        groups[grids[i], _substeps(spectra[i], grids[i], viscosity)].append(i)
    too_coarse = []
    for (points, steps), members in sorted(groups.items()):
        rows = _rows_at_once(points)
        for some in (members[j : j + rows] for j in range(0, len(members), rows)):
            after = _scheme(points, viscosity, steps).advance(np.stack([spectra[i] for i in some]), steps)
            for i, c in zip(some, after, strict=True):
                if not np.isfinite(c).all() or _highest_mode(c) > modes(points) - 3:
                    too_coarse.append(i)
                else:
                    spectra[i] = c
    return sorted(too_coarse)


def _rows_at_once(points: int) -> int:
    """Rows that keep the working set of a step within the processor's cache; a function of the grid alone."""
    return 1 if points >= ONE_BY_ONE else max(ROWS, 16384 // points // ROWS * ROWS)


def evolve(
    initial: Sequence[Callable[[np.ndarray], np.ndarray]], *, viscosity: float, points: int, frames: int
) -> Iterator[np.ndarray]:
    """Frames of accurate solutions, (B, X) float64 at the cell centres, at t = 0, 0.01, 0.02, ...

    ``initial`` are B states as functions of the position; ``viscosity`` is ν = Nu/π. A sample's numbers do
    not depend on the others. Raises InvalidSpec when a front is too thin for the finest grid.
    """
    x = (np.arange(points) + 0.5) / points
    yield np.stack([state(x) for state in initial])
    starts = [_first_spectrum(state, viscosity) for state in initial]
    means, spectra = [mean for mean, _ in starts], [c for _, c in starts]
    for frame in range(1, frames):
        grids = [_grid_or_refuse(_highest_mode(c), viscosity) for c in spectra]
        due = list(range(len(spectra)))
        while due:
            due = _advance_together(spectra, due, viscosity, grids)
            for i in due:
                grids[i] = _grid_or_refuse(modes(grids[i]), viscosity)
        yield np.stack(
            [_sample(c, mean, frame * FRAME_INTERVAL, points) for c, mean in zip(spectra, means, strict=True)]
        )


def _grid_or_refuse(highest: int, viscosity: float) -> int:
    points = _grid_for(highest)
    if points is None:
        raise InvalidSpec(
            "the fronts at this viscosity are too thin to be resolved",
            where="source.simulate.params.nu",
            found=f"nu = {viscosity * np.pi:g}, more than {LADDER[-1]} points needed",
            expected="nu >= 0.0003 or so",
            fix="set source.simulate.params.nu to 0.001",
        )
    return points


def _sample(c: np.ndarray, mean: float, time: float, points: int) -> np.ndarray:
    """u (X,) at the cell centres, from the coefficients in the frame moving with ``mean``."""
    # A grid of r x points nodes carries all modes; every r-th node is an output point.
    r = -(-2 * len(c) // points)
    shift = 0.5 / points - np.mod(mean * time, 1.0)
    shifted = c * np.exp(2j * np.pi * np.arange(len(c)) * shift)
    return mean + to_grid(shifted, r * points)[::r]


def simulate(
    path: Path,
    *,
    indices: range,
    seed: int,
    params: Mapping[str, float],
    progress: Callable[[int, int], None],
) -> None:
    """Write the samples ``indices`` to ``path`` in PDEBench's layout.

    ``params``: ``nu`` (PDEBench's Nu; the equation's viscosity is nu/π), ``points``, ``frames``, and
    ``observationNoise``, see :func:`observed`. The file
    holds ``tensor`` (N, T, X) float32, ``x-coordinate`` (X,), ``t-coordinate`` (T+1,), attribute ``Nu``.
    """
    nu = positive(params, "nu")
    points, frames = whole(params, "points", at_least=16), whole(params, "frames", at_least=2)
    noise = at_least_zero(params, "observationNoise")
    attributes = {"Nu": nu, "seed": seed, "first_sample": indices.start, "points": points, "frames": frames}
    with RawFile(path, attributes) as file:
        tensor = file.create("tensor", (len(indices), frames, points))
        file.write("x-coordinate", (np.arange(points) + 0.5) / points)
        file.write("t-coordinate", np.arange(frames + 1) * FRAME_INTERVAL)
        for block in blocks(len(indices), frames * points):
            states: list[Waves] = [draw_waves(seed, indices[i]) for i in block]
            u = np.empty((len(block), frames, points), dtype=np.float32)
            for t, frame in enumerate(evolve(states, viscosity=nu / np.pi, points=points, frames=frames)):
                u[:, t] = frame
                progress(block.start * frames + len(block) * (t + 1), len(indices) * frames)
            if noise:
                u = np.stack([observed(v, noise, seed, indices[i]) for v, i in zip(u, block, strict=True)])
            tensor[block.start : block.stop] = u


def observed(u: np.ndarray, noise: float, seed: int, index: int) -> np.ndarray:
    """Frames (T, X) as an imperfect instrument reads them: white noise on every value.

    Its standard deviation is ``noise`` times that of the first frame over space. It has no mean over a
    frame, so that what the equation conserves is still there.
    """
    drawn = np.random.default_rng([seed, index, 1]).standard_normal(u.shape)  # (T, X)
    drawn -= drawn.mean(axis=1, keepdims=True)
    return (u + noise * u[0].std(dtype=np.float64) * drawn).astype(np.float32)


#: Step of the coarse solver, and its bound by stability: largest speed x step / grid spacing.
COARSE_STEP, COARSE_COURANT = 0.005, 1.2


def solve(
    initial: np.ndarray,
    *,
    coordinates: Mapping[str, np.ndarray],
    parameters: Mapping[str, np.ndarray],
    input: np.ndarray | None = None,
) -> np.ndarray:
    """The classical peer: ETDRK4 on the data's own grid, with steps of at most 0.005, from frame 0 alone.

    ``initial`` (N, 1, X) at ``coordinates["T"][0]`` gives (N, T, 1, X) at the times ``coordinates["T"]``;
    ``coordinates["X"]`` is uniform; ``parameters["Nu"]`` (N,). Not refined: where the grid cannot hold a
    front, neither can this solver.
    """
    x, times = np.asarray(coordinates["X"], dtype=float), np.asarray(coordinates["T"], dtype=float)
    points = len(x)
    length = points * (x[-1] - x[0]) / (points - 1)
    u0 = np.asarray(initial, dtype=float)[:, 0]  # (N, X)
    out = np.empty((len(u0), len(times), 1, points))
    out[:, 0, 0] = u0
    largest_step = min(COARSE_STEP, COARSE_COURANT * length / points / max(np.abs(u0).max(), 1e-12))
    viscosities = np.broadcast_to(np.asarray(parameters["Nu"], dtype=float), len(u0)) / np.pi
    schemes: dict[tuple[float, float], Scheme] = {}
    for viscosity in np.unique(viscosities):
        rows = np.flatnonzero(viscosities == viscosity)
        c = to_modes(u0[rows], modes(points))  # (n, K)
        for t, interval in enumerate(np.diff(times), start=1):
            interval = round(float(interval), 9)  # float32 times: 0.05 in all its roundings is one interval
            steps = int(np.ceil(interval / largest_step - 1e-9))
            key = (float(viscosity), interval / steps)
            scheme = schemes.setdefault(key, Scheme(points, key[0], key[1], length))
            c = scheme.advance(c, steps)
            out[rows, t, 0] = to_grid(c, points)
    return out
