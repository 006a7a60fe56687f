"""What is wrong with a cluster's ComputeClasses and the nodes that they stand for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ups_core.errors import UpsError
from ups_workflows.cli.checks import Check
from ups_workflows.cluster.facts import Facts
from ups_workflows.cluster.reading import UPGRADE, labels, unseen


def check_classes(facts: Facts) -> Iterator[Check]:
    for what, found in (("compute classes", facts.classes), ("nodes", facts.nodes)):
        if isinstance(found, UpsError):
            yield unseen(what, found)
            return
    if not facts.classes["items"]:
        fix = f"{UPGRADE} --set-json computeClasses='[...]'"
        yield Check("compute classes", "warn", "none: stages run on any node, without accelerators", fix)
    for each in facts.classes["items"]:
        spec = each["spec"]
        for way in ("onDemand", "spot"):
            if way in spec:
                name = f"class {each['metadata']['name']} {way}"
                yield check_capacity(name, spec, spec[way], facts.nodes["items"])


def check_capacity(
    name: str, spec: Mapping[str, Any], capacity: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]]
) -> Check:
    """Whether there are nodes for one capacity of a class, with the resource that it promises."""
    selector, tolerations = capacity.get("nodeSelector", {}), capacity.get("tolerations", [])
    chosen = ",".join(f"{label}={value}" for label, value in selector.items())
    look = f"kubectl get nodes -l '{chosen}'" if chosen else "kubectl get nodes"
    selected = [node for node in nodes if selector.items() <= labels(node).items()]
    if not selected:
        return Check(name, "warn", f"no node now has {chosen}; an autoscaler may bring one", look)
    fitting = [node for node in selected if not repelled(node, tolerations)]
    if not fitting:
        taint = next(iter(repelled(selected[0], tolerations)))
        told = f"{len(selected)} nodes, tainted {taint['key']}, which the class does not tolerate"
        return Check(name, "fail", told, look, 2)
    resource = spec.get("resource")
    if not resource:
        return Check(name, "ok", f"{len(fitting)} nodes")
    counts = [int(node["status"].get("allocatable", {}).get(resource, "0")) for node in fitting]
    promised = max(1, spec.get("gpusPerNode", 0))
    if max(counts) < promised:
        told = f"{len(fitting)} nodes with at most {max(counts)} {resource}; {promised} are promised"
        return Check(name, "fail", told, f"install the device plugin of {resource}, or correct the class", 2)
    return Check(name, "ok", f"{len(fitting)} nodes, {sum(counts)} {resource}")


def repelled(node: Mapping[str, Any], tolerations: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The taints of a node that keep a pod with these tolerations away."""
    taints = [each for each in node["spec"].get("taints", []) if each["effect"] != "PreferNoSchedule"]
    return [taint for taint in taints if not any(tolerates(each, taint) for each in tolerations)]


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """As Kubernetes matches them: an empty effect matches all, and `Exists` without a key everything."""
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", "")
