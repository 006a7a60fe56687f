"""Walls of two kinds in one dataset, as the how-to tells it: the kind is a parameter."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from tiny_run import Ups

from ups_core import Surrogate

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to.md"
RESOURCES = """\
apiVersion: ups.dev/v1alpha1
kind: Dataset
metadata: {name: plate}
spec:
  family: plate
  declaration:
    space: X
    fields: [{name: u}]
    layout: {state: state, axes: NTX, coordinates: {x: x, t: t}}
  source: {uri: plate.npz}
  splits: {train: 80, val: 8, test: 8}
---
apiVersion: ups.dev/v1alpha1
kind: TrainingRun
metadata: {name: plate}
spec:
  datasetRef: {name: plate}
  threads: 1
  stages:
    - name: operator
      config: {architecture: {name: conv, width: 16, dilations: [1, 2]}, steps: 400, validations: 4}
"""
POINTS, FRAMES, DT = 16, 6, 0.01


def plates(samples: int = 96) -> dict[str, np.ndarray]:
    """u_t = u_xx on the unit interval: sines where walls are held at zero, cosines where they insulate."""
    rng, insulated = np.random.default_rng(0), np.arange(samples) % 2
    x, t, k = (np.arange(POINTS) + 0.5) / POINTS, DT * np.arange(FRAMES), np.arange(5)
    size = rng.normal(size=(samples, 1, 1, 5)) / (1 + k)
    decay = np.exp(-((np.pi * k) ** 2) * t[:, None, None])  # (T, 1, K)
    waves = np.stack([np.sin(np.pi * k * x[:, None]), np.cos(np.pi * k * x[:, None])])  # (2, X, K)
    state = (size * decay * waves[insulated][:, None]).sum(-1)  # (N, T, X)
    return {"state": state.astype(np.float32), "x": x, "t": t, "insulated": insulated.astype(float)}


def test_one_surrogate_knows_both_kinds(ups: Ups, tmp_path: Path):
    blocks = re.findall(r"```yaml\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    (declared,) = (block for block in blocks if "parameters: [insulated]" in block)
    (tmp_path / "plate.yaml").write_text(RESOURCES.replace("  declaration:\n", declared))
    np.savez(tmp_path / "plate.npz", **plates())
    done = ups("run", tmp_path / "plate.yaml", "--store", tmp_path / "store", "-o", "json")
    assert done.returncode == 0, done.stderr
    (manifest,) = tmp_path.glob("store/objects/train/*/manifest.json")
    surrogate = Surrogate.load(manifest.parent.as_uri())
    x = (np.arange(POINTS) + 0.5) / POINTS
    u0 = (1 - np.cos(2 * np.pi * x)).astype(np.float32)[None]  # flat and zero at the walls: of either kind
    held, insulated = (surrogate.rollout(u0, FRAMES - 1, {"insulated": kind})[-1, 0] for kind in (0.0, 1.0))
    exact = 1 - np.exp(-((2 * np.pi) ** 2) * DT * (FRAMES - 1)) * np.cos(2 * np.pi * x)
    assert np.abs(insulated - exact).max() < 0.25
    assert held[[0, -1]].max() < 0.3 < 0.7 < insulated[[0, -1]].min()
