"""Raw files as PDEBench lays them out: HDF5, float32 arrays, parameters as attributes of the file.

The same samples give the same bytes: no time stamps, one fixed file format version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from ups_core.errors import InvalidSpec

#: Samples are computed and written in blocks of at most this many bytes.
BLOCK_BYTES = 64 * 2**20


class RawFile:
    """A raw file being written; use as a context manager."""

    def __init__(self, path: Path, attributes: Mapping[str, float]) -> None:
        self._file = h5py.File(path, "w", libver=("v108", "v108"))
        for name, value in attributes.items():
            self._file.attrs[name] = value

    def __enter__(self) -> RawFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def create(self, name: str, shape: tuple[int, ...]) -> h5py.Dataset:
        """A contiguous float32 array, to be filled block by block."""
        return self._file.create_dataset(name, shape, np.float32, track_times=False)

    def write(self, name: str, values: np.ndarray) -> None:
        self._file.create_dataset(name, data=values.astype(np.float32), track_times=False)


def blocks(samples: int, values_per_sample: int) -> Iterator[range]:
    """Ranges of samples whose float32 arrays fit :data:`BLOCK_BYTES` (at least one sample each)."""
    size = max(BLOCK_BYTES // (4 * values_per_sample), 1)
    for start in range(0, samples, size):
        yield range(start, min(start + size, samples))


def positive(params: Mapping[str, float], name: str, *, below: float = np.inf) -> float:
    """The parameter ``name``, which has to be a positive finite number ``below`` this one."""
    value = float(params[name])
    if not 0 < value < below:
        raise _bad(name, value, "a positive number" + (f" below {below:g}" if below < np.inf else ""))
    return value


def finite(params: Mapping[str, float], name: str) -> float:
    """The parameter ``name``, which has to be a finite number."""
    value = float(params[name])
    if not np.isfinite(value):
        raise _bad(name, value, "a finite number")
    return value


def at_least_zero(params: Mapping[str, float], name: str) -> float:
    """The parameter ``name``, which has to be a finite number and not negative."""
    value = finite(params, name)
    if value < 0:
        raise _bad(name, value, "zero or a positive number")
    return value


def whole(params: Mapping[str, float], name: str, *, at_least: int) -> int:
    """The parameter ``name``, which has to be a whole number of at least ``at_least``."""
    value = float(params[name])
    if value != np.floor(value) or not at_least <= value < 2**31:
        raise _bad(name, value, f"a whole number, at least {at_least}")
    return int(value)


def _bad(name: str, value: float, expected: str) -> InvalidSpec:
    where = f"source.simulate.params.{name}"
    return InvalidSpec(
        f"{name} cannot be {value:g}", where=where, found=f"{value:g}", expected=expected, fix=f"edit {where}"
    )
