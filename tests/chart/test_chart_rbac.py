"""The comparer of granted rights and deeds of the audit log."""

from __future__ import annotations

from typing import Any

import pytest
from rbac import ANY, Access, compare, granted, used

USER = "system:serviceaccount:ups-system:operator"


def rule(*verbs: str, group: str = "ups.dev", resource: str = "datasets", **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), **more}


def role(*rules: dict[str, Any], namespace: str = "") -> list[dict[str, Any]]:
    """A role and its binding to the account: in a namespace, or in the whole cluster."""
    place = {"namespace": namespace} if namespace else {}
    kind = "Role" if namespace else "ClusterRole"
    return [
        {"kind": kind, "metadata": {"name": "r", **place}, "rules": list(rules)},
        {
            "kind": f"{kind}Binding",
            "metadata": {"name": "r", **place},
            "roleRef": {"kind": kind, "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": "ups-system"}],
        },
    ]


def event(
    verb: str, resource: str = "datasets", *, user: str = USER, code: int = 200, **ref: str
) -> dict[str, Any]:
    reference = {"apiGroup": "ups.dev", "resource": resource, "namespace": "a", "name": "x", **ref}
    return {
        "verb": verb,
        "user": {"username": user},
        "objectRef": {key: value for key, value in reference.items() if value},
        "responseStatus": {"code": code},
    }


def texts(accesses: list[Access]) -> list[str]:
    return [str(access) for access in accesses]


@pytest.mark.parametrize(
    ("manifests", "events", "unused", "missing"),
    [
        pytest.param(role(rule("get")), [event("get")], [], [], id="equal"),
        pytest.param(
            role(rule("get", "list")), [event("get")], ["list datasets.ups.dev * anywhere"], [], id="unused"
        ),
        pytest.param(
            role(rule("get")),
            [event("get"), event("delete", code=403)],
            [],
            ["delete datasets.ups.dev x in a"],
            id="tried and refused",
        ),
        pytest.param(
            role(rule("get"), namespace="a"),
            [event("get"), event("get", namespace="b")],
            [],
            ["get datasets.ups.dev x in b"],
            id="another namespace",
        ),
        pytest.param(
            role(rule("list"), namespace="a"),
            [event("list", namespace="", name="")],
            ["list datasets.ups.dev * in a"],
            ["list datasets.ups.dev  in the cluster"],
            id="a Role does not cover the whole cluster",
        ),
        pytest.param(
            role(rule("patch", resource="datasets/status")),
            [event("patch", subresource="status"), event("patch")],
            [],
            ["patch datasets.ups.dev x in a"],
            id="a subresource is a right of its own",
        ),
        pytest.param(
            role(rule("get", resourceNames=["x"])),
            [event("get"), event("get", name="y")],
            [],
            ["get datasets.ups.dev y in a"],
            id="names",
        ),
        pytest.param(
            role(rule("patch")),
            [event("patch", code=201)],
            [],
            ["create datasets.ups.dev x in a"],
            id="an apply that creates",
        ),
        pytest.param(
            role(rule("create", group="", resource="events")),
            [event("create", "events", apiGroup="")],
            [],
            [],
            id="the core group",
        ),
        pytest.param(
            role(rule("get")),
            [
                event("get"),
                event("delete", user="someone"),
                event("create", "selfsubjectaccessreviews"),
                {"verb": "get", "user": {"username": USER}, "requestURI": "/version"},
            ],
            [],
            [],
            id="others, and what every account may",
        ),
    ],
)
def test_rights_and_deeds(manifests, events, unused, missing):
    difference = compare(manifests, events, USER)
    assert texts(difference.unused) == unused
    assert texts(difference.missing) == missing


def test_a_cluster_role_bound_in_a_namespace_counts_there_alone():
    manifests = role(rule("get"))
    manifests[1] |= {"kind": "RoleBinding", "metadata": {"name": "r", "namespace": "a"}}
    assert granted(manifests, USER) == {Access("a", "ups.dev", "datasets", ANY, "get")}


def test_who_acts_for_the_account_is_the_account():
    impersonating = event("get", user="admin") | {"impersonatedUser": {"username": USER}}
    assert used([impersonating], USER) == used([event("get")], USER)
    assert used([impersonating], "admin") == set()


def test_another_account_has_none_of_it():
    assert granted(role(rule("get")), "system:serviceaccount:other:operator") == set()
    assert used([event("get")], "system:serviceaccount:other:operator") == set()
