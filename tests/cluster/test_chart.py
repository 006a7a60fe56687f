"""The chart on a real API server: taken as it is rendered, installed, tested, upgraded, and gone again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import rbac
import yaml
from helm_chart import CASES, CHART, Manifest, helm, image_values, render
from installed import a_run
from machine import cluster as life
from machine.client import Cluster
from s3_server import S3Server

#: A release of its own, that serves one namespace. It is gone before the session's other one comes.
RELEASE, SYSTEM, RUNS = "chart", "chart-system", "chart-runs"
WAIT = ("--wait", "--timeout=3m")


@pytest.fixture(scope="module")
def server(own_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the CustomResourceDefinitions, and the namespaces that the cases name."""
    own_cluster.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={CHART / 'crds'}")
    names = ["a", "b", "c", "chart-dry"]
    own_cluster.apply(*(namespace(name) for name in names))
    yield own_cluster
    own_cluster.kubectl("delete", "namespace", *names, "--wait=false")


def namespace(name: str) -> Manifest:
    """One in which the Restricted standard holds."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.mark.parametrize("case", list(CASES))
def test_the_api_server_takes_every_object_and_field(server: Cluster, case: str):
    # ServiceMonitors are of the Prometheus operator, which is not here.
    objects = [each for each in render(CASES[case], "chart-dry") if each["kind"] != "ServiceMonitor"]
    # A pod is refused whose account is not there, even one that is not to be made.
    server.apply(*(each for each in objects if each["kind"] == "ServiceAccount"))
    strictly = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    server.kubectl("apply", *strictly, "--filename=-", stdin=yaml.safe_dump_all(objects))


@pytest.fixture(scope="module")
def values(cluster_s3: S3Server) -> Manifest:
    """One namespace of runs, which the chart makes, and a bucket."""
    return {
        "images": image_values("operator", "data"),
        "watchNamespaces": [RUNS],
        "runNamespaces": [RUNS],
        "createRunNamespaces": True,
        "artifacts": {
            "store": cluster_s3.make_bucket(f"chart-{os.urandom(4).hex()}"),
            "endpoint": cluster_s3.endpoint,
            "region": "us-east-1",
            "secretRef": {"name": "storage"},
        },
    }


@pytest.fixture(scope="module")
def release(own_cluster: Cluster, cluster_s3: S3Server, values: Manifest) -> Iterator[Cluster]:
    """The cluster with the chart installed, and the one Secret that the installation asks a person for."""
    with life.release():
        yield from _installed(own_cluster, cluster_s3, values)


def _installed(own_cluster: Cluster, cluster_s3: S3Server, values: Manifest) -> Iterator[Cluster]:
    run("install", RELEASE, CHART, "--create-namespace", *WAIT, values=values)
    keys = {k: v for k, v in cluster_s3.environment().items() if k.startswith("AWS_") and "KEY" in k}
    literals = [f"--from-literal={name}={value}" for name, value in keys.items()]
    own_cluster.kubectl("-n", RUNS, "create", "secret", "generic", "storage", *literals)
    yield own_cluster
    # A Dataset that is to be taken out of the registry waits for an operator that does it.
    own_cluster.kubectl("delete", "dataset", "--all", "-n", RUNS, "--timeout=60s")
    helm("uninstall", RELEASE, "--namespace", SYSTEM, *WAIT, kubeconfig=own_cluster.kubeconfig)
    own_cluster.kubectl("delete", "namespace", SYSTEM, RUNS, "--timeout=120s")


def run(*arguments: str | Path, values: Manifest | None = None) -> str:
    """Helm, which must succeed; what it says."""
    done = helm(*arguments, "--namespace", SYSTEM, values=values, kubeconfig=life.CLUSTER.kubeconfig)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_test_passes_and_uses_every_right_it_has(release: Cluster):
    said = run("test", RELEASE, "--logs", "--timeout=5m")
    assert "Dataset ups-selftest is Ready" in said
    assert not release.get("datasets", "-n", RUNS)["items"]
    # What the test and the hook may do is what they did; but that no definition was yet to be made.
    hooks = list(yaml.safe_load_all(run("get", "hooks", RELEASE)))
    creating = [
        rbac.Access(rbac.ANY, "apiextensions.k8s.io", "customresourcedefinitions", rbac.ANY, "create")
    ]
    for account, unused in (("chart-selftest", []), ("chart-crds", creating)):
        difference = rbac.compare(hooks, life.audit_events(), f"system:serviceaccount:{SYSTEM}:{account}")
        assert difference == rbac.Difference(unused, [])


def test_an_upgrade_brings_definitions_and_operator_up_to_date(release: Cluster, values: Manifest):
    columns = [column["name"] for column in definition(release)["additionalPrinterColumns"]]
    path = "/spec/versions/0/additionalPrinterColumns"
    patch = json.dumps([{"op": "remove", "path": path}])
    release.kubectl("patch", "crd", "datasets.ups.dev", "--type=json", f"--patch={patch}")
    before = operator_pod(release)
    run("upgrade", RELEASE, CHART, *WAIT, values=values | {"steps": {"graceSeconds": 45}})
    assert [column["name"] for column in definition(release)["additionalPrinterColumns"]] == columns
    after = operator_pod(release)
    assert after != before
    assert "graceSeconds: 45" in release.kubectl(
        "-n", SYSTEM, "get", "configmap", "ups-installation", "-o", "yaml"
    )


def test_what_stays_after_an_uninstall(release: Cluster, values: Manifest):
    """Resources, their definitions, and what runs in flight need; another install takes all of it over."""
    release.apply(a_run("kept", suspend=True) | {"metadata": {"name": "kept", "namespace": RUNS}})
    run("uninstall", RELEASE, *WAIT)
    selector = f"--selector=app.kubernetes.io/instance={RELEASE}"
    release.kubectl("wait", "--for=delete", "pods", "--all-namespaces", selector, "--timeout=60s")
    kinds = release.kubectl("api-resources", "--verbs=list", "--output=name").split()
    found = release.kubectl("get", ",".join(kinds), "--all-namespaces", selector, "--output=name").split()
    assert sorted(found) == [
        f"namespace/{RUNS}",
        "role.rbac.authorization.k8s.io/ups-steps",
        "rolebinding.rbac.authorization.k8s.io/ups-steps",
        "secret/ups-steps.service-account-token",
        "serviceaccount/ups-steps",
    ]
    run("install", RELEASE, CHART, *WAIT, values=values)
    suspended = "--for=jsonpath={.status.phase}=Suspended"
    release.kubectl("wait", suspended, "trainingrun/kept", "-n", RUNS, "--timeout=60s")


def definition(cluster: Cluster) -> Manifest:
    """The one version of Dataset that the API server serves."""
    return cluster.get("crd", "datasets.ups.dev")["spec"]["versions"][0]


def operator_pod(cluster: Cluster) -> str:
    """The name of the operator's one pod that is Ready."""
    selector = f"--selector=app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=operator"
    [pod] = [
        pod
        for pod in cluster.get("pods", "-n", SYSTEM, selector)["items"]
        if "deletionTimestamp" not in pod["metadata"]
    ]
    assert all(status["ready"] for status in pod["status"]["containerStatuses"])
    return pod["metadata"]["name"]
