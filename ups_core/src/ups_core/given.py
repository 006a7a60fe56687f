"""The files that a surrogate is asked from, and what they say about their values.

- ``.npy``: the values, which are read batch by batch. Parameters that varied in training are read from the
  file of the same name with the suffix ``.parameters.npy``, (N, P).
- ``.npz``: the values as ``u`` (steady: ``a``), parameters under their names (a number, or (N,)), and what
  training is compared with: nodes ``x``, ``y``, times ``t``, ``units`` (C,) of the channels. On a mesh ``x``
  and ``y`` are where the points lie, (M,) or (N, M), and have to be there. Or a layout of the family's raw
  files, as below.
- HDF5 (``.hdf5``, ``.h5``) and Zarr (``.zarr``): arrays of the same names, as the converter writes them, or a
  layout that the family's raw files have, as PDEBench's. Parameters are found where the converter finds
  them: in attributes, arrays and the file's name. Of trajectories frame 0 is read, and nothing else.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ups_core.data.canonical import state_axes
from ups_core.data.families import family as family_of
from ups_core.data.families.base import Family, RawLayout
from ups_core.data.layout import join_state
from ups_core.data.parameters import look_for
from ups_core.data.points import places_of
from ups_core.data.raw import HDF5_SUFFIXES, ZARR_SUFFIX, RawArray, RawReader, open_raw
from ups_core.data.stream import Selection
from ups_core.errors import DataInvalid, NotFound
from ups_core.models.problem import Problem


@dataclass(frozen=True)
class Given:
    """What a file gives: values (N, C, X[, Y]) or (C, X[, Y]), and what it says about them."""

    values: np.ndarray
    parameters: Any = None
    coordinates: Mapping[str, np.ndarray] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


def read(path: Path, problem: Problem) -> Given:
    """What a file gives for ``problem``. NotFound where there is none, DataInvalid for another form."""
    if not path.exists():
        raise NotFound("there is no such file", where=path, fix="give a file of states or inputs to --input")
    if path.suffix.lower() in (*HDF5_SUFFIXES, ZARR_SUFFIX):
        return read_arrays(path, problem)
    if path.suffix == ".npz":
        return read_arrays(path, problem) if _is_raw(path, problem) else read_npz(path, problem)
    return read_npy(path, problem)


def read_npy(path: Path, problem: Problem) -> Given:
    values = _load(path)
    beside = path.with_suffix(".parameters.npy")
    if not beside.exists():
        return Given(values)
    parameters, names = _load(beside), problem.parameters
    samples = len(values) if values.ndim == len(problem.axes) + 2 else 1
    if parameters.shape != (samples, len(names)):
        raise DataInvalid(
            "the parameters have another layout",
            where=beside,
            found=f"shape {parameters.shape}",
            expected=f"{(samples, len(names))}: a row a sample, columns {', '.join(names)}",
            fix=f"correct {beside}, or remove it where no parameter varied in training",
        )
    return Given(values, parameters)


def read_npz(path: Path, problem: Problem) -> Given:
    main = _main(problem)
    space = "" if problem.motion else problem.space.lower()
    axes = [*space] + ([] if problem.steady else ["t"])
    with _opened(path):
        loaded = np.load(path, allow_pickle=False)
        arrays = {name: loaded[name] for name in loaded.files} if hasattr(loaded, "files") else {}
    known = [main, *problem.parameters, *axes, "units"]
    unknown = [name for name in arrays if name not in known]
    if unknown or main not in arrays:
        raise DataInvalid(
            f"the file has no array {main}"
            if main not in arrays
            else "the file has arrays of no meaning here",
            where=path,
            found=", ".join(unknown or arrays) or "none",
            expected=f"{main}, and of {', '.join(known[1:])} what there is",
            fix="save it by numpy.savez with these names",
        )
    for name, array in arrays.items():
        if name != "units" and array.dtype.kind not in "fiu":
            raise _no_array(path, f"{name}: {array.dtype}")
    samples = len(arrays[main]) if arrays[main].ndim == len(problem.axes) + 2 else 1
    parameters = {name: arrays[name] for name in problem.parameters if name in arrays}
    _check_parameters(parameters, samples, path)
    units = np.atleast_1d(arrays["units"]) if "units" in arrays else []
    return Given(
        values=arrays[main],
        parameters=parameters,
        coordinates={axis: arrays[axis] for axis in axes if axis in arrays},
        units=_units(units, path, problem),
    )


def _is_raw(path: Path, problem: Problem) -> bool:
    """Whether an ``.npz`` file has not the form of :func:`read_npz`, but one that the family's files have."""
    with _opened(path), open_raw(path, str(path)) as reader:
        own = [form for form in _own_forms(problem) if "T" not in form.state_axes]
        raw = _raw_forms(problem, (".npz",))
        return _first_fit([*own, *raw], reader, problem) in raw


def read_arrays(path: Path, problem: Problem) -> Given:
    """From HDF5, Zarr or raw ``.npz`` files."""
    with open_raw(path, str(path)) as reader:
        layout = _layout(reader, problem)
        join_state(layout, reader)
        name, axes = layout.whole, layout.whole_axes
        if np.dtype(reader.arrays[name].dtype).kind not in "fiu":
            raise _no_array(path, f"{name}: {reader.arrays[name].dtype}")
        values = _states(reader, layout, problem)
        samples = len(values) if "N" in axes else 1
        names = {parameter.lower() for parameter in problem.parameters}
        _check_parameters(
            {
                key: array
                for key, array in reader.arrays.items()
                if key.lower() in names and key not in layout.parts
            },
            samples,
            path,
        )
        found = {p: look_for(p, reader, layout, samples) for p in problem.parameters}
        parameters = {
            p: reader.read(v) if isinstance(v, str) else v for p, v in found.items() if v is not None
        }
        coordinates = {
            axis.lower(): reader.read(array)
            for axis, array in layout.coordinates.items()
            # Frame 0 alone has a time, and no time step.
            if array in reader.arrays and not (axis == "T" and "T" in axes)
        }
        if (
            problem.mesh
            and "N" in axes
            and {layout.coordinates[axis] for axis in problem.space} <= reader.arrays.keys()
        ):
            coordinates |= places_of(reader, layout, _family(problem), {}, range(samples))
        units = _stated_units(reader, layout)
    return Given(values, parameters, coordinates, _units(units, path, problem))


def _layout(reader: RawReader, problem: Problem) -> RawLayout:
    """The first form in which the file holds what is asked for."""
    suffix = Path(reader.source).suffix.lower()
    alike = (".npz",) if suffix == ".npz" else (*HDF5_SUFFIXES, ZARR_SUFFIX)
    forms = [*_own_forms(problem), *_raw_forms(problem, alike)]
    if (fit := _first_fit(forms, reader, problem)) is not None:
        return fit
    raise DataInvalid(
        "the file has no array to predict from",
        where=reader.source,
        found=", ".join(f"{name} {array.shape}" for name, array in reader.arrays.items()) or "no arrays",
        expected=" or ".join(f"{', '.join(form.parts)} ({', '.join(form.state_axes)})" for form in forms),
        fix=f"name the array {forms[0].state}, and give it these axes",
    )


def _first_fit(forms: list[RawLayout], reader: RawReader, problem: Problem) -> RawLayout | None:
    """The first that fits; before all others one of several arrays, whose names leave the least to chance.

    Where one of these is called ``u``, (N, T, X), with as many frames as the problem has fields, it could be
    taken for (N, C, X).
    """
    surest = sorted(forms, key=lambda form: len(form.parts) == 1)
    return next((form for form in surest if _fits(form, reader, problem)), None)


def _fits(form: RawLayout, reader: RawReader, problem: Problem) -> bool:
    """The arrays are there, with as many axes and as many fields."""
    if not reader.arrays.keys() >= set(form.parts):
        return False
    shapes, axes = [reader.arrays[part].shape for part in form.parts], form.state_axes
    if any(len(shape) != len(axes) for shape in shapes):
        return False
    return sum(shape[axes.index("C")] if "C" in axes else 1 for shape in shapes) == len(problem.inputs)


def _own_forms(problem: Problem) -> list[RawLayout]:
    """The converter's names, with or without samples and frames.

    ``state`` is the array to predict from, of a steady problem the input.
    """
    axes = state_axes(_family(problem))
    nodes = {axis: axis.lower() for axis in "T" + ("" if problem.motion else problem.space)}
    own = dict.fromkeys((axes, axes.replace("T", ""), "C" + problem.axes))
    return [RawLayout("ups", (), _main(problem), each, coordinates=nodes) for each in own]


def _raw_forms(problem: Problem, suffixes: Iterable[str]) -> list[RawLayout]:
    """The family's layouts of files with one of these endings; ``state`` as in :func:`_own_forms`."""
    return [
        replace(raw, state=raw.input, state_axes=raw.input_axes) if problem.steady else raw
        for raw in _family(problem).layouts
        if not set(raw.suffixes).isdisjoint(suffixes)
    ]


def _family(problem: Problem) -> Family:
    return family_of(problem.declaration or problem.family)


def _main(problem: Problem) -> str:
    return "a" if problem.steady else "u"


def _states(reader: RawReader, layout: RawLayout, problem: Problem) -> np.ndarray:
    """(N, C, X[, Y]), or (C, X[, Y]): of trajectories the first frame."""
    whole, axes = reader.arrays[layout.whole], layout.whole_axes
    if "N" not in axes:
        return reader.read(layout.whole)
    rows, timed = range(whole.shape[axes.index("N")]), "T" in axes
    target = ("NTC" if timed else "NC") + problem.axes
    dtype = np.dtype(whole.dtype)
    selection = Selection(reader, layout.whole, axes, target, rows, {}, dtype)
    first = range(1) if timed else None
    block = np.empty(selection.block_shape(rows, first), dtype)
    selection.read(rows, first, block)
    values = selection.canonical(block)  # (N, [1,] C, X[, Y])
    return values[:, 0] if timed else values


def _check_parameters(arrays: Mapping[str, RawArray], samples: int, path: Path) -> None:
    for name, array in arrays.items():
        if array.shape not in ((), (samples,)):
            raise DataInvalid(
                "the parameters have another layout",
                where=f"{path}: {name}",
                found=f"shape {array.shape}",
                expected=f"one number, or ({samples},): one for each sample",
                fix=f"correct {name}",
            )


def _stated_units(reader: RawReader, layout: RawLayout) -> list[object]:
    """Units of the channels: those of the arrays, None where one tells none, else the file's.

    Where an array of several channels tells one unit, as of a vector, it is that of all of them.
    """
    axes, stated = layout.state_axes, []
    for part in layout.parts:
        units = reader.array_attributes.get(part, {}).get("units")
        channels = reader.arrays[part].shape[axes.index("C")] if "C" in axes else 1
        stated += [units] * channels if units is None or isinstance(units, str) else [*units]
    if any(unit is not None for unit in stated):
        return stated
    units = reader.attributes.get("units", [])
    return [units] if isinstance(units, str) else [*units]


def _units(units: Iterable[object], path: Path, problem: Problem) -> dict[str, str]:
    """Channel to unit; none where nothing is said of them."""
    named = [None if unit is None else str(unit) for unit in units]
    if len(named) not in (0, len(problem.inputs)):
        raise DataInvalid(
            "there is not one unit for each channel",
            where=f"{path}: units",
            found=", ".join(map(str, named)),
            expected=f"{len(problem.inputs)}, of {', '.join(problem.inputs)}",
            fix="give units in this order",
        )
    pairs = zip(problem.inputs, named, strict=False)
    return {name: unit for name, unit in pairs if unit is not None}


def _load(path: Path) -> np.ndarray:
    with _opened(path):
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise _no_array(path, getattr(values, "dtype", "several arrays (.npz)"))
    return values


@contextmanager
def _opened(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise _no_array(path, error) from error


def _no_array(path: Path, found: object) -> DataInvalid:
    return DataInvalid(
        "the file is no array of numbers",
        where=path,
        found=found,
        expected="an .npy, .npz, HDF5 or Zarr file of real numbers",
        fix="save the array by numpy.save",
    )
