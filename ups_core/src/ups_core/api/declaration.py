"""A physical problem of one's own, declared in the Dataset itself.

It says what a module among the families says, but for a simulator and a solver, which are code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from ups_core.api.model import Model, PositiveFloat

Axis = Literal["x", "y", "z"]
Word = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=40)]
#: A name in a raw file; with slashes where groups hold it.
ArrayName = Annotated[str, Field(min_length=1, max_length=256)]
Fields = Annotated[list["DeclaredField"], Field(max_length=32)]
Names = Annotated[list[Word], Field(max_length=32)]
Interval = Annotated[list[float], Field(min_length=2, max_length=2)]
Suffix = Literal[".h5", ".hdf5", ".npz", ".pt", ".zarr"]
SUFFIXES: tuple[Suffix, ...] = get_args(Suffix)


#: What is known of an equation, and changes nothing about the converted arrays.
KNOWLEDGE = (
    *("title", "reference", "bounded", "vectors", "shifts", "symmetries"),
    *("diffusion", "galilean", "vorticity", "linear", "elliptic"),
)
#: Names that converted files give to arrays of their own.
TAKEN = frozenset("autxyz")


class DeclaredField(Model):
    """A physical field: one channel of the state, or of a steady problem's input."""

    name: Word
    """Its name, which metrics and arrays bear."""
    unit: Annotated[str, Field(max_length=40)] = "1"
    """Its unit."""
    label: Annotated[str, Field(max_length=80)] = ""
    """How figures call it."""


class DeclaredLayout(Model):
    """Which array of a raw file is what. Axes are N samples, T frames, C fields, X Y Z space, M points."""

    state: ArrayName | Annotated[list[ArrayName], Field(min_length=1, max_length=32)]
    """Array of the state; where steady, of the solution. Or a list of arrays with the same axes that together
    give the fields in order."""
    axes: Annotated[str, Field(pattern=r"^[NTCXYZM]+$", max_length=6)]
    """Its axes in order, e.g. `NTXC`; without `C` an array holds one field."""
    input: ArrayName | None = None
    """Array of a steady problem's input."""
    input_axes: Annotated[str, Field(pattern=r"^[NCXYZM]+$", max_length=5)] | None = None
    """Its axes in order."""
    coordinates: Annotated[dict[Literal["t", "x", "y", "z"], ArrayName], Field(max_length=4)] = {}
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
    flip: Annotated[list[Axis], Field(max_length=3)] = []
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
    """A physical problem. All but what the arrays are may be left out."""

    title: Annotated[str, Field(max_length=200)] = ""
    """What reports call it."""
    kind: Literal["grid", "mesh", "particles"] = "grid"
    """`grid`: equidistant nodes. `mesh`: scattered points that stay where they are. `particles`: points that
    move, whose coordinates are fields."""
    steady: bool = False
    """An input is mapped to a solution; else a state to the one after it."""
    space: Literal["X", "XY", "XYZ"]
    """Axes of space."""
    fields: Annotated[list[DeclaredField], Field(min_length=1, max_length=32)]
    """Fields of the state, in the order of the array's axis C."""
    inputs: Fields = []
    """Fields of a steady problem's input."""
    layout: DeclaredLayout
    """Which array of a raw file is what."""
    boundary: Annotated[dict[Axis, Literal["periodic", "dirichlet", "neumann"]], Field(max_length=3)]
    """Of each axis of space."""
    box: Annotated[dict[Axis, Interval], Field(max_length=2)] = {}
    """Of a mesh and of particles: the two ends of the domain along each axis."""
    positions: Annotated[list[Word], Field(max_length=2)] = []
    """Of particles: the fields that are their coordinates, in the order of `space`, e.g. `[x, y]`."""
    velocities: Annotated[list[Word], Field(max_length=2)] = []
    """Of particles: the fields that are the rates of change of `positions`, where there are such."""
    parameters: Names = []
    """Scalar physical parameters: attributes of a raw file, or its arrays with one value for each sample."""
    conserved: Names | None = None
    """Fields whose spatial mean, or that over particles, never changes; `[]` for none. Left out, on periodic
    grids: those whose mean moves by less than a thousandth of a standard deviation within every training
    trajectory."""
    bounded: Names = []
    """Fields of which no value ever leaves the range of the initial state."""
    vectors: Annotated[
        list[Annotated[list[Word], Field(min_length=1, max_length=3)]], Field(max_length=8)
    ] = []
    """Fields that are the components of a vector, in the order of `space`, e.g. `[[vx, vy]]`."""
    shifts: Annotated[list[Axis], Field(max_length=3)] = []
    """Axes along which every cyclic shift of a sample is again a sample."""
    symmetries: Annotated[list[DeclaredSymmetry], Field(max_length=8)] = []
    """Generators of the group of exact symmetries."""
    diffusion: DeclaredDiffusion | None = None
    """With which coefficient all fields diffuse."""
    galilean: Word | None = None
    """The field that carries itself: where u(x, t) is a solution, so is u(x - c t, t) + c. Used where it is
    the one field of a periodic line, and conserved. Left out, such data are asked."""
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
        """What conversion depends on: the same without what is known of the equation, or shown of fields."""
        # Conversion stores the means of conserved fields: of none, where none is said or nothing is.
        unsaid: dict[str, Any] = {"conserved": self.conserved or []}
        unsaid |= {name: type(self).model_fields[name].default for name in KNOWLEDGE}
        fields, inputs = ([DeclaredField(name=f.name) for f in fs] for fs in (self.fields, self.inputs))
        boundary = dict.fromkeys(self.boundary, "periodic")
        return self.model_copy(update={**unsaid, "fields": fields, "inputs": inputs, "boundary": boundary})

    @model_validator(mode="after")
    def _consistent(self) -> Declaration:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        """What does not fit together, one after the other."""
        space = [axis.lower() for axis in self.space]
        fields, inputs = [f.name for f in self.fields], [f.name for f in self.inputs]
        for where, names in (("fields", fields), ("inputs", inputs), ("parameters", self.parameters)):
            if twice := _twice(names):
                yield f"{where} names {twice} twice"
        if taken := sorted(TAKEN & set(self.parameters)):
            yield f"no parameter can be called {taken[0]}: converted files have an array of that name"
        if set(self.boundary) != set(space):
            yield f"boundary needs {' and '.join(space)}, found {', '.join(self.boundary) or 'none'}"
        if self.kind != "grid" and self.space != "XY":
            yield f"kind {self.kind} needs a plane, space XY"
        if set(self.box) != (set() if self.kind == "grid" else set(space)):
            yield "box is for kinds mesh and particles, which need the ends of the domain along every axis"
        if any(low >= high for low, high in self.box.values()):
            yield "box gives the lower end of an axis first"
        yield from self._of_particles(space, fields)
        yield from self._of_layout(space)
        yield from self._of_equation(space, fields, inputs)

    def _of_layout(self, space: list[str]) -> Iterator[str]:
        layout, steady = self.layout, self.steady
        if bool(self.inputs) != steady or (layout.input is not None) != steady:
            yield "a steady problem, and only that, has inputs and layout.input"
        if (layout.input is None) != (layout.input_axes is None):
            yield "layout.input and layout.inputAxes go together"
        points = self.space if self.kind == "grid" else "M"
        yield from self._of_state(points if steady else "T" + points)
        if layout.input_axes is not None:
            yield from _axes("layout.inputAxes", layout.input_axes, points, len(self.inputs))
        known = layout.coordinates
        if (("t" in known) + (layout.frame_interval is not None)) != (not steady):
            wanted = "has none" if steady else "needs layout.coordinates.t or layout.frameInterval"
            yield f"times: a {'steady' if steady else 'transient'} problem {wanted}"
        nodes = [] if self.kind == "particles" else space
        yield from _among("layout.coordinates", known, ["t", *nodes], "axes")
        missing = [axis for axis in nodes if axis not in known]
        if missing and (self.kind == "mesh" or layout.nodes is None):
            yield f"layout.coordinates lacks {', '.join(missing)}, and layout.nodes is not given"
        if layout.nodes is not None and self.kind != "grid":
            yield "layout.nodes is for grids"
        yield from _among("layout.constants", layout.constants, self.parameters, "parameters")

    def _of_state(self, needed: str) -> Iterator[str]:
        names, axes = self.layout.state, self.layout.axes
        names, fields = [names] if isinstance(names, str) else names, len(self.fields)
        if twice := _twice(names):
            yield f"layout.state names {twice} twice"
        single = len(names) > 1 and "C" not in axes  # each array holds one field
        if len(names) > fields or (single and len(names) < fields):
            least = "" if single else "at least "
            yield f"layout.state names {len(names)} arrays for {fields} fields; each holds {least}one"
        yield from _axes("layout.axes", axes, needed, 1 if single else fields)

    def _of_equation(self, space: list[str], fields: list[str], inputs: list[str]) -> Iterator[str]:
        periodic = [axis for axis, kind in self.boundary.items() if kind == "periodic"]
        for name in ("conserved", "bounded"):
            yield from _among(name, getattr(self, name) or [], fields, "fields")
        for name in ("galilean", "vorticity"):
            if (one := getattr(self, name)) is not None:
                yield from _among(name, [one], fields, "fields")
        yield from _among("shifts", self.shifts, periodic, "periodic axes")
        flipped = {axis for each in self.symmetries for axis in each.flip}
        yield from _among("symmetries", flipped, space, "axes of space")
        unshifted = sorted((flipped & set(periodic)) - set(self.shifts))
        if unshifted and self.kind == "grid":
            yield f"a mirror along a periodic axis needs {unshifted[0]} in shifts: it moves the nodes"
        square = len(space) > 1 and self.boundary.get("x") == self.boundary.get("y")
        if not square and any(each.transpose for each in self.symmetries):
            yield "a transpose needs axes x and y with the same boundary"
        yield from self._of_vectors(space, fields, inputs)
        if self.diffusion is not None:
            yield from _among(
                "diffusion.parameter", [self.diffusion.parameter], self.parameters, "parameters"
            )
        evolving = ["bounded", "galilean", "vorticity", "diffusion", "linear"]
        evolving += ["conserved"] if self.kind != "particles" else []
        for name in evolving if self.steady or self.kind != "grid" else ():
            if getattr(self, name):
                yield f"{name} is for transient problems on grids"
        if self.elliptic and (not self.steady or self.kind != "grid" or len(fields) > 1):
            yield "elliptic is for steady problems of one field on grids"
        walls = len(periodic) < len(space)
        for name in ("galilean", "vorticity", "diffusion") if walls else ():
            if getattr(self, name):
                yield f"{name} is for periodic boundaries"
        if self.vorticity is not None and self.space != "XY":
            yield "vorticity needs a plane, space XY"

    def _of_particles(self, space: list[str], fields: list[str]) -> Iterator[str]:
        moving = self.kind == "particles"
        if len(self.positions) != (len(space) if moving else 0):
            yield "positions is for kind particles, which needs a field for every axis"
        if len(self.velocities) not in ((0, len(space)) if moving else (0,)):
            yield "velocities is for kind particles, and has a field for every axis"
        if moving and self.steady:
            yield "kind particles is for transient problems"
        yield from _among("positions", self.positions, fields, "fields")
        yield from _among("velocities", self.velocities, fields, "fields")
        named = [*self.positions, *self.velocities, *(name for vector in self.vectors for name in vector)]
        if moving and (twice := _twice(named)):
            yield f"positions, velocities and vectors name {twice} twice"
        if self.velocities and any(each.sign < 0 for each in self.symmetries):
            yield "symmetries with sign -1 turn velocities, and leave positions where they are"
        if placed := sorted({*self.positions} & {*(self.conserved or [])}):
            yield f"conserved names {placed[0]}, which is where particles are"

    def _of_vectors(self, space: list[str], fields: list[str], inputs: list[str]) -> Iterator[str]:
        for vector in self.vectors:
            if len(vector) != len(space):
                yield f"each of vectors needs a component along {' and '.join(space)}"
            if not set(vector) <= set(fields) and not set(vector) <= set(inputs):
                yield f"the vector {', '.join(vector)} is made of neither fields nor inputs"
        if twice := _twice([name for vector in self.vectors for name in vector]):
            yield f"vectors names {twice} twice"
        if self.vorticity is not None and any(self.vorticity in vector for vector in self.vectors):
            yield "a vorticity is no component of a vector"


def _axes(where: str, axes: str, needed: str, channels: int) -> Iterator[str]:
    wanted = "N" + needed + ("C" if channels > 1 else "")
    if sorted(axes.replace("C", "", int(channels == 1))) != sorted(wanted):
        yield f"{where} is {axes}; it needs each of {', '.join(wanted)} once"


def _among(where: str, given: Iterable[str], known: Iterable[str], what: str) -> Iterator[str]:
    if unknown := sorted(set(given) - set(known)):
        yield f"{where} names {unknown[0]}; {what} are {', '.join(sorted(known)) or 'none'}"


def _twice(names: list[str]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)
