"""What converted data must satisfy before anything learns from it.

All arrays are read once, in blocks. Findings are collected, not raised one by one, and each names
file, array and sample: a value that is no number, a coordinate that runs backwards, a mean that the
equation keeps and the data do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ups_core.data.canonical import (
    MEAN_SUFFIX,
    coordinate_axes,
    main_arrays,
    open_arrays,
    point_axes,
    sample_blocks,
)
from ups_core.data.extremes import InitialStates
from ups_core.data.families.base import Family
from ups_core.errors import DataInvalid

#: As many findings as one message shows.
SHOWN = 20

#: Coordinates as PDEBench stores them, in float32, are equidistant only to this relative precision.
EQUIDISTANT = 1e-3

#: Points may lie outside of their box by this share of it, for the same reason.
BOX = 1e-6


@dataclass
class Findings:
    """What is wrong, in the order in which it was found."""

    lines: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        self.lines.append(f"{where}: {what}")

    def raise_if_any(self) -> None:
        if self.lines:
            shown = self.lines[:SHOWN]
            more = [f"and {len(self.lines) - SHOWN} more"] if len(self.lines) > SHOWN else []
            raise DataInvalid(
                f"{len(self.lines)} findings in the converted data"
                if len(self.lines) > 1
                else "invalid data",
                where=self.lines[0].split(": ")[0],
                found="\n            ".join([*shown, *more]),
                expected="data that satisfy the family's laws and spec.validation",
                fix="leave them out by spec.convert.samples or spec.source.pattern, or mend the source",
            )


def check_file(
    folder: Path,
    entry: Mapping[str, Any],
    family: Family,
    validation: Mapping[str, Any],
    findings: Findings,
    advance: Callable[[int], None] = lambda _: None,
    initial: InitialStates | None = None,
) -> dict[str, Any]:
    """Check one file of the index. Adds to ``findings``; returns the figures for the report.

    ``validation`` is ``spec.validation``: ``min`` and ``max`` of the state, and ``conservation``, the
    largest drift of a conserved spatial mean relative to the field's standard deviation. ``initial`` is
    given the initial states, as long as nothing is wrong with the data.
    """
    name, report = entry["name"], {"samples": entry["samples"], "arrays": {}}
    with open_arrays(folder, entry) as arrays:
        sizes = _check_shapes(arrays, entry, family, findings)
        for axis in coordinate_axes(family):
            report["arrays"][axis.lower()] = _check_coordinate(arrays, entry, axis, sizes, findings)
        for axis in point_axes(family):
            _check_points(arrays, entry, axis, family, findings)
        parameters = parameter_values(arrays, entry, family)
        for parameter, values in parameters.items():
            if bad := np.flatnonzero(~np.isfinite(values)).tolist():
                findings.add(f"{name}:{parameter}", f"not finite at samples {_some(bad)}")
        report["parameters"] = {key: [float(v.min()), float(v.max())] for key, v in parameters.items()}
        _check_positions(arrays, name, family, findings)
        for key in main_arrays(family):
            if key in arrays:
                start = initial if key == next(iter(main_arrays(family))) else None
                report["arrays"][key] = _check_values(
                    arrays, name, key, family, validation, findings, advance, start
                )
    return report


def parameter_values(
    arrays: Mapping[str, Any], entry: Mapping[str, Any], family: Family
) -> dict[str, np.ndarray]:
    """Name to (N,) float64 values; NaN where the index has none."""
    values = {}
    for name in family.parameters:
        value = entry["parameters"].get(name, np.nan)
        if isinstance(value, str):
            values[name] = np.asarray(arrays[value][:], np.float64)
        else:
            values[name] = np.full(entry["samples"], float(value))
    return values


def spacing(nodes: np.ndarray) -> float | None:
    """The distance of equidistant nodes; None where they are not, or fewer than two."""
    if len(nodes) < 2:
        return None
    mean = float(nodes[-1] - nodes[0]) / (len(nodes) - 1)
    return mean if np.allclose(np.diff(nodes), mean, rtol=EQUIDISTANT, atol=0) else None


def _check_shapes(
    arrays: Mapping[str, Any], entry: Mapping[str, Any], family: Family, findings: Findings
) -> dict[str, int]:
    """Every array has the shape and type the index says, and ``a`` and ``u`` fit the family."""
    name, sizes = entry["name"], {}
    for key, array in arrays.items():
        said = entry["arrays"][key]
        if list(array.shape) != said["shape"] or np.dtype(array.dtype).name != said["dtype"]:
            findings.add(
                f"{name}:{key}",
                f"is {array.shape} {array.dtype}, the index says {said['shape']} {said['dtype']}",
            )
    for key, axes in main_arrays(family).items():
        if key not in arrays:
            findings.add(f"{name}:{key}", "no such array")
            continue
        fields = family.inputs if key == "a" else family.fields
        found = dict(zip(axes, arrays[key].shape, strict=False))
        wanted = {**sizes, "N": entry["samples"], "C": len(fields)}
        for axis, size in found.items():
            if size != wanted.get(axis, size):
                findings.add(f"{name}:{key}", f"{size} along {axis}, expected {wanted[axis]}")
        if arrays[key].ndim != len(axes) or np.dtype(arrays[key].dtype).kind != "f":
            findings.add(
                f"{name}:{key}",
                f"is {arrays[key].shape} {arrays[key].dtype}, expected floats ({', '.join(axes)})",
            )
        sizes |= {axis: size for axis, size in found.items() if axis != "C"}
    return sizes


def _check_coordinate(
    arrays: Mapping[str, Any],
    entry: Mapping[str, Any],
    axis: str,
    sizes: Mapping[str, int],
    findings: Findings,
) -> dict[str, Any]:
    key = axis.lower()
    where = f"{entry['name']}:{key}"
    if key not in arrays:
        findings.add(where, "no such coordinate")
        return {}
    nodes = np.asarray(arrays[key][:])
    if nodes.shape != (sizes.get(axis, -1),):
        findings.add(where, f"{nodes.shape} nodes, the state has {sizes.get(axis)}")
    if bad := np.flatnonzero(~np.isfinite(nodes)).tolist():
        findings.add(where, f"not finite at nodes {_some(bad)}")
    elif bad := (np.flatnonzero(np.diff(nodes) <= 0) + 1).tolist():
        findings.add(where, f"does not increase at nodes {_some(bad)}")
    return {"size": len(nodes), "spacing": spacing(nodes) if np.isfinite(nodes).all() else None}


def _check_points(
    arrays: Mapping[str, Any], entry: Mapping[str, Any], axis: str, family: Family, findings: Findings
) -> None:
    """Where points lie along an axis: one number for each value, within the family's box."""
    key = axis.lower()
    where, (low, high) = f"{entry['name']}:{key}", family.box[axis]
    if key not in arrays or "u" not in arrays:
        findings.add(where, "no such coordinate")
        return
    along, points = np.asarray(arrays[key][:]), arrays["u"].shape[-1]
    if along.shape not in ((points,), (entry["samples"], points)):
        findings.add(where, f"is {along.shape}, the state has {points} points")
    outside = ~((along >= low - BOX * (high - low)) & (along <= high + BOX * (high - low)))  # NaN, too
    if outside.any():
        samples = np.flatnonzero(outside.any(axis=1)).tolist() if along.ndim == 2 else []
        told = f", in samples {_some(samples)}" if samples else ""
        findings.add(where, f"{int(outside.sum())} points that are not in {low:g} to {high:g}{told}")


def _check_positions(arrays: Mapping[str, Any], name: str, family: Family, findings: Findings) -> None:
    """Particles stay between walls; along a periodic axis they may be anywhere."""
    if "u" not in arrays:
        return
    names = [field.name for field in family.fields]
    for axis, position in zip(family.space, family.positions, strict=False):
        if family.boundary[axis] == "periodic":
            continue
        (low, high), samples, count = family.box[axis], [], 0
        room = BOX * (high - low)
        for rows in sample_blocks(arrays["u"].shape, 8):
            x = arrays["u"][rows, :, names.index(position)]  # (n, T, M)
            outside = (x < low - room) | (x > high + room)
            samples += (np.flatnonzero(outside.any(axis=(1, 2))) + rows.start).tolist()
            count += int(outside.sum())
        if samples:
            told = f"{count} places that are not in {low:g} to {high:g}, in samples {_some(samples)}"
            findings.add(f"{name}:u, {position}", told)


def _check_values(
    arrays: Mapping[str, Any],
    name: str,
    key: str,
    family: Family,
    validation: Mapping[str, Any],
    findings: Findings,
    advance: Callable[[int], None],
    initial: InitialStates | None,
) -> dict[str, Any]:
    """Finite, within the range asked for, and keeping what the family keeps: one pass over the array."""
    array, where = arrays[key], f"{name}:{key}"
    low, high = float("inf"), float("-inf")
    not_finite: list[int] = []
    out_of_range: list[int] = []
    conserved = (
        [family.fields[c].name in (family.conserved or ()) for c in range(len(family.fields))]
        if key == "u"
        else []
    )
    drift = None
    if any(conserved) and not family.steady:
        drift = _Drift(arrays.get(key + MEAN_SUFFIX), conserved, family)
    for rows in sample_blocks(array.shape, np.dtype(array.dtype).itemsize):
        block = array[rows]
        axes = tuple(range(1, block.ndim))
        least, most = block.min(axis=axes), block.max(axis=axes)  # NaN where a sample holds one
        fine = np.isfinite(least) & np.isfinite(most)
        not_finite += (np.flatnonzero(~fine) + rows.start).tolist()
        if fine.any():
            low, high = min(low, float(least[fine].min())), max(high, float(most[fine].max()))
        if key == "u":
            outside = fine & (
                (least < validation.get("min", -np.inf)) | (most > validation.get("max", np.inf))
            )
            out_of_range += (np.flatnonzero(outside) + rows.start).tolist()
        if drift is not None and not not_finite:  # the mean of what is no number is none
            drift.add(block, rows)
        if initial is not None and not findings.lines and not not_finite:
            nodes = {axis: arrays[axis.lower()][:] for axis in family.space if axis.lower() in arrays}
            initial.add(block if family.steady else block[:, 0], nodes)
        advance(block.nbytes)
    for samples, what in (
        (not_finite, "holds NaN or Inf"),
        (out_of_range, "leaves the range of spec.validation"),
    ):
        if samples:
            findings.add(f"{where}[{samples[0]}]", f"{what}, in {len(samples)} samples: {_some(samples)}")
    report: dict[str, Any] = {"min": low, "max": high} if low <= high else {}
    if drift is not None and not not_finite:
        report["conservation"] = drift.check(where, validation.get("conservation", 1e-3), findings)
    return report


class _Drift:
    """How far the spatial mean of conserved fields, or that over particles, moves over a trajectory.

    Means come from the converter where it strided the grid, since a coarse grid of a sharp front has
    another mean; otherwise from the array itself.
    """

    def __init__(self, means: Any, conserved: list[bool], family: Family) -> None:
        self._means, self._conserved = means, np.flatnonzero(conserved)
        self._mean = "mean over particles" if family.kind == "particles" else "spatial mean"
        self._drifts: list[np.ndarray] = []  # (N, C) largest |mean(t) - mean(0)|
        self._sums = np.zeros((3, len(self._conserved)))  # count, sum, sum of squares

    def add(self, block: np.ndarray, rows: slice) -> None:
        space = tuple(range(3, block.ndim))
        chosen = block if len(self._conserved) == block.shape[2] else block[:, :, self._conserved]
        if self._means is None:
            means = chosen.mean(axis=space, dtype=np.float64)  # (N, T, C)
        else:
            means = self._means[rows][:, :, self._conserved]
        self._drifts.append(np.abs(means - means[:, :1]).max(axis=1))
        rest = (0, 1, *space)
        self._sums[0] += chosen.size / len(self._conserved)
        self._sums[1] += chosen.sum(axis=rest, dtype=np.float64)
        self._sums[2] += np.square(chosen, dtype=np.float64).sum(axis=rest)

    def check(self, where: str, tolerance: float, findings: Findings) -> dict[str, Any]:
        """The largest drift, relative to the standard deviation of the field in this file."""
        count, total, squares = self._sums
        deviation = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))
        drifts = np.concatenate(self._drifts) / np.where(deviation > 0, deviation, 1)
        worst = drifts.max(axis=1)
        if bad := np.flatnonzero(worst > tolerance).tolist():
            findings.add(
                f"{where}[{bad[0]}]",
                f"the {self._mean} drifts by up to {worst.max():.2g} standard deviations, expected at most "
                f"{tolerance:g}, in {len(bad)} samples: {_some(bad)}",
            )
        return {"drift": float(worst.max()), "tolerance": tolerance}


def _some(items: list[int], shown: int = 10) -> str:
    return ", ".join(map(str, items[:shown])) + (", ..." if len(items) > shown else "")
