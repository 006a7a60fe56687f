"""UPS as it is installed for these tests, and what they ask of it, in the words of a user."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml
from machine.client import Cluster
from s3_server import S3Server

from ups_core.store import Store, open_store

#: Where the chart is installed, and where its runs are.
SYSTEM, RUNS = "ups-system", "ups-runs"

#: A dataset and a run of seconds. `threads: 1`, so that a laptop of any size gives the same bytes.
DATASET = """
apiVersion: ups.dev/v1alpha1
kind: Dataset
metadata: {name: tiny}
spec:
  family: burgers1d
  source: {simulate: {samples: 14, params: {nu: 0.05, points: 128, frames: 11}}}
  convert: {stride: {x: 4}}
  splits: {train: 8, val: 2, test: 4}
"""
RUN = """
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
  retry: {backoff: {seconds: 1, maxSeconds: 1}}
"""


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """``base`` with ``change`` merged in, as a JSON merge patch does it."""
    out = deepcopy(base)
    for name, value in change.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = merged(out[name], value) if isinstance(value, dict) and name in out else value
    return out


def a_dataset(name: str = "tiny", **spec: Any) -> dict[str, Any]:
    return merged(yaml.safe_load(DATASET), {"metadata": {"name": name}, "spec": spec})


def a_run(name: str, stage: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """The tiny run under another name, with its one stage and its spec changed."""
    run = merged(yaml.safe_load(RUN), {"metadata": {"name": name}, "spec": spec})
    run["spec"]["stages"][0] = merged(run["spec"]["stages"][0], stage or {})
    return run


@dataclass(frozen=True)
class Installed:
    """A release of the chart, one namespace of runs, and a bucket."""

    cluster: Cluster
    s3: S3Server
    store_uri: str
    values: dict[str, Any]
    namespace: str = RUNS

    @property
    def store(self) -> Store:
        return open_store(self.store_uri)

    def apply(self, *resources: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(resources))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", kind, name, "--output=json"))

    def items(self, kind: str, *selectors: str) -> list[dict[str, Any]]:
        return json.loads(self.kubectl("get", kind, *selectors, "--output=json"))["items"]

    def ended(self, kind: str, name: str, seconds: float = 480) -> dict[str, Any]:
        """The status of a resource that has come to an end, good or bad."""
        return self.status(
            kind, name, lambda status: status.get("phase") in ("Ready", "Succeeded", "Failed"), seconds
        )

    def status(
        self, kind: str, name: str, done: Callable[[dict[str, Any]], bool], seconds: float = 480
    ) -> dict[str, Any]:
        """The first status of which ``done`` is true."""
        status: dict[str, Any] = {}

        def look() -> bool:
            nonlocal status
            status = self.get(kind, name).get("status", {})
            return done(status)

        self.until(look, lambda: f"{kind} {name}: {json.dumps(status, indent=1)}", seconds)
        return status

    def until(self, done: Callable[[], bool], what: Callable[[], str], seconds: float = 480) -> None:
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds:g} s: {what()}\n{self.state()}")
            time.sleep(0.5)

    def state(self) -> str:
        """All that a person would look at who wonders why it takes so long."""
        looks = (
            ("get", "trainingruns,datasets,workflows,pods", "--output=wide"),
            ("get", "events", "--sort-by=.lastTimestamp"),
        )
        of_operator = "--selector=app.kubernetes.io/component=operator"
        operator = self.cluster.kubectl(f"--namespace={SYSTEM}", "logs", of_operator, "--tail=40")
        return "\n".join([*(self.kubectl(*look) for look in looks), operator])

    def training_pod(self, name: str, step: str = "train-operator") -> str | None:
        """The pod that trains, once its container runs."""
        for pod in self.items("pods", f"--selector=ups.dev/name={name},ups.dev/kind=tr,ups.dev/step={step}"):
            states = pod["status"].get("containerStatuses", [])
            main = next((each["state"] for each in states if each["name"] == "main"), {})
            if "running" in main and "deletionTimestamp" not in pod["metadata"]:
                return pod["metadata"]["name"]
        return None

    def workflow_steps(self, workflow: str) -> dict[str, str]:
        """Each step that a Workflow has come to, with its phase there; omitted is what it never came to."""
        steps = {step: node["phase"] for step, node in self._nodes(workflow).items()}
        return {step: phase for step, phase in steps.items() if phase != "Omitted"}

    def node(self, workflow: str, step: str) -> dict[str, Any]:
        """What Argo says of one step of a Workflow."""
        return self._nodes(workflow)[step]

    def _nodes(self, workflow: str) -> dict[str, dict[str, Any]]:
        nodes = self.get("workflow", workflow)["status"]["nodes"].values()
        return {node["displayName"]: node for node in nodes if node["type"] in ("Pod", "Skipped")}
