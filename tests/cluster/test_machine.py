"""The cluster itself: what the other tests of this room build on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from machine import box
from machine import cluster as life
from machine.client import Cluster, foreign
from machine.containers import BUSYBOX
from s3_server import S3Server

from ups_core.errors import InvalidSpec, UpsError

POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def shell(script: str, memory: str = "64Mi") -> dict[str, Any]:
    """A container that satisfies the Restricted standard and runs ``script``."""
    return {
        "name": "main",
        "image": BUSYBOX,
        "command": ["sh", "-euc", script],
        "resources": {"limits": {"memory": memory}},
        "securityContext": CONTAINER_SECURITY,
    }


def workflow(name: str, namespace: str, container: dict[str, Any], **template: Any) -> dict[str, Any]:
    """A Workflow of one step that the Restricted standard admits, Argo's own containers included."""
    own = [{"name": each, "securityContext": CONTAINER_SECURITY} for each in ("init", "wait")]
    patch = {"initContainers": own[:1], "containers": own[1:]}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "entrypoint": "main",
            "securityContext": POD_SECURITY,
            "podSpecPatch": json.dumps(patch),
            "templates": [{"name": "main", "container": container} | template],
        },
    }


def finished(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    """The Workflow's status, once it has come to its end."""
    done = "--for=jsonpath={.status.finishedAt}"
    cluster.kubectl("wait", done, "--timeout=90s", f"--namespace={namespace}", f"workflow/{name}")
    return cluster.get("workflow", name, f"--namespace={namespace}")["status"]


def test_the_node_is_ready(cluster: Cluster):
    [node] = cluster.get("nodes")["items"]
    assert {c["type"]: c["status"] for c in node["status"]["conditions"]} == {
        "Ready": "True",
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
    }


def test_a_pod_under_the_restricted_standard_reaches_s3(
    cluster: Cluster, namespace: str, cluster_s3: S3Server
):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "reader", "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": POD_SECURITY,
            "containers": [shell(f"wget -O /dev/null {cluster_s3.endpoint}/healthz && echo reached")],
        },
    }
    cluster.apply(pod)
    done = "--for=jsonpath={.status.phase}=Succeeded"
    cluster.kubectl("wait", done, "--timeout=60s", f"--namespace={namespace}", "pod/reader")
    assert "reached" in cluster.kubectl("logs", f"--namespace={namespace}", "reader")


def test_a_workflow_succeeds_and_hands_over_its_output(cluster: Cluster, namespace: str):
    outputs = {"parameters": [{"name": "result", "valueFrom": {"path": "/tmp/result"}}]}
    cluster.apply(workflow("hello", namespace, shell("echo -n 42 > /tmp/result"), outputs=outputs))
    status = finished(cluster, namespace, "hello")
    assert status["phase"] == "Succeeded", status
    [node] = status["nodes"].values()
    assert [(each["name"], each["value"]) for each in node["outputs"]["parameters"]] == [("result", "42")]


def test_a_field_that_no_workflow_has_is_refused(cluster: Cluster, namespace: str):
    wrong = workflow("wrong", namespace, shell("true") | {"comand": ["true"]})
    # Who checks, the server or kubectl by the server's schema, depends on how new the definition is.
    with pytest.raises(UpsError, match=r'unknown field "(spec\.templates\[0\]\.container\.)?comand"'):
        cluster.apply(wrong)


def test_a_container_that_takes_too_much_memory_is_killed_by_name(cluster: Cluster, namespace: str):
    cluster.apply(workflow("greedy", namespace, shell("tail /dev/zero", memory="16Mi")))
    status = finished(cluster, namespace, "greedy")
    assert (status["phase"], status["message"]) == ("Failed", "main: OOMKilled (exit code 137)")


def test_requests_are_on_record(own_cluster: Cluster, namespace: str):
    user = f"system:serviceaccount:{namespace}:default"
    with pytest.raises(UpsError, match="Forbidden"):
        own_cluster.kubectl("delete", "pod", "nobody", f"--namespace={namespace}", f"--as={user}")
    [event] = [
        e
        for e in life.audit_events()
        if e.get("impersonatedUser", {}).get("username") == user and e["verb"] == "delete"
    ]
    assert event["objectRef"]["resource"] == "pods"
    assert event["responseStatus"]["code"] == 403


@pytest.mark.usefixtures("own_cluster")
def test_argo_and_the_api_server_can_be_stopped_for_a_while():
    life.stop_argo()
    life.stop_api_server()
    assert not life.is_up()
    life.start_api_server()
    life.start_argo()
    assert life.is_up()
    assert box.running("workflow-controller")


class _SomeCluster(BaseHTTPRequestHandler):
    """An API server with a namespace kube-system of its own."""

    def do_GET(self) -> None:
        body = json.dumps({"metadata": {"name": "kube-system", "uid": "of-another-cluster"}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def somebodys(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that these tests did not make."""
    with HTTPServer(("127.0.0.1", 0), _SomeCluster) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "production",
                    "contexts": [{"name": "production", "context": {"cluster": "production", "user": ""}}],
                    "clusters": [
                        {
                            "name": "production",
                            "cluster": {"server": f"http://127.0.0.1:{server.server_port}"},
                        }
                    ],
                }
            )
        )
        yield Cluster(kubeconfig)
        server.shutdown()


@pytest.mark.usefixtures("own_cluster")
def test_a_cluster_that_is_not_ours_is_refused(somebodys: Cluster):
    assert somebodys.uid() == "of-another-cluster"
    with pytest.raises(InvalidSpec, match="no cluster but their own"):
        somebodys.guard()


def test_a_cluster_that_is_asked_for_by_name_is_used(
    somebodys: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KUBECONFIG", str(somebodys.kubeconfig))
    with pytest.raises(UpsError, match="no context"):
        foreign("staging", tmp_path)
    (tmp_path / "named").mkdir()
    assert foreign("production", tmp_path / "named").uid() == "of-another-cluster"
