"""Moving one state array from its raw file into its canonical one, block by block.

A *tile* is what is written at once; it is also one shard of a Zarr array. A *read* is what is read at
once: blocks are read whole and strided in memory, since a strided read in HDF5 visits every element
on its own and is some ten times slower. Both buffers are made once, so that memory depends on the
block and not on the file; where raw and canonical bytes are the same, a read lands in the tile itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ups_core.data.canonical import BLOCK_BYTES
from ups_core.data.raw import RawReader

#: Default size of a chunk, and of a Zarr shard, counted in the raw bytes it comes from, so that a coarse
#: stride does not collect more and more input into one shard; but no chunk is smaller than the floor.
#: Zarr holds several copies of the shard that it writes: larger ones cost memory, smaller ones time.
CHUNK_BYTES = 8 * 2**20
CHUNK_FLOOR_BYTES = 2**20


@dataclass(frozen=True)
class Selection:
    """One raw array and what of it becomes canonical: ``samples`` of it, every n-th node of an axis."""

    reader: RawReader
    name: str
    #: Axes as stored, e.g. ``NTX``, and as wanted, e.g. ``NTCX``.
    axes: str
    target_axes: str
    samples: range
    strides: Mapping[str, int]
    dtype: np.dtype

    @property
    def raw_shape(self) -> tuple[int, ...]:
        return self.reader.arrays[self.name].shape

    @property
    def raw_dtype(self) -> np.dtype:
        return np.dtype(self.reader.arrays[self.name].dtype)

    @property
    def sizes(self) -> dict[str, int]:
        """Raw size of each axis, of the selected samples."""
        return {"C": 1, **dict(zip(self.axes, self.raw_shape, strict=True)), "N": len(self.samples)}

    @property
    def shape(self) -> tuple[int, ...]:
        """Canonical shape."""
        return tuple(-(-self.sizes[axis] // self.stride(axis)) for axis in self.target_axes)

    @property
    def is_plain(self) -> bool:
        """Whether a raw block and its canonical block are the same bytes."""
        return (
            self.axes in (self.target_axes, self.target_axes.replace("C", ""))
            and all(self.stride(axis) == 1 for axis in self.axes)
            and self.raw_dtype == self.dtype
        )

    def stride(self, axis: str) -> int:
        return self.strides.get(axis, 1)

    def bytes_without(self, axes: str) -> int:
        """Raw bytes of one entry along the named axes and all entries along the others."""
        kept = [size for axis, size in self.sizes.items() if axis not in axes]
        return int(np.prod(kept, dtype=np.int64)) * self.raw_dtype.itemsize

    def block_shape(self, samples: range, frames: range | None) -> tuple[int, ...]:
        sizes = self.sizes | {"N": len(samples)} | ({} if frames is None else {"T": len(frames)})
        return tuple(sizes[axis] for axis in self.axes)

    def read(self, samples: range, frames: range | None, into: np.ndarray) -> None:
        """Fill ``into`` with raw ``frames`` of ``samples`` (counted among the selected), axes as stored."""
        start = self.samples.start
        parts = {"N": slice(start + samples.start, start + samples.stop)}
        if frames is not None:
            parts["T"] = slice(frames.start, frames.stop)
        self.reader.read(self.name, tuple(parts.get(axis, slice(None)) for axis in self.axes), into)

    def canonical(self, block: np.ndarray) -> np.ndarray:
        """A raw block as a view with canonical axes, all nodes."""
        view, axes = (block, self.axes) if "C" in self.axes else (block[..., None], self.axes + "C")
        return view.transpose([axes.index(axis) for axis in self.target_axes])

    def strided(self, view: np.ndarray) -> np.ndarray:
        """The nodes to keep of a view with canonical axes."""
        return view[tuple(slice(None, None, self.stride(axis)) for axis in self.target_axes)]


@dataclass(frozen=True)
class Tiling:
    """How an array is cut. ``chunk`` and ``tile`` are canonical shapes; ``read_rows`` counts samples."""

    chunk: tuple[int, ...]
    tile: tuple[int, ...]
    read_rows: int


def tiling(selection: Selection, chunk_rows: int | None, *, chunked: bool, sharded: bool) -> Tiling:
    """Tiles of whole samples; of some frames where one raw sample alone is larger than a block.

    Only a shard has to be written at once: elsewhere a tile is no more than what one read fills, so
    that a coarse stride does not make the buffer grow with the file.
    """
    shape, itemsize = selection.shape, selection.dtype.itemsize
    raw_sample = selection.bytes_without("N")
    if "T" in selection.axes and raw_sample > BLOCK_BYTES and chunk_rows is None:
        per_frame = selection.bytes_without("NT") * selection.stride("T")
        frames = min(max(BLOCK_BYTES // per_frame, 1), shape[1])
        return Tiling(chunk=(1, frames, *shape[2:]), tile=(1, frames, *shape[2:]), read_rows=1)
    sample = int(np.prod(shape[1:], dtype=np.int64)) * itemsize
    read_rows = max(BLOCK_BYTES // raw_sample, 1)
    # Samples that share a stored chunk are decompressed together: read them together, within reason.
    stored = selection.reader.chunk_rows(selection.name)
    if stored * raw_sample <= 4 * BLOCK_BYTES:
        read_rows = max(read_rows // stored, 1) * stored
    default_rows = max(CHUNK_BYTES // raw_sample, CHUNK_FLOOR_BYTES // sample, 1)
    rows = min(chunk_rows or default_rows, shape[0]) if chunked else 1
    # A tile is a whole number of chunks; as a shard even where that is more than the array holds.
    wanted = default_rows if sharded else read_rows
    tile_rows = min(max(wanted // rows, 1), -(-shape[0] // rows)) * rows
    return Tiling((rows, *shape[1:]), (tile_rows, *shape[1:]), min(read_rows, tile_rows))


@dataclass
class Observed:
    """What a pass over the raw values learns beside the canonical array."""

    #: SHA-256 of each sample's raw frame 0 (steady: of the raw sample), bytes as stored.
    states: list[str]
    #: (N, T, C) spatial mean of each kept frame over all raw nodes, float64.
    means: np.ndarray | None


def stream(
    selection: Selection,
    cut: Tiling,
    array: Any,
    *,
    hash_states: bool,
    spatial_means: bool,
    advance: Callable[[int], None],
) -> Observed:
    """Fill the canonical ``array``; ``advance(bytes)`` after each read."""
    shape, timed = selection.shape, "T" in selection.axes
    buffer = np.empty(cut.tile, selection.dtype)
    scratch = None if selection.is_plain else _scratch(selection, cut)
    observed = Observed([], np.empty(shape[:3], np.float64) if spatial_means else None)
    for rows, frames in _tiles(shape, cut.tile, timed):
        target = buffer[: len(rows)] if frames is None else buffer[: len(rows), : len(frames)]
        raw_frames = None if frames is None else _raw_frames(selection, frames)
        for samples in _split(rows, cut.read_rows):
            part = target[samples.start - rows.start : samples.stop - rows.start]
            block_shape = selection.block_shape(samples, raw_frames)
            block = part.reshape(block_shape) if scratch is None else _shaped(scratch, block_shape)
            selection.read(samples, raw_frames, block)
            whole = selection.canonical(block)
            if scratch is not None:
                np.copyto(part, selection.strided(whole), casting="unsafe")
            if hash_states and (frames is None or frames.start == 0):
                observed.states += [_state_hash(sample[0] if timed else sample) for sample in whole]
            if observed.means is not None and frames is not None:
                kept = whole[:, :: selection.stride("T")]
                rows_means = observed.means[samples.start : samples.stop, frames.start : frames.stop]
                rows_means[...] = kept.mean(axis=tuple(range(3, kept.ndim)), dtype=np.float64)
            advance(block.nbytes)
        where = (slice(rows.start, rows.stop),)
        array[where if frames is None else (*where, slice(frames.start, frames.stop))] = target
    return observed


def _tiles(
    shape: tuple[int, ...], tile: tuple[int, ...], timed: bool
) -> Iterator[tuple[range, range | None]]:
    for rows in _split(range(shape[0]), tile[0]):
        for frames in _split(range(shape[1]), tile[1]) if timed else (None,):
            yield rows, frames


def _split(whole: range, size: int) -> Iterator[range]:
    for start in range(whole.start, whole.stop, size):
        yield range(start, min(start + size, whole.stop))


def _raw_frames(selection: Selection, frames: range) -> range:
    step = selection.stride("T")
    return range(frames.start * step, min(frames.stop * step, selection.sizes["T"]))


def _scratch(selection: Selection, cut: Tiling) -> np.ndarray:
    """A buffer for the largest read."""
    frames = _raw_frames(selection, range(cut.tile[1])) if "T" in selection.axes else None
    rows = range(min(cut.read_rows, selection.shape[0]))
    return np.empty(int(np.prod(selection.block_shape(rows, frames), dtype=np.int64)), selection.raw_dtype)


def _shaped(scratch: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return scratch[: int(np.prod(shape, dtype=np.int64))].reshape(shape)


def _state_hash(state: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(state).data).hexdigest()
