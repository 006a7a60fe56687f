"""Tiny cached datasets of exact solutions, and a training step around them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ups_core.steps.context import StepContext, StepSpec
from ups_core.store import RunRecord, Store, open_store, publish

#: Small enough to train in a second.


def heat(samples: int, seed: int, frames: int = 4, points: int = 16) -> np.ndarray:
    """Decaying waves on a periodic line, (N, T, 1, X): the mean is kept, mirrored negatives are solutions."""
    rng = np.random.default_rng(seed)
    x, t = np.arange(points) / points, 0.02 * np.arange(frames)
    u = rng.normal(size=(samples, 1, 1)) + np.zeros((1, frames, points))
    for k in (1, 2):
        decay = np.exp(-((2 * np.pi * k) ** 2) * 0.1 * t)[None, :, None]
        phase = rng.uniform(0, 2 * np.pi, size=(samples, 1, 1))
        u = u + rng.normal(size=(samples, 1, 1)) * decay * np.sin(2 * np.pi * k * x + phase)
    return u[:, :, None].astype(np.float32)


def write_cache(folder: Path, splits: dict[str, dict[str, np.ndarray]], described: dict[str, Any]) -> Path:
    """A folder as the ``cache`` step leaves it."""
    for name, arrays in splits.items():
        (folder / name).mkdir(parents=True)
        for key, values in arrays.items():
            np.save(folder / name / f"{key}.npy", values)

    def statistics(key: str, fields: str) -> dict[str, Any]:
        values = splits["train"].get(key)
        if values is None:
            return {}
        return {
            f["name"]: {"mean": float(values.mean()), "std": float(values.std())} for f in described[fields]
        }

    normaliser = {"fields": statistics("u", "fields"), "inputs": statistics("a", "inputs"), "split": "train"}
    (folder / "normaliser.json").write_text(json.dumps(normaliser))
    sizes = {n: {"samples": len(a["u"]), "shape": list(a["u"].shape[1:])} for n, a in splits.items()}
    (folder / "dataset.json").write_text(json.dumps({**described, "splits": sizes}))
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Callable[..., Path]:
    """``cache(name, splits, described)``: any other one."""
    return lambda name, *content: write_cache(tmp_path / name, *content)


@pytest.fixture
def line_cache(tmp_path: Path) -> Path:
    """A transient dataset in the guise of the family burgers1d."""
    points = {"x": (np.arange(16) + 0.5) / 16, "t": 0.02 * np.arange(4)}
    splits = {
        name: {"u": heat(n, seed), "parameters": np.full((n, 1), 0.01), **points}
        for name, n, seed in (("train", 12, 0), ("val", 4, 1), ("test", 4, 2))
    }
    described = {
        "family": "burgers1d",
        "kind": "grid",
        "steady": False,
        "space": "X",
        "fields": [{"name": "u", "unit": "m/s", "label": "u"}],
        "inputs": [],
        "parameters": ["Nu"],
        "boundary": {"X": "periodic"},
        "dt": 0.02,
    }
    return write_cache(tmp_path / "line", splits, described)


@pytest.fixture
def square_cache(tmp_path: Path) -> Path:
    """A steady dataset in the guise of the family darcy2d: -Δu = a with u = 0 on the walls."""
    x = np.arange(8) / 8
    modes = np.sin(np.pi * np.outer(np.arange(1, 4), x))  # (k, X)

    def samples(n: int, seed: int) -> dict[str, np.ndarray]:
        c = np.random.default_rng(seed).normal(size=(n, 3, 3))
        k2 = np.pi**2 * (np.arange(1, 4)[:, None] ** 2 + np.arange(1, 4) ** 2)
        u = np.einsum("nij,ix,jy->nxy", c / k2, modes, modes)[:, None].astype(np.float32)
        a = np.einsum("nij,ix,jy->nxy", c, modes, modes)[:, None].astype(np.float32)
        return {"u": u, "a": a, "parameters": np.ones((n, 1)), "x": x, "y": x}

    described = {
        "family": "darcy2d",
        "kind": "grid",
        "steady": True,
        "space": "XY",
        "fields": [{"name": "u", "unit": "1", "label": "u"}],
        "inputs": [{"name": "a", "unit": "1", "label": "a"}],
        "parameters": ["beta"],
        "boundary": {"X": "dirichlet", "Y": "dirichlet"},
        "dt": None,
    }
    return write_cache(tmp_path / "square", {"train": samples(12, 0), "val": samples(4, 1)}, described)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def context(store: Store, tmp_path: Path) -> Callable[..., StepContext]:
    """``context(config, stage=..., data=FOLDER, ...)``: a step's context, its inputs published."""
    made = iter(range(100))

    def make(
        config: dict[str, Any],
        *,
        step: str = "train",
        stage: str = "operator",
        key: str = "f" * 64,
        options: dict[str, Any] | None = None,
        **inputs: Path,
    ) -> StepContext:
        n = next(made)
        out, work = tmp_path / f"out{n}", tmp_path / f"work{n}"
        out.mkdir()
        work.mkdir()
        objects = {}
        for role, folder in inputs.items():
            copy = tmp_path / f"copy{n}-{role}"
            copy.mkdir()
            for path in folder.rglob("*"):
                if path.is_file():
                    target = copy / path.relative_to(folder)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(path.read_bytes())
            objects[role] = publish(
                store,
                step=role,
                key=f"{n:064d}",
                folder=copy,
                inputs={},
                recipe={},
                deterministic=True,
                provenance={},
            )
        spec = StepSpec(
            step=step,
            name=f"{step}-{stage}",
            record="runs/default/tr/x/1",
            key=key,
            recipe={"stages": {stage: {"config": config}}, "seed": 3},
            options={"stage": stage, "threads": 1, **(options or {})},
            inputs={role: found.path for role, found in objects.items()},
        )
        record = RunRecord(store, spec.record)
        return StepContext(spec, store, record, out, work, lambda done, total, text: None, objects)

    return make
