"""A published data set as numpy arrays, read when they are asked for.

>>> import ups_core  # doctest: +SKIP
>>> data = ups_core.open_dataset("ups-store/datasets/default/burgers-demo/1.json")  # doctest: +SKIP
>>> data.splits, data.family.name  # doctest: +SKIP
({'test': 32, 'train': 116, 'val': 12}, 'burgers1d')
>>> data["train"].u.shape, data["train"].u[:4, 0].shape  # doctest: +SKIP
((116, 41, 1, 128), (4, 1, 128))
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ups_core.data.canonical import coordinate_axes, main_arrays, open_arrays
from ups_core.data.families import Family
from ups_core.data.families import family as family_of
from ups_core.data.points import joined, read_places
from ups_core.data.validate import parameter_values
from ups_core.errors import InvalidSpec, NotFound
from ups_core.paths import cache_folder
from ups_core.store import PublishedObject, open_object, open_store, open_uri


def open_dataset(uri: str, work: Path | None = None) -> PublishedDataset:
    """Open a data set by the address of its registry entry or of its validated object.

    ``uri`` is ``STORE/datasets/<namespace>/<name>/<version>.json`` or ``STORE/objects/validate/<key>``,
    STORE a folder, ``file://`` or ``s3://``. Files of an S3 store are kept below ``work`` (default: the
    user's cache folder) as they are needed; a folder's are read where they are. Raises NotFound where
    there is no such data set, DataInvalid where a file differs from its manifest.
    """
    root, marker, rest = uri.rpartition("datasets/")
    if marker and rest.endswith(".json"):
        store = open_store(root.rstrip("/") or ".")
        validated = open_object(store, json.loads(store.get(f"datasets/{rest}"))["object"])
    else:
        validated = open_uri(uri)
    if validated.manifest.step != "validate":
        raise InvalidSpec(
            "not a data set",
            where=uri,
            found=f"the object of a {validated.manifest.step} step",
            expected="STORE/datasets/<namespace>/<name>/<version>.json or STORE/objects/validate/<key>",
            fix="ups status prints the addresses of data sets",
        )
    key = validated.manifest.inputs["data"]["key"]
    converted = open_object(validated.store, f"objects/convert/{key}")
    return PublishedDataset(validated, converted, work or cache_folder("objects"))


@dataclass(frozen=True)
class PublishedDataset:
    """A validated data set: ``data["train"]`` is a :class:`Split`."""

    validated: PublishedObject
    converted: PublishedObject
    work: Path

    @cached_property
    def description(self) -> dict[str, Any]:
        """``dataset.json``: fields, units, parameters, shapes and samples of each split."""
        return self.validated.json("dataset.json")

    @cached_property
    def report(self) -> dict[str, Any]:
        """``report.json``: what validation measured."""
        return self.validated.json("report.json")

    @property
    def family(self) -> Family:
        return family_of(self.description["family"])

    @property
    def splits(self) -> dict[str, int]:
        """Name to number of samples."""
        return {name: split["samples"] for name, split in self.description["splits"].items()}

    @cached_property
    def _parts(self) -> dict[str, list[dict[str, Any]]]:
        return self.validated.json("splits.json")

    @cached_property
    def _entries(self) -> dict[str, dict[str, Any]]:
        return {entry["name"]: entry for entry in self.converted.json("index.json")["files"]}

    def __getitem__(self, split: str) -> Split:
        if split not in self._parts:
            raise NotFound(
                f"the data set has no split {split}", where=self.validated.uri, found=", ".join(self._parts)
            )
        return Split(self, tuple((part["file"], tuple(part["indices"])) for part in self._parts[split]))

    def folder_with(self, file: str) -> Path:
        """A local folder that holds this converted file whole."""
        names = [n for n in self.converted.manifest.files if n == file or n.startswith(f"{file}/")]
        for name in names:
            local = self.converted.file(name, self.work)
        return Path(str(local)[: -len(name)])


@dataclass(frozen=True)
class Split:
    """The samples of one split, in order of file and index."""

    dataset: PublishedDataset
    parts: tuple[tuple[str, tuple[int, ...]], ...]

    def __len__(self) -> int:
        return sum(len(indices) for _, indices in self.parts)

    @property
    def u(self) -> LazyArray:
        """The state (N, T, C, X[, Y]); of a steady problem the solution (N, C, X[, Y])."""
        return LazyArray(self, "u")

    @property
    def a(self) -> LazyArray:
        """The input (N, C, X[, Y]) of a steady problem."""
        if "a" not in main_arrays(self.dataset.family):
            raise NotFound(f"family {self.dataset.family.name} has no input array", expected="u")
        return LazyArray(self, "a")

    @cached_property
    def coordinates(self) -> dict[str, np.ndarray]:
        """``x``, in two dimensions ``y``, in three ``z``, and ``t`` where there is time: float64 nodes.

        On a mesh ``x`` and ``y`` are (M,) where all samples share the points, else (N, M). Particles have
        ``t`` alone: their places are among the fields.
        """
        family, places = self.dataset.family, []
        for file, indices in self.parts if family.kind == "mesh" else ():
            entry = self.dataset._entries[file]
            with open_arrays(self.dataset.folder_with(file), entry) as arrays:
                places.append(read_places(arrays, family, list(indices)))
        entry = self.dataset._entries[self.parts[0][0]]
        with open_arrays(self.dataset.folder_with(entry["name"]), entry) as arrays:
            nodes = {axis.lower(): arrays[axis.lower()][:] for axis in coordinate_axes(family)}
        return {**joined(places), **nodes}

    @cached_property
    def parameters(self) -> dict[str, np.ndarray]:
        """Name to (N,) float64 values of the physical parameters."""
        columns: dict[str, list[np.ndarray]] = {name: [] for name in self.dataset.family.parameters}
        for file, indices in self.parts:
            entry = self.dataset._entries[file]
            with open_arrays(self.dataset.folder_with(file), entry) as arrays:
                for name, values in parameter_values(arrays, entry, self.dataset.family).items():
                    columns[name].append(values[list(indices)])
        return {name: np.concatenate(values) for name, values in columns.items()}


@dataclass(frozen=True)
class LazyArray:
    """An array over all samples of a split, read when indexed: ``u[3]``, ``u[:8, 0]``, ``np.asarray(u)``."""

    split: Split
    name: str

    @property
    def _entry(self) -> Mapping[str, Any]:
        return self.split.dataset._entries[self.split.parts[0][0]]["arrays"][self.name]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.split), *self._entry["shape"][1:])

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self._entry["dtype"])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis or first is None:
            return self[:][key]
        wanted = np.arange(len(self))[first]
        values = self._read(np.atleast_1d(wanted))
        if np.ndim(wanted) == 0:
            return values[0][tuple(rest)]
        return values[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _read(self, wanted: np.ndarray) -> np.ndarray:
        """Samples by their number in the split, (n, ...)."""
        values = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        start = 0
        for file, indices in self.split.parts:
            rows = np.flatnonzero((wanted >= start) & (wanted < start + len(indices)))
            if len(rows):
                entry = self.split.dataset._entries[file]
                with open_arrays(self.split.dataset.folder_with(file), entry) as arrays:
                    for row in rows:
                        values[row] = arrays[self.name][indices[wanted[row] - start]]
            start += len(indices)
        return values
