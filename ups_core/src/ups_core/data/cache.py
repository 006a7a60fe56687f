"""The cache: each split decoded once into plain ``.npy`` files that training maps into memory.

``u.npy`` is float32 (N, T, C, X[, Y]), of a steady problem (N, C, X[, Y]) beside its input ``a.npy``;
``parameters.npy`` float64 (N, P); ``t.npy``, ``x.npy``, ``y.npy`` float64, of a mesh ``x.npy`` and ``y.npy``
(M,) or, where samples have points of their own, (N, M). Coordinates of particles along periodic axes lie in
the box. ``normaliser.json`` holds mean and standard deviation of every field over the train split alone and,
of a transient problem, its ``drift``: the most that a spatial mean moves within a trajectory, in such
deviations; of particles the ``stride``, how far they go in a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ups_core.data.canonical import (
    BLOCK_BYTES,
    coordinate_axes,
    main_arrays,
    open_arrays,
    sample_blocks,
    write_json,
)
from ups_core.data.families.base import Family
from ups_core.data.particles import Period, nearest, periods_of, wrapped
from ups_core.data.points import check_same_count, joined, read_places
from ups_core.data.validate import parameter_values, spacing
from ups_core.errors import DataInvalid


def write_split(
    folder: Path,
    index: Mapping[str, Any],
    chosen: list[Mapping[str, Any]],
    family: Family,
    out: Path,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Write the samples ``chosen`` (``[{"file", "indices"}]``) of converted data as the folder ``out``.

    Returns the number of samples, the shape of one, and its time step. Raises DataInvalid where two
    files of the split have different grids, or different numbers of points.
    """
    entries = {entry["name"]: entry for entry in index["files"]}
    out.mkdir(parents=True)
    count = sum(len(part["indices"]) for part in chosen)
    first = entries[chosen[0]["file"]]
    targets = {
        key: np.lib.format.open_memmap(
            out / f"{key}.npy", "w+", np.float32, (count, *first["arrays"][key]["shape"][1:])
        )
        for key in main_arrays(family)
    }
    parameters = np.empty((count, len(family.parameters)), np.float64)  # (N, P)
    grid: dict[str, np.ndarray] = {}
    places: list[dict[str, np.ndarray]] = []
    start = 0
    for part in chosen:
        entry, indices = entries[part["file"]], np.asarray(part["indices"])
        rows = slice(start, start + len(indices))
        with open_arrays(folder, entry) as arrays:
            own = {axis.lower(): np.asarray(arrays[axis.lower()][:]) for axis in coordinate_axes(family)}
            _check_same_grid(grid, own, first["source"], entry["source"])
            grid = grid or own
            if family.kind != "grid":
                check_same_count(first, entry)
            if family.kind == "mesh":
                places.append(read_places(arrays, family, part["indices"]))
            values = parameter_values(arrays, entry, family)
            for column, name in enumerate(family.parameters):
                parameters[rows, column] = values[name][indices]
            for key, target in targets.items():
                _copy_rows(arrays[key], indices, target, start, periods_of(family), advance)
        start = rows.stop
    for target in targets.values():
        target.flush()
    np.save(out / "parameters.npy", parameters)
    for key, nodes in {**grid, **joined(places)}.items():
        np.save(out / f"{key}.npy", nodes)
    write_json(
        out / "samples.json",
        [{"file": part["file"], "index": int(i)} for part in chosen for i in part["indices"]],
    )
    return {
        "samples": count,
        "shape": first["arrays"]["u"]["shape"][1:],
        "dt": spacing(grid["t"]) if "t" in grid else None,
    }


def _copy_rows(
    array: Any,
    indices: np.ndarray,
    target: np.ndarray,
    start: int,
    periods: Sequence[Period],
    advance: Callable[[int], None],
) -> None:
    """Copy samples in blocks, each read as one piece from its first to its last wanted sample."""
    for block in _runs(indices, array.shape, np.dtype(array.dtype).itemsize):
        first, last = int(indices[block.start]), int(indices[block.stop - 1])
        wanted = array[first : last + 1]
        kept = wanted if len(wanted) == block.stop - block.start else wanted[indices[block] - first]
        target[start + block.start : start + block.stop] = wrapped(kept, periods)
        advance(target[0].nbytes * len(kept))


def _runs(indices: np.ndarray, shape: tuple[int, ...], itemsize: int) -> Iterator[slice]:
    """Slices of ``indices`` (sorted) whose samples span about one block of the array."""
    span = max(BLOCK_BYTES // (int(np.prod(shape[1:])) * itemsize), 1)
    start = 0
    while start < len(indices):
        stop = int(np.searchsorted(indices, indices[start] + span))
        yield slice(start, stop)
        start = stop


def _check_same_grid(
    grid: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray], first: str, source: str
) -> None:
    for key, nodes in grid.items():
        if nodes.shape != own[key].shape or not np.allclose(nodes, own[key], rtol=1e-5, atol=1e-7):
            raise DataInvalid(
                "files of one split have different grids",
                where=f"{source}:{key}",
                found=f"{source} {own[key].shape} from {own[key][0]:g} to {own[key][-1]:g}",
                expected=f"as in {first}, {nodes.shape} from {nodes[0]:g} to {nodes[-1]:g}",
                fix="give files of another grid a split of their own by spec.splits.NAME.pattern",
            )


def normaliser(train: Path, family: Family) -> dict[str, Any]:
    """Mean, standard deviation and drift of each field over a cached split, in float64, read in blocks."""

    def statistics(key: str, names: list[str]) -> dict[str, dict[str, float]]:
        array = np.load(train / f"{key}.npy", mmap_mode="r")
        axis = 1 if family.steady else 2
        count, mean, squares = 0, np.zeros(len(names)), np.zeros(len(names))
        moved = np.zeros(len(names))
        for rows in sample_blocks(array.shape, 8):
            values = np.moveaxis(array[rows].astype(np.float64), axis, 0)  # (C, n, [T,] X[, Y])
            if not family.steady:
                means = values.mean(axis=tuple(range(3, values.ndim)))  # (C, n, T)
                moved = np.maximum(moved, np.abs(means - means[..., :1]).max(axis=(1, 2)))
            block = values.reshape(len(names), -1)
            own = block.mean(axis=1)
            # Chan, Golub, LeVeque: joining the moments of two parts, without cancellation.
            n, delta = block.shape[1], own - mean
            squares += ((block - own[:, None]) ** 2).sum(axis=1) + delta**2 * count * n / (count + n)
            mean += delta * n / (count + n)
            count += n
        deviation = np.sqrt(squares / count)
        found = {"mean": mean, "std": deviation}
        if not family.steady:
            found["drift"] = moved / np.where(deviation > 0, deviation, 1)
        return {
            name: {what: float(value[c]) for what, value in found.items()} for c, name in enumerate(names)
        }

    found = {
        "fields": statistics("u", [item.name for item in family.fields]),
        "inputs": statistics("a", [item.name for item in family.inputs]) if family.inputs else {},
        "split": "train",
    }
    return found | {"stride": _stride(train, family)} if family.positions else found


def _stride(train: Path, family: Family) -> float:
    """How far particles go in a frame: the root mean square along an axis, in shares of the box."""
    array = np.load(train / "u.npy", mmap_mode="r")  # (N, T, C, M)
    names, periods = [field.name for field in family.fields], periods_of(family)
    square, count = 0.0, 0
    for rows in sample_blocks(array.shape, 8):
        u = array[rows].astype(np.float64)
        step = nearest(u[:, 1:], u[:, :-1], periods) - u[:, :-1]  # (n, T-1, C, M)
        for axis, name in zip(family.space, family.positions, strict=True):
            low, high = family.box[axis]
            square += float(np.square(step[:, :, names.index(name)] / (high - low)).sum())
        count += len(family.positions) * step[:, :, 0].size
    return float(np.sqrt(square / count))
