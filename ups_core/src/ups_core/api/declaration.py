"""A physical problem of one's own, declared in the Dataset itself.

It says what a module among the families says, but for a simulator and a solver, which are code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from ups_core.api.model import Model, PositiveFloat

Axis = Literal["x", "y"]
Word = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=40)]
#: A name in a raw file; with slashes where groups hold it.
ArrayName = Annotated[str, Field(min_length=1, max_length=256)]
Fields = Annotated[list["DeclaredField"], Field(max_length=32)]
Names = Annotated[list[Word], Field(max_length=32)]
Interval = Annotated[list[float], Field(min_length=2, max_length=2)]
Suffix = Literal[".h5", ".hdf5", ".npz", ".pt", ".zarr"]
SUFFIXES: tuple[Suffix, ...] = get_args(Suffix)


#: Fields of a declaration that change nothing about the converted arrays.
KNOWLEDGE = (
    *("title", "reference", "bounded", "vectors", "shifts", "symmetries"),
    *("diffusion", "galilean", "vorticity", "linear", "elliptic"),
)


class DeclaredField(Model):
    """A physical field: one channel of the state, or of a steady problem's input."""

    name: Word
    """Its name, which metrics and arrays bear."""
    unit: Annotated[str, Field(max_length=40)] = "1"
    """Its unit."""
    label: Annotated[str, Field(max_length=80)] = ""
    """How figures call it."""


class DeclaredLayout(Model):
    """Which array of a raw file is what. Axes are N samples, T frames, C fields, X and Y space, M points."""

    state: ArrayName
    """Array of the state; where steady, of the solution."""
    axes: Annotated[str, Field(pattern=r"^[NTCXYM]+$", max_length=5)]
    """Its axes in order, e.g. `NTXC`; without `C` it holds one field."""
    input: ArrayName | None = None
    """Array of a steady problem's input."""
    input_axes: Annotated[str, Field(pattern=r"^[NCXYM]+$", max_length=4)] | None = None
    """Its axes in order."""
    coordinates: Annotated[dict[Literal["t", "x", "y"], ArrayName], Field(max_length=3)] = {}
    """Arrays of the times and of the nodes along each axis. On a mesh `x` and `y` are those of the points."""
    nodes: Literal["left", "centre"] | None = None
    """Where files hold no nodes: node i of n lies at i/n (`left`) or (i+1/2)/n (`centre`)."""
    frame_interval: PositiveFloat | None = None
    """Where files hold no times: the time between two of their frames."""
    constants: Annotated[dict[Word, float], Field(max_length=16)] = {}
    """Parameters that files do not state, with their values."""
    suffixes: Annotated[list[Suffix], Field(min_length=1, max_length=5)] = list(SUFFIXES)
    """Endings of the raw files."""


class DeclaredSymmetry(Model):
    """An exact symmetry: applied to input and solution alike it gives another solution."""

    name: Word
    """Its name."""
    flip: Annotated[list[Axis], Field(max_length=2)] = []
    """Axes that it reverses."""
    transpose: bool = False
    """It exchanges x and y."""
    sign: Literal[1, -1] = 1
    """What it multiplies every field with. Of vectors it need not be said what a mirror does to them."""


class DeclaredDiffusion(Model):
    """All fields diffuse with one coefficient, D in D Δu."""

    parameter: Word
    """The parameter that D is a multiple of."""
    factor: PositiveFloat = 1.0
    """D over that parameter."""


class Declaration(Model):
    """A physical problem. All but what the arrays are may be left out: nothing is then taken for granted."""

    title: Annotated[str, Field(max_length=200)] = ""
    """What reports call it."""
    kind: Literal["grid", "mesh"] = "grid"
    """`grid`: equidistant nodes. `mesh`: scattered points that stay where they are."""
    steady: bool = False
    """An input is mapped to a solution; else a state to the one after it."""
    space: Literal["X", "XY"]
    """Axes of space."""
    fields: Annotated[list[DeclaredField], Field(min_length=1, max_length=32)]
    """Fields of the state, in the order of the array's axis C."""
    inputs: Fields = []
    """Fields of a steady problem's input."""
    layout: DeclaredLayout
    """Which array of a raw file is what."""
    boundary: Annotated[dict[Axis, Literal["periodic", "dirichlet", "neumann"]], Field(max_length=2)]
    """Of each axis of space."""
    box: Annotated[dict[Axis, Interval], Field(max_length=2)] = {}
    """Of a mesh: the two ends of the domain along each axis."""
    parameters: Names = []
    """Scalar physical parameters: attributes of a raw file, or its arrays with one value for each sample."""
    conserved: Names = []
    """Fields whose spatial mean never changes."""
    bounded: Names = []
    """Fields of which no value ever leaves the range of the initial state."""
    vectors: Annotated[
        list[Annotated[list[Word], Field(min_length=1, max_length=2)]], Field(max_length=8)
    ] = []
    """Fields that are the components of a vector, in the order of `space`, e.g. `[[vx, vy]]`."""
    shifts: Annotated[list[Axis], Field(max_length=2)] = []
    """Axes along which every cyclic shift of a sample is again a sample."""
    symmetries: Annotated[list[DeclaredSymmetry], Field(max_length=8)] = []
    """Generators of the group of exact symmetries."""
    diffusion: DeclaredDiffusion | None = None
    """With which coefficient all fields diffuse."""
    galilean: Word | None = None
    """The field that carries itself: where u(x, t) is a solution, so is u(x - c t, t) + c."""
    vorticity: Word | None = None
    """The field that is the vorticity of the incompressible flow, in the plane, which carries everything."""
    linear: bool = False
    """Sums and multiples of solutions are solutions, and no coefficient varies in space."""
    elliptic: bool = False
    """The solution is that of -∇·(κ∇u) = f, with κ and f local functions of the input."""
    reference: Annotated[str, Field(max_length=400)] = ""
    """Where data and equation come from."""

    def named(self, name: str) -> dict[str, Any]:
        """As recipes and ``dataset.json`` have it."""
        return {"name": name, **self.to_dict()}

    def of_arrays(self) -> Declaration:
        """What conversion depends on: the same without what is known of the equation alone."""
        return self.model_copy(update={name: type(self).model_fields[name].default for name in KNOWLEDGE})

    @model_validator(mode="after")
    def _consistent(self) -> Declaration:
        space = [axis.lower() for axis in self.space]
        periodic = [axis for axis, kind in self.boundary.items() if kind == "periodic"]
        named = {f.name for f in self.fields}
        selves = [name for name in (self.galilean, self.vorticity) if name is not None]
        _among("conserved", self.conserved, named, "fields")
        _among("bounded", self.bounded, named, "fields")
        inputs = {f.name for f in self.inputs}
        _among("vectors", [name for v in self.vectors for name in v], named | inputs, "fields and inputs")
        if any(len({*v}) != len(self.space) for v in self.vectors):
            raise ValueError(f"each of vectors needs a component along {' and '.join(space)}")
        _among("galilean and vorticity", selves, named, "fields")
        _among("shifts", self.shifts, periodic, "periodic axes")
        _among("symmetries", [axis for s in self.symmetries for axis in s.flip], space, "axes of space")
        _among("layout.constants", self.layout.constants, self.parameters, "parameters")
        if self.diffusion is not None:
            _among("diffusion.parameter", [self.diffusion.parameter], self.parameters, "parameters")
        if set(self.boundary) != set(space):
            found = ", ".join(self.boundary) or "none"
            raise ValueError(f"boundary needs {' and '.join(space)}, found {found}")
        if set(self.box) != (set(space) if self.kind == "mesh" else set()):
            raise ValueError("box is for kind mesh, which needs the ends of the domain along every axis")
        if self.space == "X" and any(s.transpose for s in self.symmetries):
            raise ValueError("a transpose needs two axes of space")
        if bool(self.inputs) != self.steady or (self.layout.input is not None) != self.steady:
            raise ValueError("a steady problem, and only that, has inputs and layout.input")
        if (self.layout.input is None) != (self.layout.input_axes is None):
            raise ValueError("layout.input and layout.inputAxes go together")
        points = "M" if self.kind == "mesh" else self.space
        frames = points if self.steady else "T" + points
        _check_axes("layout.axes", self.layout.axes, frames, len(self.fields))
        if self.layout.input_axes is not None:
            _check_axes("layout.inputAxes", self.layout.input_axes, points, len(self.inputs))
        known = self.layout.coordinates
        if not self.steady and ("t" in known) == (self.layout.frame_interval is not None):
            raise ValueError("the times are needed: layout.coordinates.t or layout.frameInterval")
        missing = [axis for axis in space if axis not in known]
        if missing and (self.kind == "mesh" or self.layout.nodes is None):
            raise ValueError(f"layout.coordinates lacks {', '.join(missing)}, and layout.nodes is not given")
        if self.kind == "mesh" and (self.conserved or self.galilean or self.vorticity):
            raise ValueError(
                "conserved, galilean and vorticity need a grid, on which a mean is one over space"
            )
        if self.vorticity is not None and self.space != "XY":
            raise ValueError("vorticity needs a plane, space XY")
        return self


def _check_axes(where: str, axes: str, needed: str, channels: int) -> None:
    wanted = "N" + needed + ("C" if channels > 1 else "")
    if sorted(axes.replace("C", "", int(channels == 1))) != sorted(wanted):
        raise ValueError(f"{where} is {axes}; it needs each of {', '.join(wanted)} once")


def _among(where: str, given: Iterable[str], known: Iterable[str], what: str) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"{where} names {unknown[0]}; {what} are {', '.join(sorted(known)) or 'none'}")
