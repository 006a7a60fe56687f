"""``ups doctor``: each check over facts that are right, and over facts with one thing wrong."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from ups_core.api import KINDS
from ups_core.api.crds import crd
from ups_core.errors import CredentialsInvalid, NotFound
from ups_workflows.cluster.checks import checks
from ups_workflows.cluster.checks_nodes import tolerates
from ups_workflows.cluster.client import ClusterUnavailable
from ups_workflows.cluster.facts import HELPFUL, NEEDED, Facts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REFUSED = CredentialsInvalid("the cluster does not let you do this", where="GET /x", found="forbidden")
MISSING = NotFound("not on the cluster", where="GET /x", found="not found")
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def operator(version="1.0", ready=1, watched=""):
    labels = {
        "app.kubernetes.io/name": "ups",
        "app.kubernetes.io/component": "operator",
        "app.kubernetes.io/version": version,
    }
    return deployment("ups", "ups-operator", {"UPS_WATCH_NAMESPACES": watched}, ready=ready, labels=labels)


def argo(tag="v3.7.18", capture="true", args=(), ready=1):
    image = f"quay.io/argoproj/workflow-controller:{tag}"
    env = {"ARGO_POD_STATUS_CAPTURE_FINALIZER": capture}
    return deployment("argo", "workflow-controller", env, image=image, args=args, ready=ready)


def deployment(namespace, name, env, *, image="ups-operator:1", args=(), ready=1, labels=None):
    variables = [{"name": key, "value": value} for key, value in env.items()]
    variables.append({"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})
    container = {"name": "main", "image": image, "args": list(args), "env": variables}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"template": {"spec": {"containers": [container]}}},
        "status": {"readyReplicas": ready},
    }


def deployments(*items):
    return {"items": list(items)}


def settings(**data):
    meta = {"namespace": "argo", "name": "workflow-controller-configmap"}
    return {"items": [{"metadata": meta, "data": data}]}


def node(labels=None, taints=(), gpus=8):
    allocatable = {"cpu": "8"} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
    return {
        "metadata": {"name": "n", "labels": {"gpu": "h100"} if labels is None else labels},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": allocatable},
    }


def classes(**capacity):
    capacity = {"nodeSelector": {"gpu": "h100"}, "tolerations": [], "pricePerHourUsd": 2.0} | capacity
    spec = {"resource": "nvidia.com/gpu", "gpusPerNode": 8, "onDemand": capacity}
    return {"items": [{"metadata": {"name": "h100"}, "spec": spec}]}


def changed_crd():
    found = crd("TrainingRun")
    del found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["seed"]
    return found


def lease(age):
    spec = {"renewTime": (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")}
    return {"items": [{"metadata": {"namespace": "argo", "name": "workflow-controller"}, "spec": spec}]}


TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
RIGHTS = dict.fromkeys((*NEEDED, *HELPFUL), True)
GOOD = Facts(
    context="prod",
    namespace="team",
    command="1.0",
    now=NOW,
    version={"gitVersion": "v1.35.4"},
    crds={kind: crd(kind) for kind in KINDS},
    deployments=deployments(operator(), argo()),
    leases=lease(5),
    controller_settings=settings(config="parallelism: 10\n"),
    allowed=RIGHTS,
    run_namespace={"metadata": {"labels": RESTRICTED}},
    service_account={"metadata": {"name": "ups-steps"}},
    token={"type": "kubernetes.io/service-account-token"},
    reports=True,
    classes=classes(),
    nodes={"items": [node()]},
)


def test_a_good_cluster_is_good_in_every_check():
    found = checks(GOOD)
    assert {check.level for check in found} == {"ok"}
    assert [check.name for check in found][:2] == ["context", "kubernetes"]


#: What is wrong, the check that says so, how loud, a part of what it found, its exit code.
WRONG = [
    ({"version": {"gitVersion": "v1.27.1"}}, "kubernetes", "fail", "older than 1.29", 2),
    ({"crds": {"TrainingRun": MISSING}}, "resource TrainingRun", "fail", "does not know", 5),
    ({"crds": {"TrainingRun": REFUSED}}, "resource TrainingRun", "warn", "may not see", 0),
    ({"crds": {"TrainingRun": changed_crd()}}, "resource TrainingRun", "warn", "not as version 1.0", 0),
    ({"deployments": deployments(argo())}, "operator", "fail", "no Deployment", 5),
    ({"deployments": deployments(argo(), operator(ready=0))}, "operator", "fail", "not ready", 75),
    ({"deployments": deployments(argo(), operator("0.9"))}, "operator", "warn", "this command is 1.0", 0),
    ({"deployments": deployments(argo(), operator(watched="a,b"))}, "operator: namespaces", "fail", "a,b", 2),
    ({"deployments": REFUSED}, "operator", "warn", "may not see", 0),
    ({"allowed": RIGHTS | {NEEDED[2]: False}}, "permissions", "fail", "create trainingruns.ups.dev", 4),
    ({"allowed": RIGHTS | {HELPFUL[4]: False}}, "permissions", "warn", "create pods/exec, for ups shell", 0),
    ({"deployments": deployments(operator()), "leases": lease(5)}, "argo", "warn", "argo/workflow-contr", 0),
    ({"deployments": deployments(operator()), "leases": lease(99)}, "argo", "warn", "no workflow-control", 0),
    ({"deployments": deployments(operator()), "leases": REFUSED}, "argo", "warn", "no workflow-controll", 0),
    ({"argo": MISSING}, "argo", "fail", "knows no Workflows", 5),
    ({"deployments": deployments(operator(), argo("v3.5.2"))}, "argo", "fail", "v3.5.2", 2),
    ({"deployments": deployments(operator(), argo("v5.0.0"))}, "argo", "fail", "v5.0.0", 2),
    ({"deployments": deployments(operator(), argo("latest"))}, "argo", "warn", "names no version", 0),
    ({"deployments": deployments(operator(), argo(ready=0))}, "argo", "fail", "not ready", 75),
    ({"deployments": deployments(operator(), argo(capture="false"))}, "argo: deleted pods", "fail", "pre", 2),
    (
        {"deployments": deployments(operator(), argo(args=["--executor-image", "argoexec:v3.4.1"]))},
        "argo: executor",
        "warn",
        "argoexec:v3.4.1",
        0,
    ),
    (
        {"controller_settings": settings(config="persistence: {nodeStatusOffLoad: true}")},
        "argo: settings",
        "fail",
        "nodeStatusOffLoad",
        2,
    ),
    (
        {"controller_settings": settings(persistence="nodeStatusOffLoad: true\n")},
        "argo: settings",
        "fail",
        "nodeStatusOffLoad",
        2,
    ),
    ({"controller_settings": settings(instanceID="other")}, "argo: settings", "fail", "instanceID other", 2),
    ({"run_namespace": MISSING}, "namespace team", "fail", "not there", 5),
    ({"run_namespace": {"metadata": {}}}, "namespace team", "warn", "not enforced", 0),
    ({"service_account": MISSING}, "namespace team: ServiceAccount", "fail", "steps cannot start", 5),
    ({"token": MISSING}, "namespace team: token Secret", "fail", "steps cannot start", 5),
    ({"token": REFUSED}, "namespace team: token Secret", "warn", "may not see", 0),
    ({"reports": False}, "namespace team: Role", "fail", "may not report their results", 2),
    ({"reports": REFUSED}, "namespace team: Role", "warn", "may not see", 0),
    ({"classes": {"items": []}}, "compute classes", "warn", "none", 0),
    ({"nodes": REFUSED}, "nodes", "warn", "may not see", 0),
    ({"nodes": {"items": []}}, "class h100 onDemand", "warn", "no node now has gpu=h100", 0),
    ({"nodes": {"items": [node(gpus=0)]}}, "class h100 onDemand", "fail", "at most 0 nvidia.com/gpu", 2),
    (
        {"nodes": {"items": [node(taints=[TAINT])]}},
        "class h100 onDemand",
        "fail",
        "tainted nvidia.com/gpu",
        2,
    ),
]


@pytest.mark.parametrize(
    ("change", "name", "level", "found", "code"), WRONG, ids=lambda value: str(value)[:40]
)
def test_what_is_wrong_is_found_with_its_fix(change, name, level, found, code):
    mine = [check for check in checks(dataclasses.replace(GOOD, **change)) if check.name == name]
    said = [check for check in mine if check.level != "ok"]
    assert [(check.level, check.exit_code) for check in said] == [(level, code)]
    assert found in said[0].found
    assert said[0].fix or level == "warn"


def test_a_cluster_that_is_away_is_asked_nothing_else():
    away = ClusterUnavailable(
        "the API server does not answer", where="context prod", found="refused", fix="x"
    )
    (only,) = checks(dataclasses.replace(GOOD, version=away))
    assert (only.level, only.exit_code) == ("fail", 75)


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}, True),
        ({"key": "nvidia.com/gpu", "value": "absent"}, False),
        ({"key": "nvidia.com/gpu"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations_match_as_kubernetes_matches_them(toleration, expected):
    assert tolerates(toleration, TAINT) is expected


def test_a_class_that_tolerates_the_taint_has_the_node():
    tolerant = classes(tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}])
    facts = dataclasses.replace(GOOD, classes=tolerant, nodes={"items": [node(taints=[TAINT])]})
    assert ("class h100 onDemand", "ok") in [(check.name, check.level) for check in checks(facts)]
