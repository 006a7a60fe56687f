"""What is wrong with a cluster, from facts that were fetched. Pure; in the order in which it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ups_core.api.crds import crd
from ups_core.errors import EXIT_TRANSIENT, NotFound, UpsError
from ups_workflows.cli.checks import Check
from ups_workflows.cluster.checks_argo import check_argo
from ups_workflows.cluster.checks_nodes import check_classes
from ups_workflows.cluster.facts import HELPFUL, NEEDED, Facts
from ups_workflows.cluster.reading import INSTALL, UPGRADE, environment, labels, numbers, unseen

#: Rules of CRDs are held by every API server from here on.
OLDEST_KUBERNETES = (1, 29)


def checks(facts: Facts) -> list[Check]:
    """Everything, in order; of a cluster that does not answer only that."""
    found = list(check_version(facts))
    if isinstance(facts.version, UpsError):
        return found
    for check in CHECKS:
        found += check(facts)
    return found


def check_version(facts: Facts) -> Iterator[Check]:
    if isinstance(facts.version, UpsError):
        yield Check.of(f"context {facts.context}", facts.version)
        return
    yield Check("context", "ok", f"{facts.context}, namespace {facts.namespace}")
    told = facts.version["gitVersion"]
    oldest = ".".join(map(str, OLDEST_KUBERNETES))
    if (version := numbers(told)) is not None and version < OLDEST_KUBERNETES:
        yield Check("kubernetes", "fail", f"{told}, older than {oldest}", "upgrade the cluster", 2)
    else:
        yield Check("kubernetes", "ok", told)


def check_crds(facts: Facts) -> Iterator[Check]:
    for kind, found in facts.crds.items():
        name = f"resource {kind}"
        if isinstance(found, NotFound):
            yield Check(name, "fail", "the cluster does not know it", INSTALL, 5)
        elif isinstance(found, UpsError):
            yield unseen(name, found)
        elif not same_schema(found, kind):
            yield Check(name, "warn", f"not as version {facts.command} has it", UPGRADE)
        else:
            yield Check(name, "ok", f"as version {facts.command} has it")


def check_operator(facts: Facts) -> Iterator[Check]:
    if isinstance(facts.deployments, UpsError):
        yield unseen("operator", facts.deployments)
        return
    wanted = {"app.kubernetes.io/name": "ups", "app.kubernetes.io/component": "operator"}
    mine = [each for each in facts.deployments["items"] if wanted.items() <= labels(each).items()]
    if not mine:
        yield Check("operator", "fail", "no Deployment of it", INSTALL, 5)
    for each in mine:
        meta, version = each["metadata"], labels(each).get("app.kubernetes.io/version")
        where = f"{meta['namespace']}/{meta['name']}, version {version}"
        if not each.get("status", {}).get("readyReplicas"):
            fix = f"kubectl logs -n {meta['namespace']} deployment/{meta['name']}"
            yield Check("operator", "fail", f"{where}, not ready", fix, EXIT_TRANSIENT)
        elif version != facts.command:
            yield Check("operator", "warn", f"{where}, this command is {facts.command}", UPGRADE)
        else:
            yield Check("operator", "ok", where)
        watched = environment(each).get("UPS_WATCH_NAMESPACES", "")
        if watched and facts.namespace not in watched.split(","):
            fix = f"{UPGRADE} --set watchNamespaces={{{watched},{facts.namespace}}}"
            yield Check("operator: namespaces", "fail", f"watches {watched}, not {facts.namespace}", fix, 2)


def check_permissions(facts: Facts) -> Iterator[Check]:
    refused = [right for right in NEEDED if facts.allowed[right] is False]
    fix = f"kubectl create rolebinding ups-edit -n {facts.namespace} --clusterrole=edit --user=YOU"
    if refused:
        yield Check("permissions", "fail", f"you may not {', '.join(r.name for r in refused)}", fix, 4)
    else:
        yield Check("permissions", "ok", f"you may run in {facts.namespace}")
    for right in HELPFUL:
        if facts.allowed[right] is False:
            yield Check("permissions", "warn", f"you may not {right.name}, {right.purpose}", fix)


def check_namespace(facts: Facts) -> Iterator[Check]:
    name = f"namespace {facts.namespace}"
    fix = f"{UPGRADE} --set runNamespaces={{{facts.namespace}}}"
    if isinstance(facts.run_namespace, NotFound):
        yield Check(name, "fail", "not there", f"kubectl create namespace {facts.namespace}; {fix}", 5)
        return
    if isinstance(facts.run_namespace, UpsError):
        yield unseen(name, facts.run_namespace)
    else:
        label = "pod-security.kubernetes.io/enforce"
        if (level := labels(facts.run_namespace).get(label)) == "restricted":
            yield Check(name, "ok", "enforces the restricted standard")
        else:
            mend = f"kubectl label namespace {facts.namespace} --overwrite {label}=restricted"
            yield Check(name, "warn", f"pod security is {level or 'not enforced'}", mend)
    parts = {"ServiceAccount": facts.service_account, "token Secret": facts.token, "Role": facts.reports}
    for part, found in parts.items():
        if isinstance(found, NotFound):
            yield Check(f"{name}: {part}", "fail", "not there: steps cannot start", fix, 5)
        elif isinstance(found, UpsError):
            yield unseen(f"{name}: {part}", found)
    if facts.reports is False:
        yield Check(f"{name}: Role", "fail", "steps may not report their results", fix, 2)
    if facts.reports is True and not any(isinstance(found, UpsError) for found in parts.values()):
        account = facts.service_account["metadata"]["name"]
        yield Check(f"{name}: steps", "ok", f"ServiceAccount {account}, its token and Role")


CHECKS: tuple[Callable[[Facts], Iterator[Check]], ...] = (
    check_crds,
    check_operator,
    check_permissions,
    check_argo,
    check_namespace,
    check_classes,
)


def same_schema(found: Mapping[str, Any], kind: str) -> bool:
    """Whether the server has the resource as this version of ``ups`` knows it."""
    wanted = {each["name"]: each["schema"] for each in crd(kind)["spec"]["versions"]}
    return wanted == {each["name"]: each["schema"] for each in found["spec"]["versions"]}
