"""A steady problem on scattered points, step by step: from raw files to a report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ups_core.data import families
from ups_core.data.families.base import Family, Field, RawLayout, Transform
from ups_core.simulate.advection_mesh import Waves, draw
from ups_core.steps import analyze, evaluate, train
from ups_core.surrogate import Surrogate

SCREENED = Family(
    name="screened_mesh2d",
    title="u - Δu/(2π)² = a",
    kind="mesh",
    steady=True,
    space="XY",
    fields=(Field("u"),),
    inputs=(Field("a"),),
    layouts=(
        RawLayout("points", (".npz",), "u", "NM", input="a", input_axes="NM",
                  coordinates={"X": "places", "Y": "places"}),
    ),
    boundary={"X": "periodic", "Y": "periodic"},
    box={"X": (0.0, 1.0), "Y": (0.0, 1.0)},
    shifts=("X", "Y"),
    symmetries=(Transform("flip-x", flip=("X",)), Transform("transpose", transpose=True)),
)  # fmt: skip
CONFIG = {
    "architecture": {"name": "points", "width": 8, "tokens": 8, "nodes": 8, "groups": 2},
    "steps": 60,
    "batchSize": 8,
    "validations": 2,
}


def samples(count: int, points: int) -> dict[str, np.ndarray]:
    """Inputs and exact solutions: each mode is divided by 1 + |k|²."""
    now, still = np.zeros(1), np.zeros(2)
    drawn = [draw(0, i, points) for i in range(count)]
    solved = [Waves(w.k, w.amplitude / (1 + np.square(w.k).sum(axis=1))) for w, _ in drawn]
    return {
        "a": np.stack([w(places, now, still, 0.0)[0] for w, places in drawn]),
        "u": np.stack([w(places, now, still, 0.0)[0] for w, (_, places) in zip(solved, drawn, strict=True)]),
        "places": np.stack([places for _, places in drawn]),
    }


@pytest.fixture
def run(pipeline, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(families.FAMILIES, SCREENED.name, SCREENED)  # type: ignore[arg-type]
    pipeline.modules |= {"train": train, "evaluate": evaluate, "analyze": analyze}
    return pipeline.run


def test_a_steady_problem_is_learned_judged_and_drawn(pipeline, run, tmp_path: Path):
    (tmp_path / "raw").mkdir()
    np.savez(tmp_path / "raw/a.npz", **samples(40, 64))
    raw = run(
        "fetch",
        {"source": {}, "files": [{"name": "a.npz"}]},
        options={"source": {"uri": str(tmp_path / "raw")}},
    )
    data = run("convert", {"family": SCREENED.name, "convert": {}}, {"raw": raw})
    splits = {"train": 28, "val": 4, "test": 8}
    recipe = {"family": SCREENED.name, "splits": splits, "seed": 0, "validation": {}}
    dealt = run("validate", recipe, {"data": data})
    cached = run("cache", {}, {"data": data, "splits": dealt})
    stage = {"seed": 0, "stages": {"operator": {"config": CONFIG}}}
    model = run("train", stage, {"data": cached}, {"stage": "operator"})
    asked = {"evaluation": {"split": "test", "peers": ["persistence", "solver"]}}
    judged = run("evaluate", asked, {"data": cached, "model": model})
    metrics = judged.json("metrics.json")
    assert metrics["rel_l2"] < 0.7 * metrics["mean.rel_l2"]
    assert [name for name in metrics if "spectrum" in name] == []
    notes = judged.json("evaluation.json")["sets"]["test"]["notes"]
    assert notes["mean"] == "the mean over all points of training: samples have points of their own"
    report = run(
        "analyze", {"analysis": {"samples": 1}},
        {"evaluation": judged, "model": model, "splits": dealt, "data": cached},
    )  # fmt: skip
    assert "Input, truth, surrogate and error" in report.read("report.html").decode()

    surrogate, given = Surrogate.load(pipeline.folder_of(model)), samples(2, 64)
    x, y, order = given["places"][..., 0], given["places"][..., 1], np.random.default_rng(0).permutation(64)
    u = surrogate.solve(given["a"][:, None], coordinates={"x": x, "y": y})
    again = surrogate.solve(given["a"][:, None, order], coordinates={"x": x[:, order], "y": y[:, order]})
    np.testing.assert_allclose(again, u[..., order], atol=1e-5)
    mirrored = surrogate.solve(given["a"][:, None], coordinates={"x": 1 - x, "y": y})
    np.testing.assert_allclose(mirrored, u, atol=1e-5)  # the mean over all images
