"""What an installation fixes for all its runs: images, the default store, the steps' service account.

The chart writes it as ``installation.yaml`` into a ConfigMap; the operator mounts it, and
``ups plan --engine argo`` reads it, so that both make the same Workflow of the same resource.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from ups_core.api.common import Artifacts, Resources, SecretRef
from ups_core.api.model import Model, NonNegativeInt
from ups_core.errors import InvalidSpec

#: Registry and tag of the images of this release.
_IMAGES = "ghcr.io/ups-dev"
_VERSION = "0.1.0"


class Images(Model):
    """The images of the steps, where a resource names none of its own."""

    data: Annotated[str, Field(max_length=512)] = f"{_IMAGES}/ups-data:{_VERSION}"
    """Image without torch."""
    torch: Annotated[str, Field(max_length=512)] = f"{_IMAGES}/ups-torch:{_VERSION}"
    """Image with torch."""


class Requests(Model):
    """What steps ask for where the resource says nothing: requests, not limits."""

    data: Resources = Resources.model_validate({"cpu": "250m", "memory": "512Mi"})
    """Steps of the data image."""
    torch: Resources = Resources.model_validate({"cpu": "1", "memory": "2Gi"})
    """Steps of the torch image."""


class Installation(Model):
    """Settings of one installation of UPS."""

    images: Images = Images()
    """Images of the steps."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When nodes pull them."""
    image_pull_secrets: Annotated[list[SecretRef], Field(max_length=8)] = []
    """Secrets, in the run's namespace, to pull them with."""
    artifacts: Artifacts = Artifacts()
    """Store, endpoint, region and Secret of resources that name none."""
    service_account: Annotated[str, Field(max_length=63)] = "ups-steps"
    """Service account of the steps, in the run's namespace."""
    grace_seconds: NonNegativeInt = 120
    """Seconds a step has between SIGTERM and SIGKILL: enough to save a checkpoint."""
    resources: Requests = Requests()
    """Default requests of the steps."""

    @classmethod
    def read(cls, path: Path) -> Installation:
        """The settings in a YAML file. InvalidSpec where it cannot be read or is not valid."""
        try:
            return cls.model_validate(yaml.safe_load(path.read_text()) or {})
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise InvalidSpec(
                "the installation's settings cannot be used",
                where=path,
                found=error,
                fix="helm upgrade with corrected values",
            ) from error
