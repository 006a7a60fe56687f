"""The small run that tests make, and what they look at of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

TINY = """\
apiVersion: ups.dev/v1alpha1
kind: Dataset
metadata: {name: tiny}
spec:
  family: burgers1d
  source:
    simulate: {samples: 14, params: {nu: 0.05, points: 128, frames: 11}}
  convert:
    stride: {x: 4}                # (14, 11, 128) -> (14, 11, 32)
  splits: {train: 8, val: 2, test: 4}
---
apiVersion: ups.dev/v1alpha1
kind: TrainingRun
metadata: {name: tiny}
spec:
  datasetRef: {name: tiny}
  threads: 1
  stages:
    - name: operator
      config:
        architecture: {name: conv, width: 8, kernel: 3, dilations: [1, 2]}
        steps: 120
        validations: 4
      checkpoint: {intervalSeconds: 1}
"""


Ups = Callable[..., subprocess.CompletedProcess[str]]


def finished(ups: Ups, folder: Path, resources: str) -> tuple[Path, dict]:
    """Run ``resources`` to the end: the store in ``folder``, and the TrainingRun with its status."""
    (folder / "run.yaml").write_text(resources)
    done = ups("run", folder / "run.yaml", "--store", folder / "store", "-o", "json")
    assert done.returncode == 0, done.stderr
    return folder / "store", json.loads(done.stdout)


def digests(store: Path) -> dict[str, str]:
    """Object path to digest of everything that is published in a file store."""
    manifests = store.glob("objects/*/*/manifest.json")
    return {
        str(path.parent.relative_to(store)): json.loads(path.read_text())["digest"]
        for path in sorted(manifests)
    }
