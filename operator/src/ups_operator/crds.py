"""``ups-operator crds``: bring the CustomResourceDefinitions up to date, which Helm itself never does.

The chart runs it before an upgrade. Nothing is ever removed: deleting a CRD deletes all its resources.
"""

from __future__ import annotations

import logging

from ups_core.api import KINDS
from ups_core.api.crds import crd
from ups_operator.api import Api, Conflict

log = logging.getLogger(__name__)
KIND = "CustomResourceDefinition"


async def update(api: Api) -> None:
    """Create each CRD, or give the one that is there our spec."""
    for kind in KINDS:
        manifest = crd(kind)
        name = manifest["metadata"]["name"]
        try:
            await api.create(KIND, None, manifest)
            log.info("CustomResourceDefinition %s: created", name)
        except Conflict:
            await api.patch(KIND, None, name, {"spec": manifest["spec"]})
            log.info("CustomResourceDefinition %s: up to date", name)
