"""Steady Darcy flow -∇·(a ∇u) = β on the unit square, u = 0 on its boundary.

Finite volumes: around each node a cell of side h; the flux between neighbours is the harmonic mean of
their coefficients times the difference of u, which keeps the flux continuous where a jumps. That gives
one symmetric positive definite five-point system, solved directly.

The nodes are uniform along each axis and may start and end anywhere: half a cell off the walls (cell
centres, as PDEBench has it), on one wall or both (nodes i/n or i/(n-1); u = 0 is then known there), or
at the odd offsets that are left of a finer grid after striding.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from ups_core.errors import DataInvalid
from ups_core.simulate.rawfile import RawFile, blocks, finite, whole
from ups_core.simulate.waves import sample_generator

#: The two values of the coefficient, as in PDEBench.
LOW, HIGH = 0.1, 1.0
#: Random field N(0, (-Δ + τ²)^-α) with zero-flux walls, as of the FNO's Darcy data (Li et al. 2021).
TAU, ALPHA = 3.0, 2.0
#: Cosine modes per axis, whatever the grid: a sample is the same medium at every size. The modes left out
#: carry less than a thousandth of the variance.
FIELD_MODES = 64


def draw_coefficient(seed: int, index: int, size: int) -> np.ndarray:
    """The two-valued medium of sample ``index``: (size, size), a random field cut at zero."""
    normal = sample_generator(seed, index).standard_normal((FIELD_MODES, FIELD_MODES))
    k2 = np.add.outer(np.arange(FIELD_MODES) ** 2, np.arange(FIELD_MODES) ** 2)
    amplitude = (np.pi**2 * k2 + TAU**2) ** (-ALPHA / 2)
    amplitude[0, 0] = 0.0  # no mean: both values get about half of the square
    x = (np.arange(size) + 0.5) / size
    cosines = np.cos(np.pi * np.outer(x, np.arange(FIELD_MODES)))  # (X, k)
    cosines[:, 0] /= np.sqrt(2)
    field = cosines @ (amplitude * normal) @ cosines.T  # (X, Y)
    return np.where(field > 0, HIGH, LOW)


@dataclass(frozen=True)
class Axis:
    """How the nodes of one axis lie between the walls at 0 and 1."""

    nodes: int
    spacing: float
    #: Whether the first, the last node lies on its wall, where nothing is unknown.
    on_wall: tuple[bool, bool]
    #: Distance from the first, the last unknown to its wall, in spacings.
    gap: tuple[float, float]

    @property
    def inside(self) -> slice:
        """The unknown nodes."""
        return slice(int(self.on_wall[0]), self.nodes - int(self.on_wall[1]))

    def widths(self) -> np.ndarray:
        """The sizes (m,) of the cells around the unknowns."""
        width = np.ones(self.inside.stop - self.inside.start)
        for end, gap in ((0, self.gap[0]), (-1, self.gap[1])):
            # Half a cell off, the wall is the border of the cell; otherwise it is treated as a node.
            width[end] += (0.5 if abs(gap - 0.5) < TOLERANCE else gap / 2) - 0.5
        return width * self.spacing


#: Nodes may be off by this share of their spacing: coordinates come in float32.
TOLERANCE = 0.01


def axis_of(x: np.ndarray) -> Axis:
    """The axis with the nodes ``x``. Raises DataInvalid where they are not uniform in the unit interval."""
    n = len(x)
    spacing = (x[-1] - x[0]) / max(n - 1, 1)
    gap = (x[0] / spacing, (1 - x[-1]) / spacing) if spacing > 0 else (np.nan, np.nan)
    uniform = n >= 3 and spacing > 0 and np.abs(np.diff(x) / spacing - 1).max() < TOLERANCE
    if not (uniform and all(-TOLERANCE < g < 1 + TOLERANCE for g in gap)):
        raise DataInvalid(
            "the nodes lie on no grid that this solver knows",
            where="coordinates of a darcy2d sample",
            found=f"{n} nodes from {x[0]:g} to {x[-1]:g}",
            expected="uniform nodes that fill the unit interval",
            fix="set evaluation.peers to [persistence]",
        )
    on_wall = (bool(gap[0] < TOLERANCE), bool(gap[1] < TOLERANCE))
    return Axis(n, spacing, on_wall, (1.0 if on_wall[0] else gap[0], 1.0 if on_wall[1] else gap[1]))


def solve_one(a: np.ndarray, source: np.ndarray | float, axes: tuple[Axis, Axis]) -> np.ndarray:
    """u (X, Y) for the positive coefficient ``a`` (X, Y) and the source term (a number or (X, Y))."""
    inside = axes[0].inside, axes[1].inside
    width = axes[0].widths(), axes[1].widths()
    shape = len(width[0]), len(width[1])
    diagonal = np.zeros(shape)
    links = []
    for along in (0, 1):
        axis, across = axes[along], width[1 - along]
        # Conductances along the first axis, whichever it is: faces between unknowns, then the two walls.
        every = np.moveaxis(a, along, 0)[:, inside[1 - along]]  # with the nodes on the walls
        here = every[axis.inside]
        face = _harmonic(here[1:], here[:-1]) * across / axis.spacing
        near, far = (
            (_harmonic(every[end], here[end]) if axis.on_wall[end] else here[end])
            * across
            / (axis.gap[end] * axis.spacing)
            for end in (0, -1)
        )
        total = np.zeros_like(here)
        total[1:] += face
        total[:-1] += face
        total[0] += near
        total[-1] += far
        diagonal += np.moveaxis(total, 0, along)
        link = np.zeros_like(here)  # to the next node; none from the last
        link[:-1] = face
        links.append(np.moveaxis(link, 0, along).ravel())
    row = shape[1]
    down, right = links[0][:-row], links[1][:-1]
    k = np.arange(diagonal.size)
    i, j = np.concatenate([k[:-row], k[:-1]]), np.concatenate([k[row:], k[1:]])
    linked = -np.concatenate([down, right])
    entries = np.concatenate([diagonal.ravel(), linked, linked])
    matrix = sparse.csc_array((entries, (np.concatenate([k, i, j]), np.concatenate([k, j, i]))))
    matrix.eliminate_zeros()
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    charge = np.broadcast_to(np.asarray(source, dtype=float), a.shape)[inside] * np.outer(*width)
    u = np.zeros(a.shape)
    u[inside] = factors.solve(charge.ravel()).reshape(shape)
    return u


def _harmonic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return 2 * a * b / (a + b)


#: Conductivities of the codes 0 and 1, in units of the source term, in the Darcy files {x, y} that
#: neuraloperator carries: these files state neither, nor the scale of y. ``fit_codes`` gives them from
#: ``darcy_train_16.pt`` (all 1,000 samples, no other file); they absorb part of the 16 x 16 grid's own error.
CODE_LOW, CODE_HIGH = 0.02052, 0.3849


class AssumedMedia(UserWarning):
    """Codes were solved with conductivities that the data do not state."""


def fit_codes(codes: np.ndarray, solution: np.ndarray) -> tuple[float, float]:
    """The two conductivities (of code 0, of code 1) with which this solver fits ``solution`` best.

    ``codes`` and ``solution`` are (N, X, X) on left nodes. Minimises the mean over samples of
    ||u - solution|| / ||solution|| (the mean of norms, so that single corrupt pixels weigh little).
    """
    from scipy.optimize import minimize

    size, n = np.linalg.norm(solution, axis=(1, 2)), codes.shape[-1]
    axis = axis_of(np.arange(n) / n)

    def misfit(log_values: np.ndarray) -> float:
        low, high = np.exp(log_values)
        u = np.stack([solve_one(np.where(code > 0.5, high, low), 1.0, (axis, axis)) for code in codes])
        return float(np.mean(np.linalg.norm(u - solution, axis=(1, 2)) / size))

    options = {"xatol": 1e-4, "fatol": 1e-7, "maxiter": 200}
    best = minimize(misfit, np.log([0.02, 0.4]), method="Nelder-Mead", options=options)
    low, high = np.exp(best.x)
    return float(low), float(high)


def solve(
    initial: np.ndarray,
    *,
    coordinates: Mapping[str, np.ndarray],
    parameters: Mapping[str, np.ndarray],
    input: np.ndarray | None = None,
) -> np.ndarray:
    """The classical peer: finite volumes on the data's own grid.

    ``input`` (N, 1, X, Y), the coefficient, gives u (N, 1, X, Y); a steady problem has no other initial
    value, so ``initial`` is the same array. ``parameters["beta"]`` (N,) is the source term. A coefficient
    is positive: an input of zeros and ones is a code for two media, see :data:`CODE_LOW`, and warned of
    (:class:`AssumedMedia`), since the files do not say which media these are. Raises DataInvalid for other
    inputs that are not positive and for nodes it does not know.
    """
    given = np.asarray(initial if input is None else input, dtype=float)[:, 0]  # (N, X, Y)
    axes = (
        axis_of(np.asarray(coordinates["X"], dtype=float)),
        axis_of(np.asarray(coordinates["Y"], dtype=float)),
    )
    if given.min() <= 0:
        if not np.isin(given, (0.0, 1.0)).all():
            raise DataInvalid(
                "a Darcy coefficient has to be positive",
                where="input of a darcy2d sample",
                found=f"values from {given.min():g} to {given.max():g}",
                expected="positive values, or the codes 0 and 1",
                fix="drop the solver from evaluation.peers, or correct the coefficients",
            )
        given = np.where(given > 0.5, CODE_HIGH, CODE_LOW)
        warnings.warn(
            f"the input holds codes, and no conductivities: 0 and 1 were taken for {CODE_LOW:g} and"
            f" {CODE_HIGH:g}, which were fitted to the solutions of neuraloperator's darcy_train_16.pt; for"
            " data of other media the solver's figures mean nothing",
            AssumedMedia,
            stacklevel=2,
        )
    beta = np.broadcast_to(np.asarray(parameters["beta"], dtype=float), len(given))
    return np.stack([solve_one(a, source, axes) for a, source in zip(given, beta, strict=True)])[:, None]


def simulate(
    path: Path,
    *,
    indices: range,
    seed: int,
    params: Mapping[str, float],
    progress: Callable[[int, int], None],
) -> None:
    """Write the samples ``indices`` to ``path`` in PDEBench's layout.

    ``params``: ``beta`` (the source term), ``size`` (cells per side). The file holds ``nu`` (N, X, Y), the
    coefficient, ``tensor`` (N, 1, X, Y), the solution, both float32, the cell centres ``x-coordinate`` (X,)
    and ``y-coordinate`` (Y,), attribute ``beta``. The solution is that of the finite-volume system on this
    very grid, so :func:`solve` reproduces it there; at a coarser stride the two differ.
    """
    beta, size = finite(params, "beta"), whole(params, "size", at_least=8)
    nodes = (np.arange(size) + 0.5) / size
    axis = axis_of(nodes)
    attributes = {"beta": beta, "seed": seed, "first_sample": indices.start, "size": size}
    with RawFile(path, attributes) as file:
        coefficient = file.create("nu", (len(indices), size, size))
        solution = file.create("tensor", (len(indices), 1, size, size))
        file.write("x-coordinate", nodes)
        file.write("y-coordinate", nodes)
        for block in blocks(len(indices), 2 * size * size):
            a = np.empty((len(block), size, size))
            u = np.empty((len(block), 1, size, size), dtype=np.float32)
            for row, i in enumerate(block):
                a[row] = draw_coefficient(seed, indices[i], size)
                u[row, 0] = solve_one(a[row], beta, (axis, axis))
                progress(i + 1, len(indices))
            coefficient[block.start : block.stop] = a
            solution[block.start : block.stop] = u
