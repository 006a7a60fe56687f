"""Three dimensions through the real command: files as PDEBench lays them out, of a problem declared here."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from tiny_run import Ups, finished

from ups_core import Surrogate

TINY = """\
apiVersion: ups.dev/v1alpha1
kind: Dataset
metadata: {name: tiny-cube}
spec:
  family: dye
  source: {uri: raw, pattern: "*.hdf5"}
  declaration:
    space: XYZ
    fields: [{name: dye}, {name: heat}]
    layout:
      state: [dye, heat]
      axes: NTXYZ
      coordinates: {t: t-coordinate, x: x-coordinate, "y": y-coordinate, z: z-coordinate}
    boundary: {x: periodic, "y": periodic, z: periodic}
    conserved: [dye, heat]
    shifts: [x, "y", z]
    symmetries: [{name: exchange, transpose: true}, {name: through-z, flip: [z]}]
  convert: {stride: {z: 2}}
  splits: {train: 8, val: 2, test: 3}
---
apiVersion: ups.dev/v1alpha1
kind: TrainingRun
metadata: {name: tiny-cube}
spec:
  datasetRef: {name: tiny-cube}
  threads: 1
  analysis: {samples: 1}
  evaluation: {peers: [persistence, fno]}
  stages:
    - name: operator
      config:
        architecture: {name: unet, width: 8, levels: 2}
        steps: 60
        batchSize: 4
        validations: 2
"""


def write(path: Path, samples: int = 13, frames: int = 4) -> np.ndarray:
    """Smooth fields that a wind along the diagonal of x and y carries while they spread, exact in Fourier
    space: (N, T, C, X, Y, Z)."""
    rng, shape = np.random.default_rng(0), (8, 8, 12)
    k = np.stack(np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in shape], indexing="ij"))
    square = np.square(k).sum(0)
    start = np.fft.fftn(rng.standard_normal((samples, 2, *shape)), axes=(2, 3, 4)) * np.exp(-square / 4)
    t = 0.1 * np.arange(frames)
    rate = -2j * np.pi * (k[0] + k[1]) * 0.3 - 0.3 * square
    u = np.fft.ifftn(start[:, None] * np.exp(t[:, None, None, None, None] * rate), axes=(3, 4, 5)).real
    with h5py.File(path, "w") as file:
        for c, name in enumerate(("dye", "heat")):
            file[name] = u[:, :, c].astype(np.float32)
        for axis, n in zip("xyz", shape, strict=True):
            file[f"{axis}-coordinate"] = np.arange(n) / n
        file["t-coordinate"] = t
    return u.astype(np.float32)


@pytest.fixture(scope="module")
def run(ups: Ups, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, np.ndarray]:
    """The store of a finished run, the run with its status, and the fields."""
    folder = tmp_path_factory.mktemp("cube")
    (folder / "raw").mkdir()
    u = write(folder / "raw/a.hdf5")
    return *finished(ups, folder, TINY), u


def test_a_run_is_judged_and_reported(run):
    store, resource, _ = run
    metrics = resource["status"]["metrics"]
    assert metrics["rollout.nrmse"] < metrics["persistence.rollout.nrmse"]
    assert metrics["rollout.conservation_drift"] < 1e-5
    assert {"fno.rollout.nrmse", "rollout.spectrum.high", "rollout.heat.nrmse"} <= set(metrics)
    (report,) = store.glob("runs/default/tr/*/*/report/report.html")
    text = report.read_text()
    assert "Of the domain one plane is drawn, z = 0.5." in text
    assert "summed over all directions" in text
    (card,) = store.glob("objects/analyze/*/*/MODEL_CARD.md")
    assert "grid along z | 6 nodes" in card.read_text()


def test_every_value_keeps_its_place(run):
    store, _, u = run
    (cached,) = store.glob("objects/cache/*/*/train/u.npy")
    train = np.load(cached)
    assert train.shape == (8, 4, 2, 8, 8, 6)
    for one in train:
        assert any(np.array_equal(one, own) for own in u[..., ::2])


def test_a_finer_grid_is_answered_on_itself(run):
    _, resource, u = run
    (model,) = (a["uri"] for a in resource["status"]["artifacts"] if a["name"] == "train-operator")
    surrogate = Surrogate.load(model)
    u0 = u[:2, 0, :, :, :, ::2]
    frames = surrogate.rollout(u0, 3)
    assert frames.shape == (2, 3, 2, 8, 8, 6)
    fine = surrogate.rollout(u0.repeat(2, 2).repeat(2, 3).repeat(2, 4), 3)
    np.testing.assert_allclose(fine[..., ::2, ::2, ::2], frames, atol=1e-4)
