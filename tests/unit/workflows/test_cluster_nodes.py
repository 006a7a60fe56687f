"""What is read of a Workflow's nodes."""

from __future__ import annotations

import base64
import gzip
import json

from ups_workflows.cluster.nodes import nodes

RESULT = {"object": "objects/convert/ab", "digest": "cd" * 32}
RAW = {
    "w": {"id": "w", "name": "tr-demo-1", "type": "DAG", "phase": "Running"},
    "w-2": {
        "id": "w-2",
        "name": "tr-demo-1.train-operator",
        "displayName": "train-operator",
        "templateName": "train-operator",
        "type": "Pod",
        "phase": "Running",
        "startedAt": "2026-01-01T00:00:09Z",
        "progress": "42/100",
    },
    "w-1": {
        "id": "w-1",
        "name": "tr-demo-1.convert",
        "displayName": "convert",
        "templateName": "convert",
        "type": "Pod",
        "phase": "Succeeded",
        "startedAt": "2026-01-01T00:00:01Z",
        "progress": "1/1",
        "outputs": {"parameters": [{"name": "result", "value": json.dumps(RESULT)}], "exitCode": "0"},
    },
}


def test_pods_in_the_order_in_which_they_began():
    first, second = nodes({"status": {"nodes": RAW}})
    assert (first.name, first.phase, first.percent, first.result) == ("convert", "Succeeded", None, RESULT)
    assert (second.step, second.percent, second.result) == ("train-operator", 42, {})


def test_nodes_that_argo_compressed_are_the_same():
    packed = base64.b64encode(gzip.compress(json.dumps(RAW).encode())).decode()
    assert nodes({"status": {"compressedNodes": packed}}) == nodes({"status": {"nodes": RAW}})


def test_a_workflow_that_has_not_begun_has_none():
    assert nodes({}) == []
    assert nodes({"status": {"nodes": None}}) == []
