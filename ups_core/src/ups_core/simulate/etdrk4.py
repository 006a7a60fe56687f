"""Fourth-order exponential time differencing in Fourier space, and the viscous Burgers equation by it.

Written mode by mode, v_t + (v²/2)_x = ν v_xx is a stiff linear part, -ν κ² c_k, and a mild nonlinear
one, -iκ/2 (v²)_k. Exponential time differencing (Cox & Matthews, J. Comput. Phys. 176, 2002) carries
the linear part exactly and takes Runge-Kutta steps on the rest, so the viscous term never limits the
step. Its coefficients are differences of nearly equal numbers near hL = 0; they are evaluated as means
over a circle in the complex plane instead (Kassam & Trefethen, SIAM J. Sci. Comput. 26, 2005).

Products are dealiased by the 2/3 rule: a grid of n points carries the modes k < n/3 only. Arrays hold
just these (see ``fourier``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ups_core.simulate.fourier import to_grid, to_modes

#: Points on the circle around each hL (Kassam & Trefethen use 32).
CIRCLE = 32
#: Rows are padded to a multiple of this. FFTs and elementwise loops work on several numbers at once and
#: treat what is left over by other instructions, which round differently: without padding, the last bits
#: of a sample would depend on how many others share its batch.
ROWS = 8
#: From this grid on rows share little work, so callers who mind the last bits advance them one by one.
ONE_BY_ONE = 2048


def modes(points: int) -> int:
    """How many Fourier modes, k = 0 ... modes - 1, a grid of ``points`` carries free of aliasing."""
    return (points - 1) // 3 + 1


def coefficients(linear: np.ndarray, step: float) -> tuple[np.ndarray, ...]:
    """exp(hL), exp(hL/2), Q, f1, 2 f2, f3 of a step h for the real eigenvalues L, each of L's shape."""
    hl = linear.reshape(-1) * step  # (K,)
    circle = np.exp(1j * np.pi * (np.arange(CIRCLE) + 0.5) / CIRCLE)  # upper half: hL is real
    z = hl[:, None] + circle  # (K, 32)
    half = np.exp(z / 2)
    full = half * half  # exp(z)

    def mean(values: np.ndarray) -> np.ndarray:
        return step * values.mean(axis=1).real

    tables = (
        np.exp(hl),
        np.exp(hl / 2),
        mean((half - 1) / z),
        mean((-4 - z + full * (4 - 3 * z + z**2)) / z**3),
        mean((2 + z + full * (z - 2)) / z**3) * 2,
        mean((-4 - 3 * z - z**2 + full * (4 - z)) / z**3),
    )
    return tuple(table.reshape(linear.shape) for table in tables)


@dataclass(frozen=True)
class Scheme:
    """One step size on one grid: the coefficients of a step, and the step itself.

    Parameters
    ----------
    points: grid points used for products.
    viscosity: ν, of the equation as written above: Nu/π of PDEBench's parameter.
    step: time step.
    length: period of the domain.
    """

    points: int
    viscosity: float
    step: float
    length: float = 1.0

    @cached_property
    def wave_numbers(self) -> np.ndarray:
        return 2 * np.pi / self.length * np.arange(modes(self.points))  # (K,)

    @cached_property
    def _tables(self) -> tuple[np.ndarray, ...]:
        """The coefficients, each (2K,); real and imaginary parts are scaled alike."""
        tables = coefficients(-self.viscosity * self.wave_numbers**2, self.step)
        return tuple(np.repeat(table, 2) for table in tables)

    def advance(self, c: np.ndarray, steps: int) -> np.ndarray:
        """``steps`` steps from the coefficients ``c`` (B, K), complex128, which stay as they are: (B, K)."""
        batch, k = c.shape
        together = ROWS if self.points < ONE_BY_ONE else 1
        v = np.zeros((-(-batch // together) * together, k), dtype=np.complex128)
        v[:batch] = c
        exp_full, exp_half, q, f1, f2, f3 = self._tables
        flux = -0.5j * self.wave_numbers  # (K,)

        def nonlinear(state: np.ndarray) -> np.ndarray:
            u = to_grid(state.view(np.complex128), self.points)  # (B, n)
            np.multiply(u, u, out=u)
            square = to_modes(u, k, destroy=True)  # (B, K)
            return (square * flux).view(np.float64)  # (B, 2K)

        v = v.view(np.float64)  # (B, 2K): real coefficients act on pairs, at half the price
        for _ in range(steps):
            n_v = nonlinear(v)
            half = exp_half * v
            a = half + q * n_v
            n_a = nonlinear(a)
            b = half + q * n_a
            n_b = nonlinear(b)
            c3 = exp_half * a
            c3 += q * (2 * n_b - n_v)
            n_c = nonlinear(c3)
            n_a += n_b
            v = exp_full * v
            v += f1 * n_v
            v += f2 * n_a
            v += f3 * n_c
        return v.view(np.complex128)[:batch]
