"""``ups-operator selftest``: one small Dataset from start to end, which is what ``helm test`` runs.

It goes through all that an installation needs: the operator sees the resource, Argo runs its steps, the
images start, the steps reach the storage and publish. Then it deletes the Dataset again, and waits for
that too, so that nothing of it stays. A Dataset that fails is left where it is, to be looked at.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from kubernetes import client, config

from ups_core.api.common import GROUP, VERSION
from ups_core.errors import StageFailed

NAME = "ups-selftest"
POLL_SECONDS = 1


def a_dataset(seed: int) -> dict[str, Any]:
    """Four trajectories of Burgers' equation, seconds of work; of another seed none of it is cached."""
    params = {"nu": 0.05, "points": 128, "frames": 11}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Dataset",
        "metadata": {"name": NAME},
        "spec": {
            "family": "burgers1d",
            "source": {"simulate": {"samples": 4, "params": params, "seed": seed}},
            "convert": {"stride": {"x": 4}},
            "splits": {"train": 2, "val": 1, "test": 1},
            "reclaimPolicy": "Delete",  # its registry entry goes with it
        },
    }


def selftest(namespace: str, timeout: float) -> None:
    """Make the Dataset in ``namespace`` and see it Ready and gone within ``timeout`` seconds.

    Raises StageFailed with what the Dataset says of itself.
    """
    # Kubernetes sets this in every pod; a file of contexts is for people.
    config.load_incluster_config() if "KUBERNETES_SERVICE_HOST" in os.environ else config.load_kube_config()
    datasets = Datasets(client.CustomObjectsApi(), namespace)
    begin = time.monotonic()

    def wait(done: Callable[[dict[str, Any] | None], bool], expected: str) -> None:
        while not done(found := datasets.get()):
            if time.monotonic() - begin > timeout:
                raise StageFailed(
                    f"Dataset {NAME} is not {expected} after {timeout:.0f} s",
                    where=f"namespace {namespace}",
                    found=standing(found),
                    expected=expected,
                    fix=f"kubectl -n {namespace} describe dataset {NAME}",
                )
            time.sleep(POLL_SECONDS)

    datasets.delete()  # what an earlier test left behind would be Ready already
    wait(gone, "gone")
    datasets.create(a_dataset(seed=int(time.time())))
    wait(ready, "Ready")
    sys.stdout.write(f"Dataset {NAME} is Ready, {time.monotonic() - begin:.0f} s\n")
    datasets.delete()
    wait(gone, "gone")
    sys.stdout.write(f"and gone again, {time.monotonic() - begin:.0f} s\n")


def gone(dataset: dict[str, Any] | None) -> bool:
    """Whether the API server has no such Dataset any more."""
    return dataset is None


def ready(dataset: dict[str, Any] | None) -> bool:
    """Whether the Dataset is published; raises StageFailed where it never will be."""
    status = (dataset or {}).get("status", {})
    if status.get("phase") == "Failed":
        failure = status.get("lastFailure", {})
        raise StageFailed(
            f"Dataset {NAME} failed: {failure.get('message', 'it does not say why')}",
            where=failure.get("stage"),
            found=failure.get("reason"),
            expected="Ready",
            fix="ups doctor",
        )
    return status.get("phase") == "Ready"


def standing(dataset: dict[str, Any] | None) -> str:
    """One line on how far the Dataset came: its phase, its conditions, and what they say."""
    if dataset is None:
        return "nothing"
    if "status" not in dataset:
        return "no status: the operator has not seen it"
    status = dataset["status"]
    conditions = [
        f"{each['type']} {each['status']}" + (f", {each['message']}" if each.get("message") else "")
        for each in status.get("conditions", [])
    ]
    return "; ".join([f"phase {status.get('phase')}", *conditions])


class Datasets:
    """The three calls that the test makes, on the one Dataset that it is about."""

    def __init__(self, api: client.CustomObjectsApi, namespace: str) -> None:
        self._api, self._path = api, (GROUP, VERSION, namespace, "datasets")

    def get(self) -> dict[str, Any] | None:
        """The Dataset, None where there is none."""
        try:
            return self._api.get_namespaced_custom_object(*self._path, NAME)  # type: ignore[return-value]
        except client.ApiException as error:
            if error.status == 404:
                return None
            raise

    def create(self, dataset: dict[str, Any]) -> None:
        """Create it."""
        self._api.create_namespaced_custom_object(*self._path, dataset)

    def delete(self) -> None:
        """Delete it, if it is there."""
        try:
            self._api.delete_namespaced_custom_object(*self._path, NAME)
        except client.ApiException as error:
            if error.status != 404:
                raise
