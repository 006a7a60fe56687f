"""What a network has to know of its problem, as one small value.

A dataset says which arrays there are, a family says what physics they obey. :class:`Problem` is the
part of both that shapes a network: channels, grid, boundary, conserved fields, symmetries. It is
built when training starts and travels in the published model, so that a model needs no dataset and
no registry to be used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from ups_core.data.families.base import Family, Transform
from ups_core.data.particles import Period, periods
from ups_core.errors import DataInvalid

if TYPE_CHECKING:
    from torch import Tensor


#: A mean that moves by no more standard deviations within any training trajectory is taken for constant, as
#: validation takes it. Where that is wrong, it costs no more than this in any of these.
KEPT = 1e-3


@dataclass(frozen=True)
class Diffusion:
    """D Δt = ``scale`` · exp(``rate`` · p), where p is the varying parameter number ``place``, normalised."""

    scale: float
    place: int | None = None
    rate: float = 0.0

    @classmethod
    def read(cls, family: Family, problem: Problem, parameters: np.ndarray) -> Diffusion | None:
        """Of training parameters (N, P); None where the family has none, or one that is not positive."""
        if family.diffusion is None or problem.dt is None or not problem.periodic or not len(parameters):
            return None
        name, factor = family.diffusion
        values = parameters[:, problem.parameters.index(name)]
        if not (values > 0).all():
            return None
        if name not in problem.varying:
            return cls(float(values[0]) * factor * problem.dt)
        logarithms = np.log(values)  # as the normaliser takes what is positive
        scale = float(np.exp(logarithms.mean())) * factor * problem.dt
        return cls(scale, problem.varying.index(name), float(logarithms.std()))

    def of(self, parameters: Tensor) -> Tensor:
        """Varying parameters (B, P), normalised, to D Δt: (B,)."""
        assert self.place is not None
        return self.scale * (self.rate * parameters[:, self.place]).exp()


@dataclass(frozen=True)
class Motion:
    """How particles move.

    Attributes
    ----------
    positions, velocities: the channels that are their coordinates, in the order of the axes, and those that
        are the coordinates' rates of change, or none. Normalised coordinates are shares of the box.
    stride: how far they go in a frame, the root mean square along an axis, in shares of the box.
    carried: how far one standard deviation of the velocity carries a particle in a frame along each axis, in
        shares of the box.
    """

    positions: tuple[int, ...]
    velocities: tuple[int, ...]
    stride: float
    carried: tuple[float, ...]

    def parted(self, channels: int) -> tuple[list[int], list[int]]:
        """Of a state's channels those that are no coordinates, and the place of each channel among these and,
        behind them, the coordinates.

        >>> Motion((1, 3), (), 1.0, ()).parted(4)
        ([0, 2], [0, 2, 1, 3])
        """
        values = [c for c in range(channels) if c not in self.positions]
        return values, [[*values, *self.positions].index(c) for c in range(channels)]

    @classmethod
    def read(cls, family: Family, problem: Problem, statistics: Mapping[str, Any]) -> Motion:
        """Of ``normaliser.json``. DataInvalid where no particle moves, or times of velocities are uneven."""
        if family.velocities and problem.dt is None:
            raise DataInvalid(
                "frames are not equally far apart in time: velocities carry particles by no one distance",
                where="the times of the training split",
                expected="one time step",
                fix="give data of equidistant times, or declare no velocities",
            )
        if not statistics["stride"] > 0:
            raise DataInvalid(
                "no particle moves in the training split",
                where=f"the fields {', '.join(family.positions)}",
                found="the same places in all frames",
                expected="places that change",
                fix="declare them as kind mesh, and their places as layout.coordinates",
            )
        std = problem.shared({name: statistics["fields"][name]["std"] for name in problem.fields})
        velocities = tuple(problem.fields.index(name) for name in family.velocities)
        lengths = [high - low for low, high in problem.box or ()]
        return cls(
            positions=tuple(problem.fields.index(name) for name in family.positions),
            velocities=velocities,
            stride=float(statistics["stride"]),
            carried=tuple(
                std[c] * (problem.dt or 0) / length for c, length in zip(velocities, lengths, strict=False)
            ),
        )


@dataclass(frozen=True)
class Problem:
    """The facts of a problem that shape a network.

    Attributes
    ----------
    fields, units: names and units of the solution's channels; ``inputs``: names of the channels that
        the network is given (the fields themselves where transient).
    shape: points of the training grid along each axis; ``spacing``: their distance along each axis. On a
        mesh, or of particles, there is one number, of the points of a sample, and no spacing.
    boundary: ``periodic``, ``dirichlet`` or ``neumann``, for each axis.
    wall: for each axis, whether node 0 lies on the wall and the opposite wall is one spacing behind
        the last node (node i of n at i/n). A mirrored sample then has its data on the nodes from 1 on.
    conserved: for each field, whether its spatial mean is constant in time: the family says so or, where it
        says nothing, the training data.
    parameters: names of the scalar parameters; ``varying``: those that differ between training
        samples and are therefore given to the network.
    shifts: axes along which a cyclic shift of a sample is again a sample.
    dt: time between frames; None where steady.
    vectors: names of fields that are the components of a vector, in the order of the axes.
    bounded: for each field, whether no value leaves the range of the initial state.
    linear: whether each Fourier mode of the state evolves on its own.
    elliptic: whether the solution is that of -∇·(κ∇u) = f.
    vorticity: the field that is the vorticity of the flow, in a periodic plane; else None.
    declaration: what a Dataset declares of its family, which then has no module; else None.
    leads: numbers of frames that a surrogate may advance by in one step.
    box: of scattered points the two ends of the domain along each axis; None on a grid.
    motion: of particles, how they move; else None.
    diffusion: with which coefficient all fields diffuse; None where nobody knows.
    turn: of such a vorticity one standard deviation times ``dt``; else None.
    boost: where the equation is the same for a moving observer, the speed of one cell a frame in
        standard deviations of the field; else None.
    """

    family: str
    steady: bool
    space: str
    fields: tuple[str, ...]
    units: tuple[str, ...]
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    boundary: tuple[str, ...]
    wall: tuple[bool, ...]
    conserved: tuple[bool, ...]
    parameters: tuple[str, ...] = ()
    varying: tuple[str, ...] = ()
    shifts: tuple[str, ...] = ()
    symmetries: tuple[Transform, ...] = ()
    vectors: tuple[tuple[str, ...], ...] = ()
    bounded: tuple[bool, ...] = ()
    linear: bool = False
    elliptic: bool = False
    dt: float | None = None
    vorticity: str | None = None
    diffusion: Diffusion | None = None
    turn: float | None = None
    boost: float | None = None
    leads: tuple[int, ...] = (1,)
    box: tuple[tuple[float, float], ...] | None = None
    motion: Motion | None = None
    declaration: dict[str, Any] | None = None

    @property
    def dimensions(self) -> int:
        return len(self.space)

    def turns(self, name: str) -> bool:
        """Whether a symmetry may change the field's sign, or turn it as a component of a vector."""
        signed = any(transform.sign != 1 for transform in self.symmetries)
        return signed or any(name in vector for vector in self.vectors)

    def shared(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """The values of these fields; those of the components of a vector become their root mean square."""
        own = dict(values)
        for vector in self.vectors:
            if vector[0] in own:
                one = math.sqrt(sum(own[name] ** 2 for name in vector) / len(vector))
                own |= dict.fromkeys(vector, one)
        return tuple(own.values())

    @property
    def scattered(self) -> bool:
        """Whether values lie at scattered points, and arrays are (B, C, M)."""
        return self.box is not None

    @property
    def mesh(self) -> bool:
        """Whether these stay where they are, which has then to be said beside the values."""
        return self.scattered and self.motion is None

    @property
    def axes(self) -> str:
        """Letters of the axes that arrays have in space."""
        return "M" if self.scattered else self.space

    @property
    def periods(self) -> tuple[Period, ...]:
        """Of particles: the channels that are coordinates along periodic axes, in the fields' units."""
        if self.motion is None or self.box is None:
            return ()
        return periods(self.motion.positions, self.boundary, self.box)

    @property
    def periodic(self) -> bool:
        """Whether every axis is periodic."""
        return all(kind == "periodic" for kind in self.boundary)

    def to_dict(self) -> dict[str, Any]:
        """For ``model.json``; what only points or declared families have is mentioned only there."""
        rare = ("box", "motion", "declaration")
        return {name: value for name, value in asdict(self).items() if value is not None or name not in rare}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Problem:
        return TypeAdapter(cls).validate_python(values)

    @classmethod
    def read(cls, folder: Path, family: Family) -> Problem:
        """The problem of a cached dataset (``dataset.json`` and the arrays of its ``train`` split)."""
        dataset = json.loads((folder / "dataset.json").read_text())
        space = dataset["space"] if family.kind == "grid" else ""
        coordinates = {axis: np.load(folder / "train" / f"{axis.lower()}.npy") for axis in space}
        parameters = np.load(folder / "train" / "parameters.npy")
        problem = cls.of(dataset, family, coordinates, parameters)
        if problem.steady:
            return problem
        whole = json.loads((folder / "normaliser.json").read_text())
        statistics = whole["fields"]
        if family.positions:
            return replace(problem, motion=Motion.read(family, problem, whole))
        if family.conserved is None and problem.periodic and not problem.scattered:
            kept = tuple(statistics[name]["drift"] <= KEPT for name in problem.fields)
            problem = replace(problem, conserved=kept)
        problem = replace(problem, diffusion=Diffusion.read(family, problem, parameters))
        if problem.vorticity is not None and problem.dt is not None:
            problem = replace(problem, turn=statistics[problem.vorticity]["std"] * problem.dt)
        if family.boosts and all(problem.conserved):
            problem = boosted(problem, statistics[problem.fields[0]]["std"])
        return problem

    @classmethod
    def of(
        cls,
        dataset: Mapping[str, Any],
        family: Family,
        coordinates: Mapping[str, np.ndarray],
        parameters: np.ndarray,
    ) -> Problem:
        """From ``dataset.json``, the nodes of each axis of a grid and the training parameters (N, P).

        Raises DataInvalid for nodes of a grid that are not equidistant.
        """
        grid = family.kind == "grid"
        space, fields = dataset["space"], [field["name"] for field in dataset["fields"]]
        latent = dataset.get("latent")
        # Patches that begin at a wall's node are no mirror images of those that end before the other one.
        mirrored = not (latent and latent["wall"])
        inputs = [field["name"] for field in dataset["inputs"]] if dataset["steady"] else fields
        nodes = [coordinates[axis] for axis in space if grid]
        boundary = tuple(dataset["boundary"][axis] for axis in space)
        names = dataset["parameters"]
        vary = np.ptp(parameters, axis=0) > 0 if len(parameters) else np.zeros(len(names), bool)
        square = len({*map(len, nodes[:2])}) <= 1 and len({family.box.get(axis) for axis in space[:2]}) == 1
        return cls(
            family=family.name,
            declaration=None if isinstance(dataset["family"], str) else dict(dataset["family"]),
            steady=dataset["steady"],
            space=space,
            fields=tuple(fields),
            units=tuple(field.get("unit", "1") for field in dataset["fields"]),
            inputs=tuple(inputs),
            shape=tuple(map(len, nodes)) if grid else tuple(dataset["splits"]["train"]["shape"][-1:]),
            spacing=tuple(_spacing(axis, n) for axis, n in zip(space, nodes, strict=grid)),
            boundary=boundary,
            wall=tuple(
                kind != "periodic" and _starts_on_wall(n) for kind, n in zip(boundary, nodes, strict=grid)
            ),
            box=None if grid else tuple(family.box[axis] for axis in space),
            conserved=tuple(name in (family.conserved or ()) for name in fields),
            parameters=tuple(names),
            varying=tuple(name for name, v in zip(names, vary, strict=True) if v),
            shifts=tuple(family.shifts),
            symmetries=tuple(t for t in family.symmetries if mirrored and (square or not t.transpose)),
            vectors=(*family.vectors, *filter(None, [family.velocities])),
            # An average may leave the range of the averages before it, and a coarse grid mixes modes.
            bounded=tuple(name in family.bounded and not latent for name in fields),
            linear=family.modes_evolve_apart and not latent,
            elliptic=family.elliptic,
            vorticity=family.vorticity if len(space) == 2 and {*boundary} == {"periodic"} else None,
            dt=dataset["dt"],
        )


def boosted(problem: Problem, std: float) -> Problem:
    """The same problem on a line, seen by an observer who moves by whole cells a frame: exact on the grid.

    ``std``: the standard deviation of its field, a velocity.
    """
    assert problem.dt is not None
    return replace(problem, boost=problem.spacing[0] / problem.dt / std)


def nested(problem: Problem) -> bool:
    """Whether every k-th node of a k times finer grid is a node of the training grid."""
    walls = zip(problem.boundary, problem.wall, strict=True)
    return all(kind == "periodic" or wall for kind, wall in walls)


def _spacing(axis: str, nodes: np.ndarray) -> float:
    steps = np.diff(nodes)
    if len(steps) == 0 or not np.allclose(steps, steps[0], rtol=1e-3):
        raise DataInvalid(
            "the grid is not equidistant",
            where=f"train/{axis.lower()}.npy",
            found=f"spacings from {steps.min():g} to {steps.max():g}" if len(steps) else "one node",
            expected="one spacing",
            fix="interpolate the data to an equidistant grid before they are published",
        )
    return float(steps.mean())


def _starts_on_wall(nodes: np.ndarray) -> bool:
    """Node 0 at the origin and the wall one spacing behind the last node, on the unit interval."""
    end = nodes[-1] + (nodes[-1] - nodes[0]) / (len(nodes) - 1)
    return math.isclose(nodes[0], 0, abs_tol=1e-6) and math.isclose(end, 1, abs_tol=1e-3)


def shape_text(shape: Sequence[int]) -> str:
    """(32, 1, 5) as people write it in messages."""
    return "(" + ", ".join(map(str, shape)) + ")"
