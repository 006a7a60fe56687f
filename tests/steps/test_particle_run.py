"""Particles through the real command: from a resource file to a report, and to a prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_run import Ups, finished

from ups_core import Surrogate
from ups_core.errors import DataInvalid

TINY = """\
apiVersion: ups.dev/v1alpha1
kind: Dataset
metadata: {name: tiny-flock}
spec:
  family: vicsek
  source:
    simulate: {samples: 12, params: {particles: 40, frames: 5, radius: 0.3}}
  splits: {train: 7, val: 2, test: 3}
---
apiVersion: ups.dev/v1alpha1
kind: TrainingRun
metadata: {name: tiny-flock}
spec:
  datasetRef: {name: tiny-flock}
  threads: 1
  analysis: {samples: 1}
  stages:
    - name: operator
      config:
        architecture: {name: points, width: 8, tokens: 8, nodes: 8, groups: 2}
        steps: 400
        unroll: 2
        batchSize: 4
        validations: 2
"""


@pytest.fixture(scope="module")
def run(ups: Ups, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The store of a finished run, and the run with its status."""
    return finished(ups, tmp_path_factory.mktemp("particles"), TINY)


@pytest.fixture(scope="module")
def surrogate(run) -> Surrogate:
    (model,) = (a["uri"] for a in run[1]["status"]["artifacts"] if "/train/" in a["uri"])
    return Surrogate.load(model)


def state(samples: int = 2, particles: int = 40) -> np.ndarray:
    """Places in the box, and headings."""
    rng = np.random.default_rng(0)
    heading = rng.uniform(-np.pi, np.pi, (samples, particles))
    x = rng.random((samples, 2, particles))
    return np.concatenate([x, 0.2 * np.stack([np.cos(heading), np.sin(heading)], axis=1)], axis=1)


def test_a_run_is_judged_and_reported(run):
    store, resource = run
    metrics = resource["status"]["metrics"]
    assert metrics["solver.rollout.nrmse"] < 1e-5  # the same equation, and nothing random
    assert metrics["rollout.nrmse"] < metrics["persistence.rollout.nrmse"]
    assert [name for name in metrics if "spectrum" in name or "drift" in name] == []
    (report,) = store.glob("runs/default/tr/*/*/report/report.html")
    text = report.read_text()
    assert "The largest distance drawn between a particle and its prediction" in text
    assert "Power spectra" not in text
    (card,) = store.glob("objects/analyze/*/*/MODEL_CARD.md")
    assert "number of particles | 40 in training; refused below 30 and above 160" in card.read_text()
    assert len(list(store.glob("objects/analyze/*/*/films/*.mp4"))) == 1


def test_rollouts_stay_in_the_box_and_know_no_order(surrogate):
    u0 = state()
    u = surrogate.rollout(u0, 30)
    assert u.shape == (2, 30, 4, 40)
    assert ((u[:, :, :2] >= 0) & (u[:, :, :2] <= 1)).all()
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_allclose(surrogate.rollout(u0[..., order], 2), u[:, :2][..., order], atol=1e-4)
    away = u0.copy()
    away[:, 0, :5] += 4
    np.testing.assert_allclose(surrogate.rollout(away, 2), u[:, :2], atol=1e-4)


def test_what_does_not_fit_is_refused(surrogate):
    with pytest.raises(DataInvalid, match="the number of particles is far from that of training"):
        surrogate.rollout(state(particles=20), 2)
    with pytest.raises(DataInvalid, match="vx is far outside"):
        surrogate.rollout(state() * np.array([1, 1, 30, 30])[:, None], 2)


def test_predict_takes_raw_files_and_export_says_no(run, ups: Ups, tmp_path: Path):
    store, _ = run
    u0 = state()
    np.savez(tmp_path / "own.npz", u=u0)
    trajectory = np.repeat(u0[:, None], 3, axis=1).swapaxes(2, 3)  # (N, T, M, C)
    np.savez(
        tmp_path / "raw.npz", position=trajectory[..., :2], velocity=trajectory[..., 2:], t=np.arange(3.0)
    )
    out = []
    for name in ("own", "raw"):
        out.append(tmp_path / f"{name}.npy")
        done = ups(
            *("predict", "tiny-flock", "--input", tmp_path / f"{name}.npz", "--steps", 2),
            *("--out", out[-1], "--store", store),
        )
        assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(*(np.load(path) for path in out))
    done = ups(
        *("export", "tiny-flock", "--to", tmp_path / "p.pt2", "--format", "torch-export", "--store", store)
    )
    assert done.returncode == 2
    assert "kind particles" in done.stderr
