"""The canonical form of converted data: HDF5 or Zarr v3 files that look alike to whoever reads them.

Each file holds, as named arrays at its root,

- transient: ``u`` (N, T, C, X[, Y[, Z]]) and the coordinate ``t`` (T,);
- steady: the input ``a`` and the solution ``u``, both (N, C, X[, Y[, Z]]);
- ``x`` (X,), in two dimensions ``y`` (Y,) and in three ``z`` (Z,), float64 like ``t``;
- on a mesh of M points the axis M in place of X and Y, with ``x`` and ``y`` (M,), or (N, M) where each
  sample has points of its own; of M particles the axis M, and no ``x`` and ``y``, which are fields;
- every other array of the raw file under its own name.

``index.json`` beside the files lists them with shapes, dtypes, axes and physical parameters, and
``states.json`` gives the identity of each sample's initial state.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from ups_core.data.families.base import Family
from ups_core.errors import DataInvalid

Format = Literal["hdf5", "zarr"]
SUFFIX: Mapping[str, str] = {"hdf5": ".h5", "zarr": ".zarr"}

#: Arrays are moved in blocks of about this many bytes, so that memory does not grow with the data.
BLOCK_BYTES = 16 * 2**20

#: Suffix of the array of spatial means that a space-strided file keeps of each conserved state.
MEAN_SUFFIX = "_mean"


def state_axes(family: Family) -> str:
    """Axes of the canonical ``u``, e.g. ``NTCX``."""
    return ("NC" if family.steady else "NTC") + family.axes


def main_arrays(family: Family) -> dict[str, str]:
    """Name to axes of the arrays a surrogate learns from, in reading order."""
    axes = state_axes(family)
    return {"a": axes, "u": axes} if family.inputs else {"u": axes}


def coordinate_axes(family: Family) -> str:
    """Axis letters of arrays that have an array of nodes, named by the small letter."""
    space = family.space if family.kind == "grid" else ""
    return space if family.steady else "T" + space


def point_axes(family: Family) -> str:
    """Axis letters along which the points of a mesh lie, each in an array named by the small letter."""
    return family.space if family.kind == "mesh" else ""


class CanonicalWriter:
    """A canonical file being written. The same calls give the same bytes."""

    def __init__(self, path: Path, fmt: Format, compression: str | None = None) -> None:
        self._compression = compression
        self._hdf5: h5py.File | None = None
        if fmt == "hdf5":
            # A fixed format version and no time stamps keep the bytes reproducible.
            self._hdf5 = h5py.File(path, "w", libver=("v108", "v108"))
            self._attributes: Any = self._hdf5.attrs
        else:
            import zarr

            self._zarr = zarr.create_group(str(path), zarr_format=3)
            self._attributes = self._zarr.attrs

    def __enter__(self) -> CanonicalWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._hdf5 is not None:
            self._hdf5.close()

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Keep plain values under their names; HDF5 takes nested lists as JSON text."""
        for name, value in sorted(attributes.items()):
            if self._hdf5 is not None and isinstance(value, list):
                value = json.dumps(value)
            self._attributes[name] = value

    def create(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype | type | str,
        *,
        chunk: tuple[int, ...] | None = None,
        shard: tuple[int, ...] | None = None,
    ) -> Any:
        """An array to be filled by slices. HDF5 ignores ``shard``, and is contiguous without ``chunk``."""
        if self._hdf5 is not None:
            return self._hdf5.create_dataset(
                name,
                shape,
                np.dtype(dtype),
                chunks=chunk if shape and 0 not in shape else None,
                compression="gzip" if self._compression and chunk else None,
                compression_opts=4 if self._compression and chunk else None,
                track_times=False,
            )
        from zarr.codecs import ZstdCodec

        return self._zarr.create_array(
            name,
            shape=shape,
            dtype=np.dtype(dtype).newbyteorder("<"),
            chunks=chunk or tuple(max(size, 1) for size in shape),
            shards=shard,
            compressors=ZstdCodec(level=3) if self._compression else None,
            # An all-zero chunk is data like any other: store it, and skip the comparison with zero.
            config={"write_empty_chunks": True},
        )

    def write(self, name: str, values: np.ndarray) -> None:
        """A small array, whole."""
        array = self.create(name, values.shape, values.dtype)
        array[...] = values


@contextmanager
def open_arrays(folder: Path, entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The arrays of one file of the index, to be read by slices: ``arrays["u"][3:5]`` is a numpy array."""
    path = folder / entry["name"]
    with ExitStack() as stack:
        try:
            if path.suffix == ".zarr":
                import zarr

                group: Any = zarr.open_group(str(path), mode="r")
            else:
                group = stack.enter_context(h5py.File(path, "r"))
            arrays = {name: group[name] for name in entry["arrays"]}
        except (OSError, KeyError, ValueError) as error:
            raise DataInvalid(
                "a converted file cannot be read",
                where=entry["name"],
                found=str(error) or type(error).__name__,
                expected=f"arrays {', '.join(entry['arrays'])}",
                fix="ups verify --store STORE, then ups gc --damaged",
            ) from error
        yield arrays


def sample_blocks(shape: tuple[int, ...], itemsize: int, block_bytes: int = BLOCK_BYTES) -> Iterator[slice]:
    """Slices along the first axis that hold about ``block_bytes`` each, at least one sample."""
    per_sample = max(int(np.prod(shape[1:])) * itemsize, 1)
    rows = max(block_bytes // per_sample, 1)
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def write_json(path: Path, content: Any) -> None:
    """JSON with sorted keys and a final newline: the same content is the same bytes."""
    path.write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")
