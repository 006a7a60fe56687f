"""A problem of one's own, as the how-to declares it, from one's own file to a prediction."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_run import Ups

from ups_core import Surrogate

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to.md"
RUN = """\
---
apiVersion: ups.dev/v1alpha1
kind: TrainingRun
metadata: {name: channel}
spec:
  datasetRef: {name: channel}
  threads: 1
  stages:
    - name: operator
      config:
        architecture: {name: conv, width: 8, kernel: 3, dilations: [1, 2]}
        steps: 150
        validations: 3
"""


def channel(samples: int = 20, frames: int = 9, points: int = 32) -> dict[str, np.ndarray]:
    """Long waves of small height, h_t + q_x = 0 and q_t + c² h_x = 0 with c² = g depth: two that pass by."""
    rng = np.random.default_rng(0)
    x, t = np.arange(points) / points, 0.02 * np.arange(frames)
    depth = rng.uniform(0.05, 0.15, samples)
    k = np.arange(1, 4)
    waves = rng.standard_normal((2, 2, samples, 3)) / k  # to the right and left, cosines and sines
    c = np.sqrt(9.81 * depth)[:, None, None]  # (N, 1, 1)

    def form(way: int) -> np.ndarray:
        z = 2 * np.pi * (x - (1, -1)[way] * c * t[:, None])[..., None] * k  # (N, T, X, K)
        cosines, sines = waves[way][:, :, None, None]
        return (cosines * np.cos(z) + sines * np.sin(z)).sum(-1)  # (N, T, X)

    right, left = form(0), form(1)
    state = np.stack([right + left, c * (right - left)], axis=-1)  # (N, T, X, C)
    return {"state": state.astype(np.float32), "x": x, "t": t, "depth": depth}


@pytest.fixture(scope="module")
def run(ups: Ups, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The folder of a finished run, and the run with its status."""
    folder = tmp_path_factory.mktemp("channel")
    blocks = re.findall(r"```yaml\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    (declared,) = (block for block in blocks if "channel.npz" in block)
    (folder / "channel.yaml").write_text(declared + RUN)
    np.savez(folder / "channel.npz", **channel())
    done = ups("run", folder / "channel.yaml", "--store", folder / "store", "-o", "json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_it_is_learned_and_judged(run):
    _, resource = run
    metrics = resource["status"]["metrics"]
    assert metrics["one_step.nrmse"] < 0.7 * metrics["persistence.one_step.nrmse"]
    assert metrics["rollout.conservation_drift"] < 1e-5
    assert not [name for name in metrics if name.startswith("solver")]


def test_the_report_speaks_of_it(run):
    folder, _ = run
    (report,) = folder.glob("store/runs/**/report.html")
    assert "Shallow water in a periodic channel" in report.read_text()


def test_another_file_of_that_layout_is_predicted(ups: Ups, run):
    folder, _ = run
    given = channel()
    np.savez(folder / "other.npz", **given)
    own, out = folder / "other.npz", folder / "out.npy"
    store = ("--store", folder / "store")
    done = ups("predict", "channel", "--input", own, "--steps", "3", "--out", out, *store)
    assert done.returncode == 0, done.stderr
    predicted, truth = np.load(out), np.moveaxis(given["state"], -1, 2)  # (N, T, C, X)
    assert predicted.shape == (20, 3, 2, 32)
    still = np.abs(truth[:, 1] - truth[:, 0]).mean()
    assert np.abs(predicted[:, 0] - truth[:, 1]).mean() < 0.7 * still


def test_a_registered_dataset_knows_its_problem(ups: Ups, run):
    folder, resource = run
    (folder / "again.yaml").write_text(
        RUN.replace("name: channel}\nspec", "name: again}\nspec").lstrip("-\n")
    )
    done = ups("run", folder / "again.yaml", "--store", folder / "store", "-o", "json")
    assert done.returncode == 0, done.stderr
    trained = [objects(each)["train-operator"] for each in (json.loads(done.stdout), resource)]
    assert trained[0] == trained[1]


def objects(resource: dict) -> dict[str, str]:
    return {each["name"]: each["uri"] for each in resource["status"]["artifacts"]}


def test_what_is_known_besides_does_not_convert_again(ups: Ups, run):
    folder, _ = run
    documents = list(yaml.safe_load_all((folder / "channel.yaml").read_text()))
    documents[0]["spec"]["declaration"] |= {"linear": True, "title": "Waves"}
    (folder / "linear.yaml").write_text(yaml.safe_dump_all(documents))
    done = ups("plan", folder / "linear.yaml", "--store", folder / "store")
    states = dict(re.findall(r"^ *([a-z-]+) +(cached|runs)", done.stdout, re.MULTILINE))
    assert (states["fetch"], states["convert"]) == ("cached", "cached")
    assert (states["validate"], states["cache"], states["train-operator"]) == ("runs", "runs", "runs")
    assert Surrogate.load(surrogate_of(folder)).problem.declaration["name"] == "shallow_water"


def surrogate_of(folder: Path) -> str:
    (manifest,) = folder.glob("store/objects/train/*/manifest.json")
    return manifest.parent.as_uri()
