"""After everything else has run: what the installation may do is what it did, and no secret got out."""

from __future__ import annotations

import json

import pytest
import rbac
from helm_chart import render
from installed import RUNS, SYSTEM, Installed
from machine import cluster as life
from machine.folders import LOGS

#: Part of every credential that the pods of these tests were given.
CANARY = "user-secret"

ACCOUNTS = [f"system:serviceaccount:{SYSTEM}:ups-operator", f"system:serviceaccount:{RUNS}:ups-steps"]


@pytest.mark.parametrize("account", ACCOUNTS)
def test_rights_are_the_verbs_that_were_used(ups: Installed, account: str):
    found = rbac.compare(render(ups.values), life.audit_events(), account)
    assert found.missing == []
    assert found.unused == []


def test_the_secret_is_in_no_object_of_the_cluster(ups: Installed):
    kinds = "trainingruns,datasets,workflows,workflowtaskresults,pods,events,configmaps,deployments,jobs"
    everything = ups.cluster.kubectl(
        "get", kinds, "--all-namespaces", "--output=json", "--show-managed-fields"
    )
    assert len(json.loads(everything)["items"]) > 20
    assert CANARY not in everything


def test_the_secret_is_in_no_log_of_a_container_or_a_component(ups: Installed):
    # The S3 server of the tests prints how to reach it.
    logs = [path for path in LOGS.rglob("*") if path.is_file() and path.name != "s3.log"]
    assert logs
    assert [path.name for path in logs if CANARY in path.read_text(errors="replace")] == []


def test_the_secret_is_in_no_file_of_the_store(ups: Installed):
    paths = [entry.path for entry in ups.store.list("")]
    assert any("/logs/containers/" in path for path in paths)
    assert [path for path in paths if CANARY.encode() in ups.store.get(path)] == []
