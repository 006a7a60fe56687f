"""Raw files, opened one way whatever their format: named arrays read by slices, and attributes.

Three formats are read: HDF5 (PDEBench's), PyTorch's ``.pt`` holding a dict of tensors, and ``.npz``.
Nothing is unpickled (``weights_only``, ``allow_pickle=False``), and nothing is made up: a file that
is truncated, or an HDF5 array some of whose chunks were never written and which HDF5 would present
as zeros, raises :class:`~ups_core.errors.DataInvalid`.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from ups_core.data.families.base import Family, RawLayout, check_kind
from ups_core.errors import DataInvalid

#: Cache for the chunks of one array that neighbouring reads share.
CHUNK_CACHE_BYTES = 32 * 2**20

HDF5_SUFFIXES = (".hdf5", ".h5")


class RawArray(Protocol):
    """What an array of a raw file looks like before any of it is read."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...


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

    def chunk_rows(self, name: str) -> int:
        """How many rows of the first axis are stored, hence read, together."""
        chunks = getattr(self.arrays[name], "chunks", None)
        return chunks[0] if chunks else 1

    def read(
        self, name: str, selection: tuple[slice, ...] = (), into: np.ndarray | None = None
    ) -> np.ndarray:
        """The selected block (unit steps only), in ``into`` if given, which must be contiguous."""
        array: Any = self.arrays[name]
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
    else:
        raise DataInvalid(
            "a raw file of unknown format",
            where=source,
            found=f"suffix {suffix!r}",
            expected=", ".join((*HDF5_SUFFIXES, ".pt", ".npz")),
            fix="set spec.source.pattern so that it matches data files only",
        )


def choose_layout(family: Family, reader: RawReader) -> RawLayout:
    """The first of the family's layouts whose arrays are all there, with the right number of axes."""
    check_kind(family)
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
            return layout
    array, found, expected = problems[0] or ("", "", "")
    raise DataInvalid(
        f"the file does not have the {candidates[0].name} layout of family {family.name}",
        where=f"{reader.source}:{array}",
        found=found,
        expected=expected,
        fix="set spec.family, or spec.source.pattern, so that family and files belong together",
    )


def _layout_problem(layout: RawLayout, reader: RawReader) -> tuple[str, str, str] | None:
    """(array, found, expected) of the first thing that is not as the layout says."""
    wanted = [(layout.state, layout.state_axes)]
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
