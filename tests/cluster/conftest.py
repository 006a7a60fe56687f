"""The cluster that these tests run in: one of their own, on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from helm_chart import CHART, RELEASE, helm, image_values
from installed import RUNS, SYSTEM, Installed
from machine import client
from machine import cluster as life
from s3_server import S3Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The chart's tests come first: they install a release and remove it, and only one may be there."""
    items.sort(key=lambda item: item.path.name != "test_chart.py")


@pytest.fixture(scope="session")
def own_cluster() -> Iterator[client.Cluster]:
    """A cluster that these tests made, in which they may stop and break things.

    One that runs is used as it is (``make cluster``); else one is started, and ended with the tests.
    """
    if life.missing():
        pytest.skip(life.CANNOT_RUN)
    with life.using() as cluster:
        cluster.guard()
        yield cluster


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> client.Cluster:
    """A cluster of the tests' own, or that of ``$KUBE_CONTEXT``, which a person has to name."""
    if context := os.environ.get("KUBE_CONTEXT"):
        return client.foreign(context, tmp_path_factory.mktemp("context"))
    return request.getfixturevalue("own_cluster")


@pytest.fixture(scope="session")
def cluster_s3(own_cluster: client.Cluster) -> S3Server:
    """The S3 server that pods and this process alike reach, under one address."""
    return S3Server(life.S3_ENDPOINT)


@pytest.fixture
def namespace(cluster: client.Cluster) -> Iterator[str]:
    """A namespace of the test's own in which Workflows can run and the Restricted standard holds."""
    name = f"test-{os.urandom(4).hex()}"
    cluster.run_namespace(name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def ups(own_cluster: client.Cluster, cluster_s3: S3Server) -> Iterator[Installed]:
    """UPS, installed by Helm from this checkout's chart and images, in a cluster of the tests' own."""
    with life.release(), pytest.MonkeyPatch.context() as environment:
        for name, value in cluster_s3.environment().items():
            environment.setenv(name, value)  # this process reads the bucket too, as a user of the store
        yield from _installed(own_cluster, cluster_s3)


def _installed(own_cluster: client.Cluster, cluster_s3: S3Server) -> Iterator[Installed]:
    store = f"{cluster_s3.make_bucket(f'ups-{os.urandom(4).hex()}')}/store"
    secret = {name: value for name, value in cluster_s3.environment().items() if "KEY" in name}
    values = {
        "images": image_values("operator", "data", "torch"),
        "runNamespaces": [RUNS],
        "artifacts": {
            "store": store,
            "endpoint": cluster_s3.endpoint,
            "region": "us-east-1",
            "secretRef": {"name": "ups-s3"},
        },
        # What two cores have to share; the grace is what a checkpoint of a tiny model takes, and more.
        "steps": {
            "graceSeconds": 15,
            "resources": {
                "data": {"cpu": "50m", "memory": "64Mi"},
                "torch": {"cpu": "200m", "memory": "256Mi"},
            },
        },
    }
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    own_cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RUNS, "labels": restricted}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "ups-s3", "namespace": RUNS},
            "stringData": secret,
        },
    )
    chart = ("upgrade", "--install", RELEASE, CHART, f"--namespace={SYSTEM}", "--create-namespace")
    done = helm(*chart, "--wait", "--timeout=3m", values=values, kubeconfig=own_cluster.kubeconfig)
    assert done.returncode == 0, done.stderr
    yield Installed(own_cluster, cluster_s3, store, values)
    helm("uninstall", RELEASE, f"--namespace={SYSTEM}", kubeconfig=own_cluster.kubeconfig)
    own_cluster.kubectl("delete", "namespace", RUNS, SYSTEM, "--timeout=120s")
