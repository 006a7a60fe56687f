"""Tiny raw files as PDEBench lays them out, and ways to spoil them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def burgers_values(samples: int = 6, frames: int = 11, nodes: int = 16, seed: int = 0) -> np.ndarray:
    """(N, T, X) float32 whose spatial mean is kept, like a solution's."""
    values = np.random.default_rng(seed).standard_normal((samples, frames, nodes))
    values -= values.mean(axis=2, keepdims=True)
    return values.astype(np.float32)


def write_burgers(
    path: Path,
    values: np.ndarray | None = None,
    *,
    nu: float | None = 0.01,
    more_times: int = 1,
    **create: Any,
) -> np.ndarray:
    """``more_times=1`` writes T + 1 times for T frames, as PDEBench does."""
    values = burgers_values() if values is None else values
    _, frames, nodes = values.shape
    with h5py.File(path, "w") as file:
        file.create_dataset("tensor", data=values, **create)
        file["x-coordinate"] = ((np.arange(nodes) + 0.5) / nodes).astype(np.float32)
        file["t-coordinate"] = (0.01 * np.arange(frames + more_times)).astype(np.float32)
        if nu is not None:
            file.attrs["Nu"] = nu
    return values


def write_darcy(
    path: Path, samples: int = 4, nodes: int = 8, beta: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    given = generator.integers(0, 2, (samples, nodes, nodes)).astype(np.float32)
    solution = generator.standard_normal((samples, 1, nodes, nodes)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["nu"], file["tensor"] = given, solution
        file["x-coordinate"] = file["y-coordinate"] = (np.arange(nodes) / nodes).astype(np.float32)
        file.attrs["beta"] = beta
    return given, solution


def spoil(path: Path, array: str, **how: Any) -> None:
    """Rewrite one array of a file: ``values=``, ``at=(index, value)``, or nothing to delete it."""
    with h5py.File(path, "a") as file:
        values = how.get("values", file[array][...])
        if "at" in how:
            index, value = how["at"]
            values[index] = value
        del file[array]
        if how:
            file[array] = values
