"""Scattered points through the real command: from a resource file to a report, and to a prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_run import Ups, finished

from ups_core import Surrogate

TINY = """\
apiVersion: ups.dev/v1alpha1
kind: Dataset
metadata: {name: tiny-mesh}
spec:
  family: advection_mesh2d
  source:
    simulate: {samples: 12, params: {points: [60, 90], frames: 4}}
  splits:
    train: {pattern: "*-points60.*", count: 7}
    val: {pattern: "*-points60.*", count: 2}
    test: {pattern: "*-points60.*", count: 3}
    finer: {pattern: "*-points90.*", count: 2}
---
apiVersion: ups.dev/v1alpha1
kind: TrainingRun
metadata: {name: tiny-mesh}
spec:
  datasetRef: {name: tiny-mesh}
  threads: 1
  analysis: {samples: 2}
  stages:
    - name: operator
      config:
        architecture: {name: points, width: 8, tokens: 8, nodes: 8, groups: 2}
        steps: 30
        batchSize: 4
        validations: 2
"""


@pytest.fixture(scope="module")
def run(ups: Ups, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The store of a finished run, and the run with its status."""
    return finished(ups, tmp_path_factory.mktemp("mesh"), TINY)


def test_a_run_is_judged_and_reported(run):
    store, resource = run
    metrics = resource["status"]["metrics"]
    assert {"rollout.nrmse", "solver.rollout.nrmse", "persistence.rollout.nrmse"} <= set(metrics)
    assert metrics["one_step.nrmse"] < metrics["persistence.one_step.nrmse"]
    assert metrics["finer.one_step.nrmse"] < metrics["finer.persistence.one_step.nrmse"]
    assert metrics["finer.solver.rollout.nrmse"] < metrics["solver.rollout.nrmse"]  # a finer mesh
    assert [name for name in metrics if "spectrum" in name or "drift" in name] == []
    (report,) = store.glob("runs/default/tr/*/*/report/report.html")
    text = report.read_text()
    assert "on the triangles of the points" in text
    assert "Power spectra" not in text
    (card,) = store.glob("objects/analyze/*/*/MODEL_CARD.md")
    assert "number of points | 60 in training; refused below 45 and above 240" in card.read_text()


def test_the_order_of_points_means_nothing_to_a_surrogate(run):
    _, resource = run
    (model,) = (a["uri"] for a in resource["status"]["artifacts"] if "/train/" in a["uri"])
    surrogate, rng = Surrogate.load(model), np.random.default_rng(0)
    x, y, order = rng.random(50), rng.random((2, 50)), rng.permutation(50)
    u0 = np.sin(6.28 * (x + y))[:, None].astype(np.float32)  # (N, C, M)
    u = surrogate.rollout(u0, 3, coordinates={"x": x, "y": y})
    assert u.shape == (2, 3, 1, 50)
    again = surrogate.rollout(u0[..., order], 3, coordinates={"x": x[order], "y": y[:, order]})
    np.testing.assert_allclose(again, u[..., order], atol=1e-5)
    single = surrogate.rollout(u0[1], 3, coordinates={"x": x, "y": y[1]})
    np.testing.assert_allclose(single, u[1], atol=1e-5)


def test_predict_needs_the_places_of_points(run, ups: Ups, tmp_path: Path):
    store, _ = run
    u, places = np.zeros((2, 1, 50), np.float32), np.random.default_rng(0).random((2, 50))
    np.savez(tmp_path / "whole.npz", u=u, x=places[0], y=places[1])
    np.savez(tmp_path / "nowhere.npz", u=u)
    where = ("--steps", 2, "--out", tmp_path / "frames.npy", "--store", store)
    done = ups("predict", "tiny-mesh", "--input", tmp_path / "whole.npz", *where)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "frames.npy").shape == (2, 2, 1, 50)
    done = ups("predict", "tiny-mesh", "--input", tmp_path / "nowhere.npz", *where)
    assert done.returncode == 3
    assert "where the points lie is not known" in done.stderr
    done = ups(
        "export", "tiny-mesh", "--to", tmp_path / "p.pt2", "--format", "torch-export", "--store", store
    )
    assert done.returncode == 2
    assert "scattered points" in done.stderr
