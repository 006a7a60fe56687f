"""What an account may do, by rendered manifests, beside what it did, by the API server's audit log.

The two must be equal: a right that nothing uses is one too many, and one that lacks is found here before
a user's cluster finds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

#: In place of a namespace or a name: every one.
ANY = "*"

#: What every account may ask about itself, by Kubernetes' own role `system:basic-user`.
_SELF = {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}


class Access(NamedTuple):
    """One thing done, or one right to do it."""

    namespace: str
    """Empty for what is asked of the whole cluster."""
    group: str
    resource: str
    """With its subresource: `trainingruns/status`."""
    name: str
    verb: str

    def covers(self, other: Access) -> bool:
        """Whether this right allows ``other``."""
        return all(mine in (ANY, theirs) for mine, theirs in zip(self, other, strict=True))

    def __str__(self) -> str:
        where = {ANY: "anywhere", "": "in the cluster"}.get(self.namespace, f"in {self.namespace}")
        return f"{self.verb} {self.resource}.{self.group or 'core'} {self.name} {where}"


class Difference(NamedTuple):
    """Rights and deeds that do not meet."""

    unused: list[Access]
    """Granted, but never used."""
    missing: list[Access]
    """Done or tried, but not granted."""


def compare(manifests: Iterable[dict[str, Any]], events: Iterable[dict[str, Any]], user: str) -> Difference:
    """What keeps the rights of ``user`` and the deeds of ``user`` from being equal.

    ``user`` is a name as the audit log has it: ``system:serviceaccount:NAMESPACE:NAME``.
    """
    rights, deeds = granted(manifests, user), used(events, user)
    return Difference(
        unused=sorted(right for right in rights if not any(right.covers(deed) for deed in deeds)),
        missing=sorted(deed for deed in deeds if not any(right.covers(deed) for right in rights)),
    )


def granted(manifests: Iterable[dict[str, Any]], user: str) -> set[Access]:
    """Every right that the bindings among ``manifests`` give to the account ``user``."""
    documents = list(manifests)
    roles = {
        (role["kind"], role["metadata"].get("namespace", ""), role["metadata"]["name"]): role
        for role in documents
        if role["kind"] in ("Role", "ClusterRole")
    }
    rights: set[Access] = set()
    for binding in documents:
        if binding["kind"] not in ("RoleBinding", "ClusterRoleBinding") or user not in _users(binding):
            continue
        namespace = binding["metadata"].get("namespace", "")
        reference = binding["roleRef"]
        home = namespace if reference["kind"] == "Role" else ""
        for rule in roles[reference["kind"], home, reference["name"]]["rules"]:
            rights |= set(_rights(rule, namespace or ANY))
    return rights


def used(events: Iterable[dict[str, Any]], user: str) -> set[Access]:
    """Everything that ``user`` asked the API server for, whether it was allowed or not."""
    deeds: set[Access] = set()
    for event in events:
        who = event.get("impersonatedUser") or event["user"]
        asked = event.get("objectRef")  # none: a path such as /version, open to every account
        if who.get("username") != user or asked is None or asked["resource"] in _SELF:
            continue
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        deed = Access(
            asked.get("namespace", ""),
            asked.get("apiGroup", ""),
            resource,
            asked.get("name", ""),
            event["verb"],
        )
        deeds.add(deed)
        # A server-side apply of what does not exist is logged as a patch, and authorised as a create too.
        if deed.verb == "patch" and event.get("responseStatus", {}).get("code") == 201:
            deeds.add(deed._replace(verb="create"))
    return deeds


def _users(binding: dict[str, Any]) -> set[str]:
    return {
        f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
        for subject in binding["subjects"]
        if subject["kind"] == "ServiceAccount"
    }


def _rights(rule: dict[str, Any], namespace: str) -> Iterator[Access]:
    names = rule.get("resourceNames") or [ANY]
    for group, resource, name, verb in product(rule["apiGroups"], rule["resources"], names, rule["verbs"]):
        yield Access(namespace, group, resource, name, verb)
