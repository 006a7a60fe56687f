"""What UPS knows of a physical problem: its fields, its raw files, its symmetries, its solver.

A *family* is one small module beside this one that ends in a :class:`Family`. Everything that
depends on the physics is read from that declaration: the converter learns which array is the
state, the validator which sums must be kept, the trainer which transforms of a sample are again
solutions, the evaluation which classical solver to stand beside the surrogate.

This module imports neither numpy, torch nor h5py; a family's solver is imported when it is called.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from ups_core.errors import InvalidSpec

if TYPE_CHECKING:
    import numpy as np


#: A parameter to simulate with, or several to simulate with in turn.
Value = float | list[float]
V = TypeVar("V")


@dataclass(frozen=True)
class Field:
    """A physical field: one channel of the state or of a steady problem's input."""

    name: str
    unit: str = "1"
    label: str = ""  # how figures call it, in plain text


@dataclass(frozen=True)
class RawLayout:
    """One form in which this family's files come: which array is what.

    ``axes`` strings use the project's axis letters; a raw array without a ``C`` axis has one field.
    ``state`` is one array, or several with the same axes that together give the fields in order: readers of
    files take the ``whole``, and its axes.
    ``coordinates`` maps an axis letter to the raw array that holds its nodes; a layout whose files
    carry none says so with ``{}`` and gives ``nodes``, from which the converter makes them. On a mesh it
    maps the letters of space to the coordinates of the points, (M,) where all samples share them, or
    (N, M); one array for several letters holds them along its last axis, in this order: (M, D) or (N, M, D).
    """

    name: str
    suffixes: tuple[str, ...]
    state: str | tuple[str, ...]
    state_axes: str
    input: str | None = None
    input_axes: str | None = None
    coordinates: Mapping[str, str] = field(default_factory=dict)
    #: Where no coordinates are stored: node i of n lies at i/n ("left") or (i+1/2)/n ("centre").
    nodes: Literal["left", "centre"] | None = None
    #: Where no times are stored: the time between two raw frames.
    frame_interval: float | None = None
    #: Parameters that these files never state, with the value that their units give them.
    constants: Mapping[str, float] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        """The arrays that hold the state."""
        return (self.state,) if isinstance(self.state, str) else self.state

    @property
    def whole(self) -> str:
        """Name of the whole state: its array's, or for example ``density+Vx+Vy``."""
        return "+".join(self.parts)

    @property
    def whole_axes(self) -> str:
        """Axes of the whole state. Arrays of one field each are put side by side along an axis C.

        It comes before space, as in canonical arrays, so that a block of each array stays in one piece.
        """
        axes = self.state_axes
        if len(self.parts) == 1 or "C" in axes:
            return axes
        space = next(i for i, axis in enumerate(axes) if axis in "XYZM")
        return f"{axes[:space]}C{axes[space:]}"


@dataclass(frozen=True)
class Transform:
    """An exact discrete symmetry: applied to input and solution alike it gives another solution.

    ``flip`` reverses these axes, ``transpose`` exchanges X and Y, and ``sign`` multiplies every field. What
    becomes of the components of the family's vectors follows.
    """

    name: str
    flip: tuple[str, ...] = ()
    transpose: bool = False
    sign: int = 1


class Simulate(Protocol):
    def __call__(
        self,
        path: Path,
        *,
        indices: range,
        seed: int,
        params: Mapping[str, float],
        progress: Callable[[int, int], None],
    ) -> None: ...


class Solver(Protocol):
    def __call__(
        self,
        initial: np.ndarray,
        *,
        coordinates: Mapping[str, np.ndarray],
        parameters: Mapping[str, np.ndarray],
        input: np.ndarray | None = None,
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class Family:
    """The declaration of one physical problem.

    Attributes
    ----------
    kind:
        ``grid``: equidistant nodes. ``mesh``: M scattered points in the plane, shared by the samples or each
        sample's own, at which values change and which stay where they are; arrays have the axis M in place
        of X and Y. ``particles``: M of them that move in the plane, whose places are fields themselves.
    steady:
        False: the state ``u`` is (N, T, C, X[, Y]) and a surrogate advances it by one frame.
        True: the input ``a`` is (N, C, X[, Y]) and a surrogate maps it to the solution ``u``.
    defaults:
        The solver's ``params`` and their values where a resource leaves them out; there are no others.
    parameters:
        Names of the scalar physical parameters (attributes of the raw file), e.g. ``("Nu",)``.
    boundary:
        Axis letter to ``periodic``, ``dirichlet`` or ``neumann``.
    box:
        Of a mesh and of particles: axis letter to the two ends of the domain, between which all points lie.
    positions, velocities:
        Of particles: names of the fields that are their coordinates, in the order of ``space``, and of those
        that are the coordinates' rates of change, if there are such. Velocities are a vector.
    conserved:
        Names of the fields whose spatial mean the equation keeps exactly. None where nobody said: on periodic
        grids it is then those whose mean the training data keep. Not for a mesh: the mean over scattered
        points is not the mean over space. Of particles it is the mean over them, as of momentum.
    bounded:
        Names of the fields with a maximum principle: no value ever leaves the range of the initial state.
    vectors:
        Names of fields that are the components of a vector, in the order of ``space``.
    shifts:
        Axes along which any cyclic shift of a sample is again a sample.
    diffusion:
        The parameter, and its factor, that is the coefficient with which all fields diffuse: D in D Δu.
    galilean:
        The field that carries itself: where u(x, t) is a solution, so is u(x - c t, t) + c for any speed c.
    vorticity:
        The field that is the vorticity of the incompressible flow, in the plane, which carries everything.
    linear:
        Sums and multiples of solutions are solutions, and no coefficient varies in space.
    elliptic:
        The solution is that of -∇·(κ∇u) = f, with κ and f local functions of the input.
    symmetries:
        Generators of the discrete symmetry group; each is exact.
    simulate:
        Writes one raw file, in this family's first layout, holding the samples ``indices``. Sample i
        depends on ``seed``, ``i`` and ``params`` alone, however the samples are dealt out to files.
    solver:
        The classical solver at the data's own resolution. Transient: ``initial`` (N, C, X[, Y]) to
        (N, T, C, X[, Y]) at the times of ``coordinates["T"]``. Steady: ``input`` (N, C, X[, Y]) to
        (N, C, X[, Y]). ``parameters`` maps a name to its (N,) values. On a mesh ``coordinates`` of space are
        the points of each sample, (N, M).
    """

    name: str
    title: str
    kind: Literal["grid", "mesh", "particles"]
    steady: bool
    space: str
    fields: tuple[Field, ...]
    layouts: tuple[RawLayout, ...]
    boundary: Mapping[str, str]
    box: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    positions: tuple[str, ...] = ()
    velocities: tuple[str, ...] = ()
    inputs: tuple[Field, ...] = ()
    parameters: tuple[str, ...] = ()
    defaults: Mapping[str, float] = field(default_factory=dict)
    conserved: tuple[str, ...] | None = None
    bounded: tuple[str, ...] = ()
    vectors: tuple[tuple[str, ...], ...] = ()
    shifts: tuple[str, ...] = ()
    diffusion: tuple[str, float] | None = None
    galilean: str | None = None
    vorticity: str | None = None
    linear: bool = False
    elliptic: bool = False
    symmetries: tuple[Transform, ...] = ()
    simulate: Simulate | None = None
    solver: Solver | None = None
    reference: str = ""

    @property
    def axes(self) -> str:
        """Letters of the axes that arrays have in space: those of ``space`` on a grid, M of points."""
        return self.space if self.kind == "grid" else "M"

    @property
    def modes_evolve_apart(self) -> bool:
        """Whether no Fourier mode of the state has an influence on another one."""
        return self.linear and not self.steady and self.kind == "grid" and {*self.shifts} == {*self.space}

    @property
    def boosts(self) -> bool:
        """Whether there are surrogates that see a state as one who moves along: of one field on a line."""
        one = self.galilean is not None and [field.name for field in self.fields] == [self.galilean]
        line = self.space == "X" and {*self.boundary.values()} == {"periodic"} and self.kind == "grid"
        return one and line and self.conserved in (None, (self.galilean,))

    def simulation_params(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """``given`` completed with the defaults. Raises InvalidSpec for a name that is not among these."""
        return complete(self.name, self.defaults, given)


def complete(family: str, defaults: Mapping[str, float], given: Mapping[str, V]) -> dict[str, float | V]:
    """The defaults, overridden by ``given``. Raises InvalidSpec for an unknown name."""
    for name in given:
        if name not in defaults:
            close = difflib.get_close_matches(name.lower(), defaults, n=1)
            raise InvalidSpec(
                f"family {family} has no parameter {name} to simulate with",
                where=f"source.simulate.params.{name}",
                found=name,
                expected=", ".join(defaults) or "no params",
                fix=f"rename it to {close[0]}" if close else "remove it",
            )
    return {**defaults, **given}


def simulate_in(module: str, family: str, defaults: Mapping[str, float]) -> Simulate:
    """``module.simulate`` with its params checked and completed; imported when it is called."""

    def simulate(
        path: Path,
        *,
        indices: range,
        seed: int,
        params: Mapping[str, float],
        progress: Callable[[int, int], None],
    ) -> None:
        run: Simulate = importlib.import_module(module).simulate
        run(path, indices=indices, seed=seed, params=complete(family, defaults, params), progress=progress)

    return simulate


def solver_in(module: str) -> Solver:
    """``module.solve``; imported when it is called."""

    def solve(
        initial: np.ndarray,
        *,
        coordinates: Mapping[str, np.ndarray],
        parameters: Mapping[str, np.ndarray],
        input: np.ndarray | None = None,
    ) -> np.ndarray:
        run: Solver = importlib.import_module(module).solve
        return run(initial, coordinates=coordinates, parameters=parameters, input=input)

    return solve
