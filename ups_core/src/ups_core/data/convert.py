"""The converter: any raw layout of a family in, canonical arrays out, in one streaming pass.

Beside the arrays it leaves the hash of each sample's raw frame 0, taken before any stride. That hash
is the identity of the initial state, by which :mod:`~ups_core.data.splits` keeps apart what must not
meet: the files of a multi-parameter set start from the same states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from ups_core.data.canonical import (
    MEAN_SUFFIX,
    SUFFIX,
    CanonicalWriter,
    Format,
    coordinate_axes,
    sample_blocks,
    state_axes,
)
from ups_core.data.families.base import Family, RawLayout
from ups_core.data.layout import choose_layout
from ups_core.data.parameters import find_parameter
from ups_core.data.points import places_of
from ups_core.data.raw import RawReader, open_raw
from ups_core.data.stream import Selection, stream, tiling
from ups_core.errors import DataInvalid, InvalidSpec

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ConvertOptions:
    """``spec.convert``: format, the samples and nodes to keep, type and storage of the state arrays."""

    format: Format = "hdf5"
    stride: Mapping[str, int] = field(default_factory=dict)
    limit: int | None = None
    samples: tuple[int, int] | None = None
    chunks: int | None = None
    dtype: Literal["float32", "float64"] = "float32"
    compression: Literal["gzip", "zstd"] | None = None

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> ConvertOptions:
        options = cls(**{**recipe, "samples": tuple(recipe["samples"]) if recipe.get("samples") else None})
        known = {"hdf5": "gzip", "zarr": "zstd"}[options.format]
        if options.compression not in (None, known):
            raise InvalidSpec(
                f"{options.format} files are not compressed with {options.compression}",
                where="spec.convert.compression",
                found=options.compression,
                expected=known,
                fix=f"set spec.convert.compression to {known}",
            )
        return options

    def sample_range(self, available: int, source: str) -> range:
        """Which samples of a file of ``available`` samples are kept: ``samples`` first, then ``limit``."""
        start, stop = self.samples or (0, available)
        if not start < stop <= available:
            raise InvalidSpec(
                "spec.convert.samples is not a range within the file",
                where=source,
                found=f"[{start}, {stop}]",
                expected=f"[start, stop] with 0 <= start < stop <= {available}, the file's samples",
                fix=f"set spec.convert.samples to [0, {available}]",
            )
        return range(start, min(stop, start + self.limit) if self.limit else stop)


def output_name(source: str, fmt: Format) -> str:
    """The converted file of a raw file: same folder and stem, the format's suffix."""
    return str(PurePosixPath(source).with_suffix(SUFFIX[fmt]))


def convert_file(
    path: Path, source: str, family: Family, options: ConvertOptions, out: Path, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """Convert one raw file into the folder ``out``. Returns its index entry and its samples' state hashes.

    ``source`` is the raw file's name in index and messages; ``progress(done, total)`` counts raw
    bytes. Raises :class:`DataInvalid` where the file is truncated, corrupt, of another layout, or
    lacks a parameter; :class:`InvalidSpec` where the options ask for samples that are not there.
    """
    with open_raw(path, source) as reader:
        layout = choose_layout(family, reader)
        available = _raw_size(reader, layout, "N")
        samples = options.sample_range(available, source)
        selections = _selections(reader, layout, family, options, samples)
        coordinates = _coordinates(reader, layout, family, options)
        places = places_of(reader, layout, family, options.stride, samples)
        parameters = {name: find_parameter(name, reader, layout, available) for name in family.parameters}
        name = output_name(source, options.format)
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        with CanonicalWriter(out / name, options.format, options.compression) as writer:
            writer.set_attributes(_kept_attributes(reader))
            arrays = {
                key: _write_small(writer, key, nodes, key.upper()) for key, nodes in coordinates.items()
            }
            for key, along in places.items():
                arrays[key] = _write_small(writer, key, along, "NM" if along.ndim == 2 else "M")
            states = _write_states(writer, selections, family, options, arrays, progress)
            used = {*layout.parts, layout.whole, layout.input, *layout.coordinates.values()}
            for key in sorted(set(reader.arrays) - used):
                kept = f"raw/{key}" if key in arrays else key
                arrays[kept] = _copy_array(writer, reader, key, kept, samples, available)
    entry = {
        "name": name,
        "source": source,
        "layout": layout.name,
        "samples": len(samples),
        "first_sample": samples.start,
        "arrays": arrays,
        "parameters": parameters,
    }
    return entry, states


def _raw_size(reader: RawReader, layout: RawLayout, axis: str) -> int:
    return reader.arrays[layout.whole].shape[layout.whole_axes.index(axis)]


def _selections(
    reader: RawReader, layout: RawLayout, family: Family, options: ConvertOptions, samples: range
) -> dict[str, Selection]:
    """Canonical name to raw array: ``a`` before ``u``."""
    raw = {"u": (layout.whole, layout.whole_axes)}
    if layout.input is not None and layout.input_axes is not None:
        raw = {"a": (layout.input, layout.input_axes), **raw}
    strides = {axis.upper(): step for axis, step in options.stride.items()}
    selections = {
        key: Selection(reader, array, axes, state_axes(family), samples, strides, np.dtype(options.dtype))
        for key, (array, axes) in raw.items()
    }
    for key, selection in selections.items():
        fields = family.inputs if key == "a" else family.fields
        _expect(
            selection.sizes["C"] == len(fields),
            "wrong number of fields",
            where=f"{reader.source}:{selection.name}",
            found=f"{selection.sizes['C']} channels",
            expected=f"{len(fields)}: {', '.join(item.name for item in fields)}",
            fix="set spec.family to the family of these files",
        )
        for axis, size in selection.sizes.items():
            wanted = _raw_size(reader, layout, axis) if axis in layout.whole_axes else size
            stored = dict(zip(selection.axes, selection.raw_shape, strict=True)).get(axis, size)
            _expect(
                axis == "C" or stored == wanted,
                "input and solution do not belong together",
                where=f"{reader.source}:{selection.name}",
                found=f"shape {selection.raw_shape}, {stored} along {axis}",
                expected=f"{wanted}, as {layout.whole} {reader.arrays[layout.whole].shape} has",
                fix="make the file again with arrays of the same samples and nodes",
            )
    return selections


def _coordinates(
    reader: RawReader, layout: RawLayout, family: Family, options: ConvertOptions
) -> dict[str, np.ndarray]:
    """Nodes of each axis, strided, float64. PDEBench stores T + 1 times for T frames: the last is dropped."""
    coordinates = {}
    for axis in coordinate_axes(family):
        size = _raw_size(reader, layout, axis)
        stored = layout.coordinates.get(axis)
        if stored is None and axis == "T" and layout.frame_interval is not None:
            nodes = np.arange(size) * layout.frame_interval
        elif stored is None:
            _expect(
                layout.nodes is not None and axis != "T",
                f"no coordinates for axis {axis}",
                where=reader.source,
                found=f"layout {layout.name}, which has none",
                expected=f"an array with the {size} nodes",
                fix="add the coordinate array to the file",
            )
            nodes = (np.arange(size) + (0.5 if layout.nodes == "centre" else 0.0)) / size
        else:
            nodes = reader.read(stored).astype(np.float64)
        _expect(
            len(nodes) == size or (axis == "T" and len(nodes) == size + 1),
            "a coordinate has the wrong length",
            where=f"{reader.source}:{stored}",
            found=f"{len(nodes)} nodes",
            expected=f"{size}{f' or {size + 1}' if axis == 'T' else ''}, for {layout.whole} along {axis}",
            fix="make the file again with one coordinate a node",
        )
        coordinates[axis.lower()] = np.ascontiguousarray(nodes[:size][:: options.stride.get(axis.lower(), 1)])
    return coordinates


def _write_states(
    writer: CanonicalWriter,
    selections: Mapping[str, Selection],
    family: Family,
    options: ConvertOptions,
    arrays: dict[str, Any],
    progress: Progress,
) -> list[str]:
    """Stream ``a`` and ``u``, add them to ``arrays``, and return the hashes of the initial states."""
    total = sum(selection.bytes_without("") for selection in selections.values())
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    states: list[str] = []
    chunked = options.format == "zarr" or options.chunks is not None or options.compression is not None
    identity = next(iter(selections))  # a steady problem starts from its input, a transient one from u
    for key, selection in selections.items():
        cut = tiling(selection, options.chunks, chunked=chunked, sharded=options.format == "zarr")
        array = writer.create(
            key, selection.shape, selection.dtype, chunk=cut.chunk if chunked else None, shard=cut.tile
        )
        strided = any(selection.stride(axis) > 1 for axis in family.axes)
        observed = stream(
            selection,
            cut,
            array,
            hash_states=key == identity,
            # A strided grid no longer shows whether the mean was kept: take it from all raw nodes.
            spatial_means=key == "u" and bool(family.conserved) and strided,
            advance=advance,
        )
        states += observed.states
        arrays[key] = _array_entry(selection.shape, selection.dtype, selection.target_axes)
        if observed.means is not None:
            arrays[key + MEAN_SUFFIX] = _write_small(writer, key + MEAN_SUFFIX, observed.means, "NTC")
    return states


def _write_small(writer: CanonicalWriter, name: str, values: np.ndarray, axes: str) -> dict[str, Any]:
    writer.write(name, values)
    return _array_entry(values.shape, values.dtype, axes)


def _copy_array(
    writer: CanonicalWriter, reader: RawReader, name: str, kept: str, samples: range, available: int
) -> dict[str, Any]:
    """Keep an array the family does not know. One row a raw sample means that it follows the samples."""
    raw = reader.arrays[name]
    dtype = np.dtype(raw.dtype)
    if not raw.shape:
        return _write_small(writer, kept, reader.read(name), "")
    per_sample = raw.shape[0] == available
    rows = samples if per_sample else range(raw.shape[0])
    shape = (len(rows), *raw.shape[1:])
    array = writer.create(kept, shape, dtype)
    for block in sample_blocks(shape, dtype.itemsize):
        array[block] = reader.read(name, (slice(rows.start + block.start, rows.start + block.stop),))
    return _array_entry(shape, dtype, "N" if per_sample else "")


def _array_entry(shape: tuple[int, ...], dtype: np.dtype, axes: str) -> dict[str, Any]:
    return {"shape": list(shape), "dtype": dtype.name, "axes": axes}


def _kept_attributes(reader: RawReader) -> dict[str, Any]:
    attributes = dict(reader.attributes)
    for array, own in reader.array_attributes.items():
        attributes.update({f"{array}/{key}": value for key, value in own.items()})
    return attributes


def _expect(condition: bool, what: str, **details: Any) -> None:
    if not condition:
        raise DataInvalid(what, **details)
