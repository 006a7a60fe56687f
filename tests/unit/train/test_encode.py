"""Codes of a cached dataset: averages of all patches that there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ups_core.api.stages import OperatorConfig
from ups_core.stages import operator
from ups_core.stages.base import Given, problem_of, splits_of
from ups_core.steps import encode, train
from ups_core.steps.context import StepContext

CODEC = {"steps": 2, "validations": 1, "width": 4, "batchSize": 4, "downsample": 2, "target": 10.0}


def plane(kind: str) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """Splits of two fields on 4 x 8 points, between walls along y or without, and what is said of them."""
    nodes = {"x": np.arange(4) / 4, "y": np.arange(8) / 8, "t": np.arange(3.0)}
    rng = np.random.default_rng(0)
    splits = {
        name: {"u": rng.normal(size=(n, 3, 2, 4, 8)).astype(np.float32), "parameters": np.zeros((n, 0))}
        for name, n in (("train", 3), ("val", 2), ("test", 2))
    }
    declared = {
        "name": "mine",
        "space": "XY",
        "fields": [{"name": "u"}, {"name": "p"}],
        "layout": {"state": "u", "axes": "NTCXY", "coordinates": {"x": "x", "y": "y", "t": "t"}},
        "boundary": {"x": "periodic", "y": kind},
        "conserved": ["u"],
        "shifts": ["x", "y"] if kind == "periodic" else ["x"],
        "symmetries": [{"name": "flip", "flip": ["y"]}],
    }
    described = {
        "family": declared,
        "kind": "grid",
        "steady": False,
        "space": "XY",
        "fields": [{"name": name, "unit": "1", "label": name} for name in ("u", "p")],
        "inputs": [],
        "parameters": [],
        "boundary": {"X": "periodic", "Y": kind},
        "dt": 1.0,
    }
    return {name: {**arrays, **nodes} for name, arrays in splits.items()}, described


@pytest.fixture
def coded(
    context: Callable[..., StepContext], cache: Callable[..., Path]
) -> Callable[[str], tuple[Path, Path]]:
    def make(kind: str) -> tuple[Path, Path]:
        data = cache(kind, *plane(kind))
        codec = context(CODEC, stage="codec", key=kind.encode().hex().ljust(64, "0"), data=data)
        train.run(codec)
        ctx = context({}, step="encode", data=data, model=codec.out)
        encode.run(ctx)
        return data, ctx.out

    return make


def test_patches_begin_at_any_of_their_points_where_samples_may_be_shifted(coded) -> None:
    for kind, starts in (("periodic", [(0, 0), (0, 1), (1, 0), (1, 1)]), ("neumann", [(0, 0), (1, 0)])):
        data, codes = coded(kind)
        u, z = np.load(data / "train/u.npy"), np.load(codes / "train/u.npy")
        for number, (x, y) in enumerate(starts):
            shifted = np.roll(u, (-x, -y), (3, 4))
            averages = shifted.reshape(3, 3, 2, 2, 2, 4, 2).mean((4, 6))
            np.testing.assert_allclose(z[3 * number : 3 * number + 3], averages, rtol=1e-5, atol=1e-6)
        assert len(z) == 3 * len(starts)
        assert len(np.load(codes / "val/u.npy")) == 2
        described = json.loads((codes / "dataset.json").read_text())
        assert described["splits"] == {
            "train": {"samples": len(z), "copies": len(starts), "shape": [3, 2, 2, 4]},
            "val": {"samples": 2, "copies": 1, "shape": [3, 2, 2, 4]},
        }
        assert not (codes / "test").exists()  # a surrogate is given fields


def test_codes_between_walls_with_nodes_on_them_have_no_mirror_image(coded) -> None:
    def symmetric(folder: Path) -> bool:
        return bool(problem_of(folder)[0].symmetries)

    data, codes = coded("periodic")
    assert symmetric(data)
    assert symmetric(codes)
    data, codes = coded("neumann")
    assert symmetric(data)
    assert not symmetric(codes)


def test_copies_are_named_as_the_sample_that_they_are_of(coded) -> None:
    _, codes = coded("periodic")
    learned, held = splits_of(codes)
    assert (len(learned), learned.distinct, held.distinct) == (12, 3, 2)
    config = OperatorConfig.model_validate({"steps": 1, "architecture": {"name": "conv", "width": 4}})
    task = operator.prepare(Given(codes, "0" * 64), config, seed=0).task
    assert len(task) == 12 * 2
    assert task.describe(2 * 7 + 1) == "1 (frame 1)"  # of the third copy
