"""One split of cached data, opened lazily, and the frames of it that an evaluation asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ups_core.data.families import family
from ups_core.data.particles import Period, flights_of, periods_of
from ups_core.errors import DataInvalid, InvalidSpec

#: Values of truth that one batch may hold; bounds the memory of an evaluation at a few copies of it.
BATCH_VALUES = 1 << 22


@dataclass(frozen=True)
class Split:
    """The samples of one split, on their own grid, in physical units.

    Attributes
    ----------
    u:
        (N, T, C, X[, Y]) where transient, (N, C, X[, Y]) where steady; float32, memory-mapped.
    a:
        Input of a steady problem, (N, C, X[, Y]); None where transient.
    parameters:
        (N, P), the columns named by ``parameter_names``.
    coordinates:
        Axis letter to its nodes; ``T`` holds the times of the frames. On a mesh ``X`` and ``Y`` are those of
        the points of each sample, (N, M), and u is (N, T, C, M). Of particles, too, but these have no nodes.
    sources:
        File that each sample comes from, and its place in it.
    kind:
        Of the data.
    periods, flights:
        Of particles: the channels that are coordinates along periodic axes, and the pairs of a coordinate's
        channel and that of the velocity along it.
    """

    name: str
    u: np.ndarray
    a: np.ndarray | None
    parameters: np.ndarray
    parameter_names: tuple[str, ...]
    coordinates: Mapping[str, np.ndarray]
    sources: tuple[tuple[str, int], ...]
    kind: str = "grid"
    periods: tuple[Period, ...] = ()
    flights: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.u)

    @property
    def states(self) -> np.ndarray:
        """What a prediction starts from: frame 0, of a steady problem the input; (N, C, X[, Y])."""
        return self.u[:, 0] if self.a is None else self.a

    def called(self, index: int) -> str:
        """A sample by its split and place, and the file that it comes from."""
        file, place = self.sources[index]
        return f"{self.name} {index} ({file} {place})"

    @property
    def scattered(self) -> bool:
        """Whether values lie at scattered points, which may move."""
        return self.kind != "grid"

    @property
    def mesh(self) -> bool:
        """Whether these stay where they are, which has then to be said beside the values."""
        return self.kind == "mesh"

    @property
    def space(self) -> int:
        """Number of spatial axes of the arrays."""
        return 1 if self.scattered else len(self.coordinates) - ("T" in self.coordinates)

    def batches(self) -> Iterator[slice]:
        """Slices of samples that keep a batch near :data:`BATCH_VALUES`."""
        per_sample = int(np.prod(self.u.shape[1:]))
        size = max(1, BATCH_VALUES // per_sample)
        for start in range(0, len(self), size):
            yield slice(start, min(start + size, len(self)))

    def nodes(self, batch: slice) -> dict[str, np.ndarray]:
        """The coordinates of some samples: on a mesh their own points, (n, M)."""
        own = "XY" if self.mesh else ""
        return {axis: nodes[batch] if axis in own else nodes for axis, nodes in self.coordinates.items()}

    def named_parameters(self, batch: slice) -> dict[str, np.ndarray]:
        """Name to (n,) values, as a family's solver takes them."""
        return {name: self.parameters[batch, i] for i, name in enumerate(self.parameter_names)}


def open_split(folder: Path, dataset: Mapping[str, Any], name: str) -> Split:
    """The split ``name`` of a cache object in ``folder``, described by its ``dataset.json``."""
    if name not in dataset["splits"]:
        raise InvalidSpec(
            "the evaluation names a split that the dataset does not have",
            where="spec.evaluation.split",
            found=name,
            expected=" or ".join(sorted(dataset["splits"])),
            fix=f"set spec.evaluation.split to one of these, or add {name} to the Dataset's spec.splits",
        )
    root, steady = folder / name, bool(dataset["steady"])
    kind = dataset["kind"]
    axes = (() if kind == "particles" else tuple(dataset["space"])) + (() if steady else ("T",))
    names = tuple(dataset.get("parameters", ()))
    u = np.load(root / "u.npy", mmap_mode="r")
    parameters = np.load(root / "parameters.npy") if names else np.zeros((len(u), 0), dtype=np.float32)
    coordinates = {axis: np.load(root / f"{axis.lower()}.npy").astype(np.float64) for axis in axes}
    if kind == "mesh":
        points = (len(u), u.shape[-1])
        coordinates |= {axis: np.broadcast_to(coordinates[axis], points) for axis in dataset["space"]}
    if len(u) == 0:
        raise DataInvalid(f"split {name} is empty", where="spec.splits", expected="at least one sample")
    a = np.load(root / "a.npy", mmap_mode="r") if steady else None
    sources = tuple((row["file"], row["index"]) for row in json.loads((root / "samples.json").read_text()))
    own = family(dataset["family"])
    moving = periods_of(own), flights_of(own)
    return Split(name, u, a, parameters, names, coordinates, sources, kind, *moving)


@dataclass(frozen=True)
class Window:
    """Which frames are given and which are predicted: ``given`` frames, then ``steps`` more."""

    given: int
    steps: int

    @property
    def start(self) -> int:
        """The last given frame, from which a rollout starts."""
        return self.given - 1

    @property
    def predicted(self) -> slice:
        return slice(self.given, self.given + self.steps)

    @property
    def covered(self) -> slice:
        """The frame that a rollout starts from and those that it predicts."""
        return slice(self.start, self.given + self.steps)


def window(split: Split, rollout: Mapping[str, Any]) -> Window:
    """The frames that ``evaluation.rollout`` asks of a split; all that it has where it does not say."""
    frames, given = split.u.shape[1], int(rollout.get("from") or 1)
    available = frames - given
    steps = int(rollout.get("steps") or available)
    if available < 1 or steps > available:
        raise InvalidSpec(
            f"the rollout asks for more frames than split {split.name} holds",
            where="spec.evaluation.rollout",
            found=f"from {given}, steps {steps}",
            expected=f"at most {frames} frames together",
            fix=f"set spec.evaluation.rollout.steps to {available}"
            if available > 0
            else "set spec.evaluation.rollout.from to 1",
        )
    return Window(given, steps)
