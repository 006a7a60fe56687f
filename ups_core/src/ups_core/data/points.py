"""Where the points of a mesh lie: (M,) along each axis where all samples share them, else (N, M)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ups_core.data.canonical import point_axes
from ups_core.data.families.base import Family, RawLayout
from ups_core.data.raw import RawReader
from ups_core.errors import DataInvalid, InvalidSpec


def places_of(
    reader: RawReader, layout: RawLayout, family: Family, stride: Mapping[str, int], samples: range
) -> dict[str, np.ndarray]:
    """Coordinates of a raw file's points along each axis, float64, of its ``samples``; nothing on a grid.

    InvalidSpec where every n-th is asked for: points have no order. DataInvalid where an array has another
    layout than the family says.
    """
    _check_stride(family, stride)
    along = {}
    sizes = dict(zip(layout.whole_axes, reader.arrays[layout.whole].shape, strict=True))
    for axis in point_axes(family):
        name = layout.coordinates[axis]
        together = [letter for letter in family.space if layout.coordinates[letter] == name]
        last = (len(together),) if len(together) > 1 else ()
        shape, shared, own = reader.arrays[name].shape, (sizes["M"], *last), (sizes["N"], sizes["M"], *last)
        if shape not in (shared, own):
            raise DataInvalid(
                "the coordinates of points have another layout",
                where=f"{reader.source}:{name}",
                found=f"shape {shape}",
                expected=f"{shared} where all samples share the points, or {own}",
                fix="make the file again with one place for each value",
            )
        values = reader.read(name, (slice(samples.start, samples.stop),) if shape == own else ())
        part = values[..., together.index(axis)] if last else values
        along[axis.lower()] = np.ascontiguousarray(part, dtype=np.float64)
    return along


def _check_stride(family: Family, stride: Mapping[str, int]) -> None:
    for axis in family.space.lower() if family.kind != "grid" else "":
        if axis in stride:
            raise InvalidSpec(
                "scattered points have no n-th node",
                where=f"spec.convert.stride.{axis}",
                found=f"family {family.name}, kind {family.kind}",
                expected="a stride along t alone",
                fix=f"remove spec.convert.stride.{axis}",
            )


def read_places(arrays: Mapping[str, Any], family: Family, rows: Sequence[int]) -> dict[str, np.ndarray]:
    """Those of the samples ``rows`` of one converted file: name to (n, M)."""
    places = {}
    for key in map(str.lower, point_axes(family)):
        x = np.asarray(arrays[key][:])
        places[key] = x[rows] if x.ndim == 2 else np.broadcast_to(x, (len(rows), len(x)))
    return places


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Those of several files as one: name to (M,) where all samples have the same points, else to (N, M)."""
    keys = parts[0] if parts else ()
    whole = {key: np.concatenate([part[key] for part in parts]) for key in keys}
    shared = all((x == x[0]).all() for x in whole.values())
    return {key: x[0] for key, x in whole.items()} if shared else whole


def check_same_count(first: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """DataInvalid where two files of a split, entries of the index, have different numbers of points."""
    wanted, found = (entry["arrays"]["u"]["shape"][-1] for entry in (first, other))
    if wanted != found:
        raise DataInvalid(
            "files of one split have different numbers of points",
            where=other["source"],
            found=f"{found} points",
            expected=f"{wanted}, as in {first['source']}",
            fix="give files of another number a split of their own by spec.splits.NAME.pattern",
        )
