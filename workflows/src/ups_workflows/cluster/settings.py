"""The settings of the installation, as its chart left them on the cluster."""

from __future__ import annotations

import os

import yaml
from pydantic import ValidationError

from ups_core.errors import CredentialsInvalid, InvalidSpec
from ups_workflows.cluster.client import Cluster
from ups_workflows.installation import Installation

#: The ConfigMap that the chart writes into each namespace of runs and its own, and its key.
CONFIG_MAP, CONFIG_KEY = "ups-installation", "installation.yaml"


def installation(cluster: Cluster) -> Installation:
    """The settings, where they are and may be read; else those of a bare installation."""
    # Most users may read their own namespace alone; an administrator's may be one without runs.
    for path in (f"/api/v1/namespaces/{cluster.namespace}/configmaps", "/api/v1/configmaps"):
        try:
            found = cluster.items(path, fieldSelector=f"metadata.name={CONFIG_MAP}")
        except CredentialsInvalid:
            continue
        if found:
            return settings(found[0]["data"][CONFIG_KEY])
    return Installation()


def reach(endpoint: str | None, region: str | None) -> None:
    """Have stores that are opened from now on, here and in child processes, found there.

    What this machine's environment says goes before; credentials are the caller's anyway.
    """
    for variable, value in (("AWS_ENDPOINT_URL", endpoint), ("AWS_REGION", region)):
        if value and not os.environ.get(variable):
            os.environ[variable] = value


def settings(text: str) -> Installation:
    """The settings of a text. InvalidSpec where this command does not know one of them."""
    try:
        return Installation.model_validate(yaml.safe_load(text) or {})
    except (yaml.YAMLError, ValidationError) as error:
        raise InvalidSpec(
            "the installation's settings are not understood",
            where=f"ConfigMap {CONFIG_MAP}: {CONFIG_KEY}",
            found=error,
            expected="those of this version of ups",
            fix="ups doctor --engine argo",
        ) from error
