"""A small cached dataset with known solutions, surrogates of known quality, and a context to run steps in."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ups_core.data.cache import normaliser as statistics
from ups_core.data.families import family as family_of
from ups_core.models.problem import Problem
from ups_core.train.normaliser import Normaliser

BETA, DT = 0.1, 0.05


def files_in(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]


@dataclass(frozen=True)
class Folder:
    """Stands for a published object: its files lie in a local folder."""

    path: Path
    manifest: Any = None

    def folder(self, work: Path) -> Path:
        return self.path

    @property
    def digest(self) -> str:
        return "1" * 64

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))


def context(out: Path, recipe: Mapping[str, Any], **inputs: Path) -> Any:
    """What a step is given."""
    out.mkdir(parents=True, exist_ok=True)
    objects = {
        role: Folder(path, SimpleNamespace(step=role, key="0" * 64, recipe={"seed": 7}, files=files_in(path)))
        for role, path in inputs.items()
    }
    return SimpleNamespace(
        recipe=dict(recipe), options={}, inputs=objects, out=out, work=out, progress=lambda *_: None
    )


def advection(folder: Path, *, frames: int = 13, points: int = 32, tests: int = 6) -> Path:
    """Exact travelling waves, u_t + BETA u_x = 0 on the unit interval."""
    x, t = np.arange(points) / points, np.arange(frames) * DT
    rng = np.random.default_rng(0)
    sizes = {"train": 8, "val": 2, "test": tests, "far": 3}
    for name, count in sizes.items():
        phase, size = rng.uniform(0, 2 * np.pi, (2, count, 4))
        u = np.zeros((count, frames, 1, points))
        for i in range(count):
            for j in range(4):
                u[i, :, 0] += (
                    size[i, j] / (j + 1) * np.sin(2 * np.pi * (j + 1) * (x - BETA * t[:, None]) + phase[i, j])
                )
            u[i] += rng.normal()
        _save(folder / name, u=u, parameters=np.full((count, 1), BETA), x=x, t=t)
    return _describe(folder, "advection1d", False, "X", sizes, u.shape[1:], ["beta"], {"X": "periodic"}, DT)


def darcy(folder: Path, *, points: int = 16) -> Path:
    """Products of sines as solutions of constant media; a further test set on twice the grid."""
    rng = np.random.default_rng(0)
    sizes = {"train": 8, "val": 2, "test": 5, "test32": 4}
    for name, count in sizes.items():
        n = points * 2 if name == "test32" else points
        x = np.arange(n) / n
        a = rng.uniform(0.5, 2.0, (count, 1, 1, 1)) * np.ones((1, 1, n, n))
        u = np.outer(np.sin(np.pi * x), np.sin(np.pi * x)) / a
        _save(folder / name, u=u, a=a, parameters=np.ones((count, 1)), x=x, y=x)
    walls = {"X": "dirichlet", "Y": "dirichlet"}
    return _describe(folder, "darcy2d", True, "XY", sizes, (1, points, points), ["beta"], walls, None)


def _save(folder: Path, **arrays: np.ndarray) -> None:
    folder.mkdir(parents=True)
    rows = [{"file": f"{folder.name}.h5", "index": i} for i in range(len(arrays["u"]))]
    (folder / "samples.json").write_text(json.dumps(rows))
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values.astype(np.float32 if values.ndim > 1 else np.float64))


def _describe(
    folder: Path,
    family: str,
    steady: bool,
    space: str,
    sizes: Mapping[str, int],
    shape: tuple[int, ...],
    parameters: list[str],
    boundary: dict[str, str],
    dt: float | None,
) -> Path:
    described = {
        "family": family,
        "kind": "grid",
        "steady": steady,
        "space": space,
        "fields": [{"name": "u", "unit": "1", "label": "u"}],
        "inputs": [{"name": "a", "unit": "1", "label": "a"}] if steady else [],
        "parameters": parameters,
        "boundary": boundary,
        "dt": dt,
        "splits": {
            name: {"samples": count, "shape": list(np.load(folder / name / "u.npy", mmap_mode="r").shape[1:])}
            for name, count in sizes.items()
        },
    }
    (folder / "dataset.json").write_text(json.dumps(described))
    (folder / "normaliser.json").write_text(json.dumps(statistics(folder / "train", family_of(family))))
    (folder / "model.json").write_text(json.dumps(trained_on(folder)))
    return folder


def trained_on(folder: Path) -> dict[str, Any]:
    """What the ``model.json`` of a model that was trained on this data says of its normaliser."""
    dataset = json.loads((folder / "dataset.json").read_text())
    problem = Problem.read(folder, family_of(dataset["family"]))
    parameters = np.load(folder / "train" / "parameters.npy")
    own = Normaliser.of(json.loads((folder / "normaliser.json").read_text()), problem, parameters)
    told = {"problem": json.loads(json.dumps(problem.to_dict()))}
    return {**told, "normaliser": own.to_dict(), "normaliserSha256": own.sha256}


@dataclass
class Wave:
    """The exact advection step, times ``gain``: its error grows in a known way."""

    gain: float = 1.0
    nan_after: int | None = None
    stochastic: bool = False
    leads: tuple[int, ...] = (1,)

    def rollout(
        self, u0: np.ndarray, steps: int, parameters: np.ndarray | None = None, every: int = 1
    ) -> np.ndarray:
        assert parameters is not None
        assert parameters.shape == (len(u0), 1)
        frames, u = [], u0.astype(np.float64)
        k = np.arange(u.shape[-1] // 2 + 1)
        for step in range(steps):
            modes = np.fft.rfft(u, axis=-1) * np.exp(-2j * np.pi * k * BETA * DT * every)
            u = np.fft.irfft(modes, n=u.shape[-1], axis=-1) * self.gain
            if self.nan_after is not None and step >= self.nan_after:
                u = u * np.nan
            frames.append(u)
        return np.stack(frames, axis=1).astype(np.float32)


@dataclass
class Noisy(Wave):
    """The exact step, and an ensemble that is as wrong as it is spread: truth and members are drawn alike."""

    noise: float = 0.1
    stochastic: bool = True
    members: int = 19

    def ensemble(
        self,
        given: np.ndarray,
        steps: int,
        members: int | None = None,
        parameters: np.ndarray | None = None,
        seed: int = 0,
    ) -> np.ndarray:
        mean = self.rollout(given, steps, parameters)  # (N, T, C, X)
        return mean[:, None] + self.noise * np.random.default_rng(seed).normal(
            size=(len(mean), members or self.members, *mean.shape[1:])
        )


@dataclass
class Medium:
    """The exact solution of a constant medium, times ``gain``."""

    gain: float = 1.0
    stochastic: bool = False

    def solve(self, a: np.ndarray, parameters: np.ndarray | None = None) -> np.ndarray:
        x = np.arange(a.shape[-1]) / a.shape[-1]
        return (self.gain * np.outer(np.sin(np.pi * x), np.sin(np.pi * x)) / a).astype(np.float32)


def use_model(monkeypatch: pytest.MonkeyPatch, model: Any, fno: Any = None) -> None:
    """Let ``Surrogate.load`` give ``model``, and ``fno`` from a folder of that name."""
    module = ModuleType("ups_core.surrogate")

    def load(folder: Path, extrapolate: bool = False) -> Any:
        return fno if folder.name == "fno" else model

    module.Surrogate = SimpleNamespace(load=load)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ups_core.surrogate", module)
