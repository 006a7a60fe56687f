"""What ``ups doctor`` asks of a cluster. Each answer is JSON, or the refusal: both are facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NamedTuple

from ups_core.api import KINDS
from ups_core.api.crds import NAMES
from ups_core.errors import UpsError
from ups_workflows.cluster.client import Cluster, path_of

#: An answer, or why there is none.
Fact = Any


class Right(NamedTuple):
    """Something that the current user should be allowed, and what for."""

    verb: str
    group: str
    resource: str
    purpose: str

    @property
    def name(self) -> str:
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}"


#: What the command does on behalf of its user, in a namespace. Only the first ones are needed to run.
NEEDED = (
    *(
        Right(verb, "ups.dev", resource, "to run")
        for resource in ("trainingruns", "datasets")
        for verb in ("get", "list", "create", "patch")
    ),
)
HELPFUL = (
    Right("get", "argoproj.io", "workflows", "to see steps in ups run, and for ups shell"),
    Right("list", "", "pods", "for ups logs of what runs"),
    Right("get", "", "pods/log", "for ups logs of what runs"),
    Right("create", "", "pods", "for ups shell"),
    Right("create", "", "pods/exec", "for ups shell"),
)


@dataclass(frozen=True)
class Facts:
    """All that is asked. A fact that was refused is the :class:`UpsError`."""

    context: str
    namespace: str
    #: Version of this command.
    command: str
    now: datetime
    version: Fact = None
    crds: Mapping[str, Fact] = field(default_factory=dict)
    deployments: Fact = None
    argo: Fact = None
    leases: Fact = None
    controller_settings: Fact = None
    allowed: Mapping[Right, Fact] = field(default_factory=dict)
    run_namespace: Fact = None
    service_account: Fact = None
    token: Fact = None
    #: Whether Argo's executor may report results, under the steps' account.
    reports: Fact = None
    classes: Fact = None
    nodes: Fact = None


def fetch(cluster: Cluster, service_account: str) -> Facts:
    """Ask. A server that does not answer the first question is asked no other."""
    base = Facts(cluster.context, cluster.namespace, version("ups-workflows"), datetime.now(UTC))

    def ask(path: str, **query: str) -> Fact:
        try:
            return cluster.get(path, **query)
        except UpsError as error:
            return error

    known = ask("/version")
    if isinstance(known, UpsError):
        return Facts(**{**vars(base), "version": known})
    core, own = "/api/v1", f"/api/v1/namespaces/{cluster.namespace}"
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    return Facts(
        base.context,
        base.namespace,
        base.command,
        base.now,
        version=known,
        crds={kind: ask(f"{crds}/{NAMES[kind].plural}.ups.dev") for kind in KINDS},
        deployments=ask("/apis/apps/v1/deployments"),
        argo=ask("/apis/argoproj.io/v1alpha1"),
        leases=ask("/apis/coordination.k8s.io/v1/leases"),
        controller_settings=ask(
            f"{core}/configmaps", fieldSelector="metadata.name=workflow-controller-configmap"
        ),
        allowed={right: _allowed(cluster, right) for right in (*NEEDED, *HELPFUL)},
        run_namespace=ask(own),
        service_account=ask(f"{own}/serviceaccounts/{service_account}"),
        token=ask(f"{own}/secrets/{service_account}.service-account-token"),
        reports=_reports(cluster, service_account),
        classes=ask(path_of("ComputeClass", "")),
        nodes=ask(f"{core}/nodes"),
    )


def _allowed(cluster: Cluster, right: Right, user: str | None = None) -> Fact:
    """Whether ``user``, or whoever asks, has a right in the namespace."""
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "namespace": cluster.namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
    }
    kind = "SubjectAccessReview" if user else "SelfSubjectAccessReview"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": kind,
        "spec": {"resourceAttributes": attributes, **({"user": user} if user else {})},
    }
    try:
        return cluster.create(f"/apis/authorization.k8s.io/v1/{kind.lower()}s", review)["status"]["allowed"]
    except UpsError as error:
        return error


def _reports(cluster: Cluster, service_account: str) -> Fact:
    user = f"system:serviceaccount:{cluster.namespace}:{service_account}"
    rights = (Right(verb, "argoproj.io", "workflowtaskresults", "") for verb in ("create", "patch"))
    answers = [_allowed(cluster, right, user) for right in rights]
    return next((each for each in answers if isinstance(each, UpsError)), all(answers))
