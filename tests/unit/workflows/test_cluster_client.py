"""Refusals of the API server, and that a cluster which is away is told as such."""

from __future__ import annotations

import json

import pytest
import yaml

from ups_core.errors import CredentialsInvalid, InvalidSpec, NotFound
from ups_workflows.cluster.client import ClusterUnavailable, connect, refusal

IMMUTABLE = (
    'TrainingRun.ups.dev "demo" is invalid: spec: Invalid value: '
    "seed cannot be changed: create a resource of another name"
)
REFUSALS = [
    (401, "Unauthorized", CredentialsInvalid, "log in"),
    (403, "trainingruns is forbidden", CredentialsInvalid, "ups doctor"),
    (404, 'trainingruns.ups.dev "demo" not found', NotFound, "ups status"),
    (404, "the server could not find the requested resource", NotFound, "helm install"),
    (404, 'namespaces "team" not found', NotFound, "kubectl create namespace"),
    (422, IMMUTABLE, InvalidSpec, "create a resource of another name"),
    (422, "spec.stages: Too many", InvalidSpec, "ups check FILE"),
    (400, "unknown field", InvalidSpec, "ups check FILE"),
    (500, "etcdserver: request timed out", ClusterUnavailable, None),
]


@pytest.mark.parametrize(("status", "message", "kind", "fix"), REFUSALS, ids=[r[1][:24] for r in REFUSALS])
def test_a_refusal_is_told_with_its_way_out(status, message, kind, fix):
    error = refusal(status, json.dumps({"message": message}).encode(), "GET", "/apis/x")
    assert type(error) is kind
    assert message in error.details["found"]
    assert fix is None or fix in error.details["fix"]


def test_what_is_no_status_is_told_as_it_is():
    assert refusal(502, b"<html>Bad Gateway</html>", "GET", "/").details["found"].endswith("Gateway</html>")


def kubeconfig(path, server="http://127.0.0.1:9"):
    context = {"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "team"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
        "contexts": [context],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A kubeconfig whose server is not there."""
    path = str(kubeconfig(tmp_path / "config"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", path)


@pytest.mark.usefixtures("here")
def test_a_server_that_is_not_there_is_unavailable_and_no_secret_is_told():
    cluster = connect()
    assert (cluster.context, cluster.namespace) == ("here", "team")
    with pytest.raises(ClusterUnavailable) as error:
        cluster.get("/version")
    assert "127.0.0.1:9" in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.usefixtures("here")
def test_a_context_that_is_not_there_names_those_that_are():
    with pytest.raises(InvalidSpec) as error:
        connect("elsewhere")
    assert error.value.details["expected"] == "here"
