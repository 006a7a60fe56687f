"""Two-dimensional incompressible flow on the periodic unit square, as the vorticity ω = ∂v/∂x - ∂u/∂y:

    ω_t + u ω_x + v ω_y = ν Δω,    (u, v) = (∂ψ/∂y, -∂ψ/∂x),    -Δψ = ω.

Nothing drives it: eddies of random sizes and places merge into fewer and larger ones and decay
(McWilliams, J. Fluid Mech. 146, 1984). Pseudo-spectral in space, dealiased by the 2/3 rule, with fourth-order
exponential time differencing (see ``etdrk4``), which carries the viscous term exactly. Every sample has its
own grid, chosen afresh for each output interval from the tail of its own spectrum; where that has reached
the edge of the grid by the end of an interval, the interval is repeated on a finer one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from scipy import fft

from ups_core.errors import InvalidSpec
from ups_core.simulate.etdrk4 import coefficients
from ups_core.simulate.rawfile import RawFile, blocks, positive, whole
from ups_core.simulate.waves import sample_generator

#: Time between output frames; an eddy turns in about 2π/ω, 1.3 at the start.
FRAME_INTERVAL = 0.1
#: Root mean square of the vorticity at the start.
VORTICITY = 5.0
#: The vorticity of a starting state has a Gaussian spectrum, k exp(-(k/PEAK)²/2) up to random factors.
PEAK = 3.0
#: A mode counts when its amplitude exceeds this share of the largest one.
TAIL = 1e-6
#: Room left beyond the modes that count now, for what an interval adds.
HEADROOM = 1.1
#: Largest speed x step / grid spacing, and largest vorticity x step: halving both changes no frame of the
#: tests by more than 1e-6 of its norm.
COURANT, TURN = 0.8, 0.15
FIRST_GRID = 64
#: Grids that FFTs like.
LADDER = (64, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024)


@dataclass(frozen=True)
class Plane:
    """The modes of a grid of n x n points, and what is done to them. Coefficients are (..., n, n/2+1)."""

    points: int

    @cached_property
    def k(self) -> tuple[np.ndarray, np.ndarray]:
        """Wave numbers along X and Y, cycles per length: (n, 1) and (1, n/2+1)."""
        n = self.points
        return fft.fftfreq(n, 1 / n)[:, None], fft.rfftfreq(n, 1 / n)[None]

    @cached_property
    def carried(self) -> np.ndarray:
        """Which modes are free of aliasing, (n, n/2+1)."""
        kx, ky = self.k
        limit = self.points / 3
        return (np.abs(kx) < limit) & (ky < limit)

    @cached_property
    def laplacian(self) -> np.ndarray:
        """-(2π|k|)², (n, n/2+1)."""
        kx, ky = self.k
        return -((2 * np.pi) ** 2) * (kx**2 + ky**2)

    @cached_property
    def _velocity(self) -> tuple[np.ndarray, np.ndarray]:
        """Factors from the vorticity to u and v; a mean flow there is none."""
        kx, ky = self.k
        poisson = np.divide(-1, self.laplacian, out=np.zeros_like(self.laplacian), where=self.laplacian < 0)
        return 2j * np.pi * ky * poisson, -2j * np.pi * kx * poisson

    def grid(self, c: np.ndarray) -> np.ndarray:
        return cast(np.ndarray, fft.irfft2(c, s=(self.points,) * 2, norm="forward"))

    def modes(self, w: np.ndarray) -> np.ndarray:
        return cast(np.ndarray, fft.rfft2(w, norm="forward")) * self.carried

    def velocity(self, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """u and v on the grid, (..., n, n) both."""
        along_x, along_y = self._velocity
        return self.grid(along_x * c), self.grid(along_y * c)

    def advection(self, c: np.ndarray) -> np.ndarray:
        """-∇·((u, v) ω) of the vorticity with the coefficients c, as coefficients."""
        (u, v), w, (kx, ky) = self.velocity(c), self.grid(c), self.k
        return -2j * np.pi * (kx * self.modes(u * w) + ky * self.modes(v * w))

    def regrid(self, c: np.ndarray) -> np.ndarray:
        """Coefficients of another grid, cut or padded with zeros to this one's."""
        return _resized(c, self.points) * self.carried

    def highest(self, c: np.ndarray) -> int:
        """The largest wave number along an axis that counts."""
        kx, ky = self.k
        size = np.abs(c)
        counts = size > TAIL * size.max(initial=0)
        return int((np.maximum(np.abs(kx), ky) * counts).max(initial=0))

    def steps(self, c: np.ndarray, interval: float) -> int:
        """Time steps to take within an interval."""
        speed = max(float(np.abs(part).max()) for part in self.velocity(c))
        turn = float(np.abs(self.grid(c)).max())
        return max(int(np.ceil(interval * max(speed * self.points / COURANT, turn / TURN))), 1)

    def advance(self, c: np.ndarray, viscosity: float, interval: float, steps: int) -> np.ndarray:
        """The coefficients after an interval."""
        full, half, q, f1, f2, f3 = _tables(self.points, viscosity, round(interval / steps, 12))
        for _ in range(steps):
            n_c = self.advection(c)
            a = half * c + q * n_c
            n_a = self.advection(a)
            b = half * c + q * n_a
            n_b = self.advection(b)
            d = half * a + q * (2 * n_b - n_c)
            c = full * c + f1 * n_c + f2 * (n_a + n_b) + f3 * self.advection(d)
        return c


@lru_cache(maxsize=16)
def plane(points: int) -> Plane:
    return Plane(points)


@lru_cache(maxsize=32)
def _tables(points: int, viscosity: float, step: float) -> tuple[np.ndarray, ...]:
    return coefficients(viscosity * plane(points).laplacian, step)


def draw(seed: int, index: int) -> np.ndarray:
    """The starting vorticity of sample ``index`` as coefficients of the grid of ``FIRST_GRID`` points."""
    rng, first = sample_generator(seed, index), plane(FIRST_GRID)
    noise = first.modes(rng.standard_normal((FIRST_GRID, FIRST_GRID)))
    kx, ky = first.k
    k = np.sqrt(kx**2 + ky**2)
    c = k * np.exp(-((k / PEAK) ** 2) / 2) * noise  # no mean: on a torus there is none
    return c * VORTICITY / np.sqrt(np.mean(first.grid(c) ** 2))


def evolve(
    c: np.ndarray, viscosity: float, frames: int, interval: float = FRAME_INTERVAL
) -> Iterator[np.ndarray]:
    """Coefficients of one sample at t = 0, interval, ..., on whatever grid each of them needs.

    InvalidSpec where the finest grid cannot hold the eddies.
    """
    yield c
    for _ in range(1, frames):
        highest = plane(c.shape[-2]).highest(c)
        for points in LADDER:
            if points / 3 < HEADROOM * highest + 4:
                continue
            now = plane(points)
            start = now.regrid(c)
            after = now.advance(start, viscosity, interval, now.steps(start, interval))
            if np.isfinite(after).all() and now.highest(after) < points / 3 - 2:
                break
        else:
            raise InvalidSpec(
                "the eddies at this viscosity are too small to be resolved",
                where="source.simulate.params.nu",
                found=f"nu = {viscosity:g}, more than {LADDER[-1]} x {LADDER[-1]} points needed",
                expected="nu >= 2e-5 or so",
                fix="set source.simulate.params.nu to 0.001",
            )
        c = after
        yield c


def simulate(
    path: Path,
    *,
    indices: range,
    seed: int,
    params: Mapping[str, float],
    progress: Callable[[int, int], None],
) -> None:
    """Write the samples ``indices`` to ``path``.

    ``params``: ``nu``, ``size`` (points along each axis), ``frames``. The file holds ``tensor`` (N, T, X, Y)
    float32, the vorticity at the nodes i/size, ``x-coordinate`` (X,), ``y-coordinate`` (Y,),
    ``t-coordinate`` (T+1,), attribute ``Nu``.
    """
    nu = positive(params, "nu")
    size, frames = whole(params, "size", at_least=8), whole(params, "frames", at_least=2)
    attributes = {"Nu": nu, "seed": seed, "first_sample": indices.start, "size": size, "frames": frames}
    with RawFile(path, attributes) as file:
        tensor = file.create("tensor", (len(indices), frames, size, size))
        for axis in ("x", "y"):
            file.write(f"{axis}-coordinate", np.arange(size) / size)
        file.write("t-coordinate", np.arange(frames + 1) * FRAME_INTERVAL)
        for block in blocks(len(indices), frames * size * size):
            for row in block:
                for t, c in enumerate(evolve(draw(seed, indices[row]), nu, frames)):
                    tensor[row, t] = sample(c, size)
                progress(row + 1, len(indices))


def sample(c: np.ndarray, size: int) -> np.ndarray:
    """The vorticity (size, size) at the nodes i/size, of coefficients on any grid."""
    points = size * -(-max(c.shape[-2], size) // size)  # every r-th node of this grid is an output point
    r = points // size
    return Plane(points).grid(_resized(c, points))[..., ::r, ::r]


def _resized(c: np.ndarray, points: int) -> np.ndarray:
    """Coefficients cut, or padded with zeros, to those of a grid of ``points``."""
    out = np.zeros((*c.shape[:-2], points, points // 2 + 1), dtype=np.complex128)
    keep = (min(points, c.shape[-2]) - 1) // 2  # below the highest mode of an even grid
    out[..., : keep + 1, : keep + 1] = c[..., : keep + 1, : keep + 1]
    out[..., -keep:, : keep + 1] = c[..., -keep:, : keep + 1]
    return out


def solve(
    initial: np.ndarray,
    *,
    coordinates: Mapping[str, np.ndarray],
    parameters: Mapping[str, np.ndarray],
    input: np.ndarray | None = None,
) -> np.ndarray:
    """The classical peer: the same scheme on the data's own grid, from frame 0 alone.

    ``initial`` (N, 1, X, Y) at ``coordinates["T"][0]`` gives (N, T, 1, X, Y) at the times
    ``coordinates["T"]``; ``parameters["Nu"]`` (N,). Not refined: what the grid cannot hold is lost.
    """
    times = np.asarray(coordinates["T"], dtype=float)
    w0 = np.asarray(initial, dtype=float)[:, 0]  # (N, X, Y)
    if w0.shape[-1] != w0.shape[-2]:
        raise InvalidSpec("this solver needs a square grid", found=" x ".join(map(str, w0.shape[1:])))
    own = plane(w0.shape[-1])
    out = np.empty((len(w0), len(times), 1, *w0.shape[1:]))
    out[:, 0, 0] = w0
    for row, viscosity in enumerate(np.broadcast_to(np.asarray(parameters["Nu"], dtype=float), len(w0))):
        c = own.modes(w0[row])
        for t, interval in enumerate(np.diff(times), start=1):
            interval = round(float(interval), 9)
            c = own.advance(c, float(viscosity), interval, own.steps(c, interval))
            out[row, t, 0] = own.grid(c)
    return out
