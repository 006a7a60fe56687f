"""Raw files, opened one way whatever their format: named arrays read by slices, and attributes.

Four formats are read: HDF5 (PDEBench's), PyTorch's ``.pt`` holding a dict of tensors, ``.npz`` and Zarr
(what the converter writes). Nothing is unpickled (``weights_only``, ``allow_pickle=False``), and nothing
is made up: a file that is truncated, or an array some of whose chunks were never written and which HDF5
and Zarr would present as zeros, raises :class:`~ups_core.errors.DataInvalid`.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from ups_core.errors import DataInvalid

#: Cache for the chunks of one array that neighbouring reads share.
CHUNK_CACHE_BYTES = 32 * 2**20

HDF5_SUFFIXES = (".hdf5", ".h5")
ZARR_SUFFIX = ".zarr"


class RawArray(Protocol):
    """What an array of a raw file looks like before any of it is read."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...


@dataclass(frozen=True)
class Joined:
    """Several arrays of a file as one, side by side along ``axis``, which they lack where ``stacked``."""

    parts: tuple[str, ...]
    axis: int
    stacked: bool
    shape: tuple[int, ...]
    dtype: np.dtype


class RawReader:
    """An open raw file. ``arrays`` holds the numeric arrays, ``attributes`` all that is no array."""

    def __init__(
        self,
        source: str,
        arrays: Mapping[str, Any],
        attributes: Mapping[str, Any],
        array_attributes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.source = source
        self.arrays: Mapping[str, RawArray] = arrays
        self.attributes = attributes
        self.array_attributes = array_attributes or {}

    def join(self, name: str, parts: Sequence[str], axes: str) -> None:
        """Have ``parts``, one after the other along the axis C of ``axes``, as one more array ``name``.

        Parts that lack this axis are stacked along it. Nothing is read. Raises :class:`DataInvalid` where
        they differ in type, or in shape along another axis.
        """
        arrays, at = [self.arrays[part] for part in parts], axes.index("C")
        first = arrays[0]
        stacked = len(first.shape) < len(axes)
        after = at if stacked else at + 1
        wanted = [*first.shape[:at], *([] if stacked else ["C"]), *first.shape[after:]]
        for part, array in zip(parts, arrays, strict=True):
            same = array.shape[:at] == first.shape[:at] and array.shape[after:] == first.shape[after:]
            if not same or array.dtype != first.dtype:
                raise DataInvalid(
                    "arrays of one state do not belong together",
                    where=f"{self.source}:{part}",
                    found=f"shape {array.shape}, {array.dtype}",
                    expected=f"shape ({', '.join(map(str, wanted))}), {first.dtype}, as {parts[0]} has",
                    fix="make the file again with arrays of the same samples, nodes and type",
                )
        fields = len(parts) if stacked else sum(array.shape[at] for array in arrays)
        shape = (*first.shape[:at], fields, *first.shape[after:])
        self.arrays = {**self.arrays, name: Joined(tuple(parts), at, stacked, shape, first.dtype)}

    def chunk_rows(self, name: str) -> int:
        """How many rows of the first axis are stored, hence read, together."""
        array = self.arrays[name]
        if isinstance(array, Joined):
            return max(map(self.chunk_rows, array.parts))
        chunks = getattr(array, "chunks", None)
        return chunks[0] if chunks else 1

    def read(
        self, name: str, selection: tuple[slice, ...] = (), into: np.ndarray | None = None
    ) -> np.ndarray:
        """The selected block (unit steps only), in ``into`` if given, which must be contiguous.

        Of a joined array the selection takes all of the axis along which it is joined.
        """
        array: Any = self.arrays[name]
        if isinstance(array, Joined):
            return self._read_joined(array, selection, into)
        try:
            if isinstance(array, h5py.Dataset):
                if into is None:
                    return array[selection]
                array.read_direct(into, selection, np.s_[...])
                return into
            block = np.asarray(array[selection])
        except (OSError, RuntimeError, ValueError) as error:
            raise DataInvalid(
                "an array cannot be read",
                where=f"{self.source}:{name}",
                found=_first_line(error),
                expected=f"an array of shape {array.shape}",
                fix="fetch the file again: it is truncated or corrupt",
            ) from error
        if into is None:
            return block
        into[...] = block
        return into

    def _read_joined(
        self, joined: Joined, selection: tuple[slice, ...], into: np.ndarray | None
    ) -> np.ndarray:
        at = joined.axis
        own = selection[:at] + selection[at + 1 :] if joined.stacked else selection
        blocks = [self.read(part, own) for part in joined.parts]
        return np.stack(blocks, at, out=into) if joined.stacked else np.concatenate(blocks, at, out=into)


@contextmanager
def open_raw(path: Path, source: str) -> Iterator[RawReader]:
    """Open a raw file by its suffix. ``source`` is its name in messages and in the index."""
    suffix = Path(source).suffix.lower()
    if suffix in HDF5_SUFFIXES:
        with _opened(source, "an HDF5 file"):
            file = h5py.File(path, "r", rdcc_nbytes=CHUNK_CACHE_BYTES)
        with file:
            yield _hdf5_reader(file, source)
    elif suffix == ".pt":
        yield RawReader(source, _torch_arrays(path, source), {})
    elif suffix == ".npz":
        yield RawReader(source, _npz_arrays(path, source), {})
    elif suffix == ZARR_SUFFIX:
        yield _zarr_reader(path, source)
    else:
        raise DataInvalid(
            "a raw file of unknown format",
            where=source,
            found=f"suffix {suffix!r}",
            expected=", ".join((*HDF5_SUFFIXES, ".pt", ".npz", ZARR_SUFFIX)),
            fix="set spec.source.pattern so that it matches data files only",
        )


@contextmanager
def _opened(source: str, expected: str) -> Iterator[None]:
    """Turn the many ways in which a broken file announces itself into one error."""
    try:
        yield
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        EOFError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        raise DataInvalid(
            "a raw file cannot be opened",
            where=source,
            found=_first_line(error),
            expected=expected,
            fix="fetch the file again: it is truncated or corrupt",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# ---------------------------------------------------------------------------------------- HDF5


def _hdf5_reader(file: h5py.File, source: str) -> RawReader:
    arrays: dict[str, h5py.Dataset] = {}
    attributes: dict[str, Any] = {}
    array_attributes: dict[str, dict[str, Any]] = {}

    def visit(name: str, item: Any) -> None:
        own = {key: _plain(value) for key, value in item.attrs.items()}
        if isinstance(item, h5py.Dataset):
            array_attributes[name] = own
            if item.dtype.kind in "fiubc":
                _check_stored(item, f"{source}:{name}")
                arrays[name] = item
            elif item.shape is not None:  # text: configurations and notes
                attributes[name] = _plain(
                    np.asarray(item.asstr()[...]) if item.dtype.kind in "OS" else item[...]
                )
        else:
            attributes.update({f"{name}/{key}": value for key, value in own.items()})

    with _opened(source, "an HDF5 file"):
        attributes.update({key: _plain(value) for key, value in file.attrs.items()})
        file.visititems(visit)
    return RawReader(source, arrays, attributes, array_attributes)


def _check_stored(array: h5py.Dataset, where: str) -> None:
    """HDF5 reads what was never written as zeros, and follows references to other files. We do neither."""
    if array.is_virtual or array.external:
        raise DataInvalid(
            "an array lives in another file",
            where=where,
            found="a virtual or external HDF5 array",
            expected="the values in the file itself",
            fix="copy the arrays into one file, for example with h5repack",
        )
    if array.size and array.chunks is None and array.id.get_storage_size() == 0:
        written, whole = 0, 1
    elif array.size and array.chunks is not None:
        whole = int(
            np.prod([-(-size // chunk) for size, chunk in zip(array.shape, array.chunks, strict=True)])
        )
        written = array.id.get_num_chunks()
    else:
        return
    _check_whole(written, whole, where)


def _check_whole(written: int, whole: int, where: str) -> None:
    if written < whole:
        raise DataInvalid(
            "an array was never written whole",
            where=where,
            found=f"{written} of {whole} blocks",
            expected=f"all {whole}",
            fix="make the file again: its writer stopped early",
        )


def _plain(value: Any) -> Any:
    """An attribute as JSON can hold it."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()] if value.ndim else _plain(value.item())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) else str(value)


# ---------------------------------------------------------------------------------------- Zarr


def _zarr_reader(path: Path, source: str) -> RawReader:
    import zarr

    arrays: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    with _opened(source, "a Zarr group"):
        group = zarr.open_group(str(path), mode="r")
        members = sorted(group.arrays())
        attributes.update({key: _plain(value) for key, value in group.attrs.items()})
        for name, array in members:
            if array.dtype.kind in "fiubc":
                arrays[name] = array
            else:  # text
                attributes[name] = _plain(np.asarray(array[...]))
    for name, array in arrays.items():
        # A shard is written whole, and counts as all the chunks that it has room for.
        outer = array.shards or array.chunks
        shards = [-(-size // width) for size, width in zip(array.shape, outer, strict=True)]
        room = [width // chunk for width, chunk in zip(outer, array.chunks, strict=True)]
        _check_whole(array.nchunks_initialized, math.prod(shards) * math.prod(room), f"{source}:{name}")
    own = {name: {key: _plain(value) for key, value in array.attrs.items()} for name, array in members}
    return RawReader(source, arrays, attributes, own)


# ------------------------------------------------------------------------------ PyTorch and NumPy


def _torch_arrays(path: Path, source: str) -> dict[str, np.ndarray]:
    """The tensors of a ``.pt`` file, mapped rather than loaded where the format allows it."""
    import torch

    with _opened(source, "a dict of tensors written by torch.save"):
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    tensors = content if isinstance(content, dict) else {}
    arrays = {str(name): value.detach().numpy() for name, value in tensors.items() if torch.is_tensor(value)}
    if not arrays:
        raise DataInvalid(
            "a .pt file without arrays",
            where=source,
            found=type(content).__name__,
            expected="a dict of tensors",
            fix="write the file with torch.save({'x': ..., 'y': ...}, path)",
        )
    return arrays


def _npz_arrays(path: Path, source: str) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file; the format is one compressed stream, so they are held in memory."""
    with _opened(source, "an .npz file without pickled objects"), np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
