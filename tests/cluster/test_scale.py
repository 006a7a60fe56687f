"""Many runs applied at once. Ten in every test run; a soak takes a thousand."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import client
from machine import cluster as life
from scale import measure, operator

RUNS = 1000 if os.environ.get("UPS_SOAK") == "1" else 10


@pytest.fixture
def idle(own_cluster: client.Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A namespace of a cluster in which Argo is stopped, so that nothing is run."""
    monkeypatch.setenv("KUBECONFIG", str(own_cluster.kubeconfig))
    name = f"scale-{os.urandom(4).hex()}"
    own_cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    life.stop_argo()
    try:
        yield name
    finally:
        # Before Argo sees them: it would begin to run a thousand Workflows.
        own_cluster.kubectl("-n", name, "delete", "workflows.argoproj.io", "--all", "--wait=false")
        own_cluster.kubectl("delete", "namespace", name, "--wait=false")
        life.start_argo()


def test_every_run_has_its_workflow_and_no_other(
    idle: str, own_cluster: client.Cluster, tmp_path: Path, record_property
):
    with operator(idle, tmp_path) as process:
        measured = asyncio.run(measure(idle, RUNS, process))
    record_property("scale", json.dumps(vars(measured)))
    runs = {f"run-{number}" for number in range(RUNS)}
    owners = [
        (meta["name"], meta["ownerReferences"][0]["name"])
        for meta in (
            item["metadata"] for item in own_cluster.get("workflows.argoproj.io", "-n", idle)["items"]
        )
    ]
    assert sorted(owners) == sorted((f"tr-{name}-1", name) for name in runs)
    assert measured.memory_mib < 300
    assert not set(measured.errors) - {"Conflict"}, (tmp_path / "operator.log").read_text()
