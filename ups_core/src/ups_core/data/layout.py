"""Which of a family's layouts a raw file has."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ups_core.data.families.base import Family, RawLayout
from ups_core.data.raw import RawReader
from ups_core.errors import DataInvalid


def choose_layout(family: Family, reader: RawReader) -> RawLayout:
    """The first of the family's layouts whose arrays are all there, with the right number of axes.

    The reader then has the whole state as one array, see :func:`join_state`.
    """
    suffix = Path(reader.source).suffix.lower()
    candidates = [layout for layout in family.layouts if suffix in layout.suffixes]
    if not candidates:
        known = sorted({suffix for layout in family.layouts for suffix in layout.suffixes})
        raise DataInvalid(
            f"family {family.name} does not read this kind of file",
            where=reader.source,
            found=f"suffix {suffix!r}",
            expected=", ".join(known),
            fix="set spec.source.pattern so that it matches data files only",
        )
    problems = [_layout_problem(layout, reader) for layout in candidates]
    for layout, problem in zip(candidates, problems, strict=True):
        if problem is None:
            join_state(layout, reader)
            return layout
    array, found, expected = problems[0] or ("", "", "")
    raise DataInvalid(
        f"the file does not have the {candidates[0].name} layout of family {family.name}",
        where=f"{reader.source}:{array}",
        found=found,
        expected=expected,
        fix="set spec.family, or spec.source.pattern, so that family and files belong together",
    )


def join_state(layout: RawLayout, reader: RawReader) -> None:
    """Let the reader have a state that several arrays hold, all of which are there, as ``layout.whole``.

    Raises :class:`DataInvalid` where they do not belong together.
    """
    if len(layout.parts) > 1:
        reader.join(layout.whole, layout.parts, layout.whole_axes)


def _layout_problem(layout: RawLayout, reader: RawReader) -> tuple[str, str, str] | None:
    """(array, found, expected) of the first thing that is not as the layout says."""
    wanted = [(part, layout.state_axes) for part in layout.parts]
    if layout.input is not None and layout.input_axes is not None:
        wanted.append((layout.input, layout.input_axes))
    # Where the points of a mesh lie has several forms, which are told apart when it is read.
    wanted += [(name, axis if axis in layout.state_axes else "") for axis, name in layout.coordinates.items()]
    for name, axes in wanted:
        if name not in reader.arrays:
            there = ", ".join(f"{key} {value.shape}" for key, value in reader.arrays.items()) or "no arrays"
            return name, f"no such array; the file holds {there}", f"an array with axes ({', '.join(axes)})"
        array = reader.arrays[name]
        if axes and len(array.shape) != len(axes):
            expected = f"{len(axes)} axes ({', '.join(axes)})"
            return name, f"shape {array.shape}, {len(array.shape)} axes", expected
        if np.dtype(array.dtype).kind not in "fiub":
            return name, f"dtype {array.dtype}", "real numbers"
        if 0 in array.shape:
            return name, f"shape {array.shape}, which is empty", "at least one sample"
    return None
