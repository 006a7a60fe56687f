"""Where a resource keeps its mutable record, and what identifies it on a laptop."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ups_core.api import Dataset, TrainingRun

#: Folder of each kind under ``runs/<namespace>/``: the short names of ``kubectl``.
FOLDERS = {"TrainingRun": "tr", "Dataset": "ds"}
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "ups.dev")


def record_of(resource: Dataset | TrainingRun) -> str:
    """``runs/<namespace>/<tr|ds>/<name>/<uid>``.

    The API server gives a resource its uid; without one it follows from kind and name, so that a
    second ``ups run`` of the same file finds the record of the first.
    """
    meta = resource.metadata
    uid = meta.uid or str(uuid.uuid5(_NAMESPACE, f"{resource.kind}/{meta.name}"))
    return f"runs/{meta.namespace}/{FOLDERS[resource.kind]}/{meta.name}/{uid}"
