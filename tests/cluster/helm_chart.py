"""The chart through Helm itself: rendered, linted, installed; and the ways in which people install it."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from machine import images
from machine.build import program

CHART = Path(__file__).parents[2] / "charts/ups"
#: The release and its namespace, where nothing else is said.
RELEASE, NAMESPACE = "ups", "ups-system"

Manifest = dict[str, Any]

SPOT = {
    "nodeSelector": {"cloud.example/spot": "true"},
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    "pricePerHourUsd": 1.1,
}
GPU_NODE = {
    "name": "gpu",
    "spec": {
        "resource": "nvidia.com/gpu",
        "gpusPerNode": 1,
        "memoryGiB": 80,
        "onDemand": {"nodeSelector": {"pool": "gpu"}, "pricePerHourUsd": 3.2},
        "spot": SPOT,
        "reference": {"unet": 120.5},
    },
}

#: Name of the case to its values.
CASES: dict[str, Manifest] = {
    "default": {},
    "cluster-wide": {"runNamespaces": ["a"]},
    "namespaced": {"watchNamespaces": ["a"], "runNamespaces": ["a"], "userRoles": False},
    "several run namespaces": {"runNamespaces": ["a", "b", "c"], "createRunNamespaces": True},
    "compute classes": {
        "computeClasses": [GPU_NODE, {"name": "cpu", "spec": {"onDemand": {"pricePerHourUsd": 0}}}]
    },
    "monitored": {
        "metrics": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "dashboard": {"enabled": True},
        }
    },
    "no network policy": {"networkPolicy": {"enabled": False}, "runNamespaces": ["a"]},
    "everything": {
        "images": {
            "registry": "registry.example.com/physics/",
            "pullSecrets": ["pull"],
            "operator": {"digest": "sha256:" + "0" * 64},
            "torch": {"tag": "1.2.3-cpu"},
        },
        "watchNamespaces": ["a", "b"],
        "runNamespaces": ["a"],
        "createRunNamespaces": True,
        "artifacts": {
            "store": "s3://bucket/ups",
            "endpoint": "http://s3.storage.svc:8333",
            "region": "eu-central-1",
            "secretRef": {"name": "storage"},
        },
        "steps": {"serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/ups"}},
        "computeClasses": [GPU_NODE],
        "operator": {
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "podLabels": {"team": "physics"},
            "podAnnotations": {"prometheus.io/scrape": "true"},
            "nodeSelector": {"pool": "system"},
            "tolerations": [{"key": "system", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "system-cluster-critical",
        },
        "networkPolicy": {
            "apiServer": {"cidrs": ["10.0.0.1/32"], "ports": [6443]},
            "egress": [{"ports": [{"port": 443}]}],
            "scrapeFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        },
        "metrics": {"serviceMonitor": {"enabled": True}, "dashboard": {"enabled": True}},
    },
}


def helm(
    *arguments: str | Path, values: Manifest | None = None, kubeconfig: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """What Helm makes of ``arguments``; ``values`` go in as a file would."""
    command = [program("helm"), *arguments]
    if values is not None:
        command += ["--values", "-"]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig or os.devnull)}
    text = json.dumps(values)
    return subprocess.run(command, input=text, env=environment, text=True, capture_output=True, check=False)


def template(values: Manifest, namespace: str = NAMESPACE) -> subprocess.CompletedProcess[str]:
    """The chart, rendered for these values, hooks and tests included."""
    return helm("template", RELEASE, CHART, "--namespace", namespace, values=values)


def render(values: Manifest, namespace: str = NAMESPACE) -> list[Manifest]:
    """The same, as objects. They are shared: look, but do not change them."""
    return _rendered(json.dumps(values), namespace)


@cache
def _rendered(values: str, namespace: str) -> list[Manifest]:
    done = template(json.loads(values), namespace)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def image_values(*names: str) -> Manifest:
    """The chart's ``images``: those of this checkout, built and brought into the running cluster."""
    values: Manifest = {}
    for image in images.bring(*names):
        registry, _, rest = image.reference.rpartition("/")
        repository, _, tag = rest.partition(":")
        values |= {"registry": registry, image.name: {"repository": repository, "tag": tag}}
    return values
