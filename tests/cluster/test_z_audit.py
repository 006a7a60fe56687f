"""After everything else has run: what the installation may do is what it did, and no secret got out."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

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
    logs = []
    for folder, _, names in os.walk(LOGS):
        for name in {*names} - {"s3.log"}:  # the tests' own server prints how to reach it
            with suppress(FileNotFoundError):  # the node may remove what a pod that is gone has said
                logs.append((name, Path(folder, name).read_text(errors="replace")))
    assert logs
    assert [name for name, text in logs if CANARY in text] == []


def test_the_secret_is_in_no_file_of_the_store(ups: Installed):
    paths = [entry.path for entry in ups.store.list("")]
    assert any("/logs/containers/" in path for path in paths)
    assert [path for path in paths if CANARY.encode() in ups.store.get(path)] == []
