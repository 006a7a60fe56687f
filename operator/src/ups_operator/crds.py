"""``ups-operator crds``: bring the CustomResourceDefinitions up to date, which Helm leaves to us.

The chart runs it before an upgrade. Nothing is ever removed: deleting a CRD deletes all its resources.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from ups_core.api import KINDS
from ups_core.api.crds import crd

log = logging.getLogger(__name__)

#: Whose fields they are. Helm 4 applies a chart's CRDs when it installs, and is refused others' fields.
MANAGER = "helm"


class Applier(Protocol):
    """What is asked of the API server."""

    def apply(self, kind: str, manifest: Mapping[str, Any], manager: str) -> Awaitable[Any]: ...


async def update(api: Applier) -> None:
    """Create each CRD, or make the one that is there what ours is."""
    for kind in KINDS:
        manifest = crd(kind)
        await api.apply("CustomResourceDefinition", manifest, MANAGER)
        log.info("CustomResourceDefinition %s is up to date", manifest["metadata"]["name"])
