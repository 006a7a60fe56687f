"""Reading facts of a cluster: what several checks share. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ups_core.errors import CredentialsInvalid, UpsError
from ups_workflows.cli.checks import Check

INSTALL = "helm install ups charts/ups"
UPGRADE = "helm upgrade ups charts/ups --reuse-values"


def unseen(name: str, error: UpsError) -> Check:
    """What the user may not see may be right all the same; what fails otherwise is told as it is."""
    if isinstance(error, CredentialsInvalid):
        return Check(name, "warn", "you may not see it", "ask an administrator to run ups doctor")
    return Check.of(name, error)


def numbers(version: str) -> tuple[int, int] | None:
    """Major and minor of a version.

    >>> numbers("v3.7.18"), numbers("latest")
    ((3, 7), None)
    """
    matched = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(matched[1]), int(matched[2])) if matched else None


def labels(resource: Mapping[str, Any]) -> Mapping[str, str]:
    return resource["metadata"].get("labels") or {}


def containers(deployment: Mapping[str, Any]) -> list[dict[str, Any]]:
    return deployment["spec"]["template"]["spec"]["containers"]


def environment(deployment: Mapping[str, Any]) -> dict[str, str]:
    """Of all containers; variables that come from elsewhere are left out."""
    return {
        variable["name"]: variable["value"]
        for container in containers(deployment)
        for variable in container.get("env", [])
        if "value" in variable
    }
