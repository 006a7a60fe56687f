"""What is wrong with Argo Workflows on a cluster. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import yaml

from ups_core.errors import EXIT_TRANSIENT, NotFound, UpsError
from ups_workflows.cli.checks import Check
from ups_workflows.cluster.facts import Fact, Facts
from ups_workflows.cluster.reading import containers, environment, numbers, unseen

ARGO_VERSIONS = ((3, 6), (4, 999))
#: A controller that lives renews its lease every few seconds.
LEASE_AGE = timedelta(seconds=60)
INSTALL_ARGO = "install Argo Workflows 3.6 to 4.x"
CAPTURE = "ARGO_POD_STATUS_CAPTURE_FINALIZER"


def check_argo(facts: Facts) -> Iterator[Check]:
    if isinstance(facts.argo, NotFound):
        yield Check("argo", "fail", "the cluster knows no Workflows", INSTALL_ARGO, 5)
        return
    if isinstance(facts.deployments, UpsError):
        yield unseen("argo", facts.deployments)
        return
    controllers = [each for each in facts.deployments["items"] if controller(each) is not None]
    if not controllers:
        yield lone_controller(facts)
    for each in controllers:
        yield from check_controller(each)
    yield from check_settings(facts.controller_settings)


def lone_controller(facts: Facts) -> Check:
    """Of a controller that is no Deployment only its lease is seen, where it elects a leader."""
    found = [] if isinstance(facts.leases, UpsError) else facts.leases["items"]
    for lease in found:
        renewed = lease["spec"].get("renewTime")
        mine = lease["metadata"]["name"].startswith("workflow-controller") and renewed
        if mine and facts.now - datetime.fromisoformat(renewed) < LEASE_AGE:
            where = f"{lease['metadata']['namespace']}/{lease['metadata']['name']}"
            return Check("argo", "warn", f"holds the lease {where}; no Deployment tells of its settings")
    return Check("argo", "warn", "no workflow-controller is seen, unless it runs elsewhere", INSTALL_ARGO)


def check_controller(deployment: Mapping[str, Any]) -> Iterator[Check]:
    meta, container = deployment["metadata"], controller(deployment) or {}
    where = f"{meta['namespace']}/{meta['name']}"
    version = numbers(container["image"].rpartition(":")[2])
    oldest, newest = ARGO_VERSIONS
    if not deployment.get("status", {}).get("readyReplicas"):
        fix = f"kubectl logs -n {meta['namespace']} deployment/{meta['name']}"
        yield Check("argo", "fail", f"{where} is not ready", fix, EXIT_TRANSIENT)
    elif version is None:
        yield Check("argo", "warn", f"{where}: {container['image']} names no version; 3.6 to 4.x is known")
    elif not oldest <= version <= newest:
        yield Check("argo", "fail", f"{where}: {container['image']}", INSTALL_ARGO, 2)
    else:
        yield Check("argo", "ok", f"{where}: {container['image']}")
    if environment(deployment).get(CAPTURE) == "true":
        yield Check("argo: deleted pods", "ok", f"{CAPTURE}=true")
    else:
        fix = f"kubectl set env -n {meta['namespace']} deployment/{meta['name']} {CAPTURE}=true"
        told = f"without {CAPTURE} a preemption looks like a failure"
        yield Check("argo: deleted pods", "fail", told, fix, 2)
    arguments = " ".join(container.get("args", []))
    executor = re.search(r"--executor-image[ =](\S+)", arguments)
    if executor and numbers(executor[1].rpartition(":")[2]) != version:
        found = f"{executor[1]} beside {container['image']}"
        yield Check("argo: executor", "warn", found, "give --executor-image the controller's version")


def check_settings(found: Fact) -> Iterator[Check]:
    """The controller's ConfigMap."""
    if isinstance(found, UpsError):
        yield unseen("argo: settings", found)
        return
    for each in found["items"]:
        data = dict(each.get("data") or {})
        data |= yaml.safe_load(data.pop("config", "")) or {}
        where = f"{each['metadata']['namespace']}/{each['metadata']['name']}"
        persistence = data.get("persistence") or {}
        if isinstance(persistence, str):
            persistence = yaml.safe_load(persistence) or {}
        edit = f"kubectl edit configmap -n {each['metadata']['namespace']} {each['metadata']['name']}"
        if persistence.get("nodeStatusOffLoad"):
            told = f"{where}: persistence.nodeStatusOffLoad hides the steps of large runs from the operator"
            yield Check("argo: settings", "fail", told, f"{edit}  # set it to false", 2)
        elif data.get("instanceID"):
            told = f"{where}: instanceID {data['instanceID']}: our Workflows, which have none, are not run"
            yield Check("argo: settings", "fail", told, f"{edit}  # remove it", 2)
        else:
            yield Check("argo: settings", "ok", where)


def controller(deployment: Mapping[str, Any]) -> dict[str, Any] | None:
    """The container that is Argo's controller: charts name the Deployment as they like."""
    found = (each for each in containers(deployment) if "workflow-controller" in each["image"])
    return next(found, None)
