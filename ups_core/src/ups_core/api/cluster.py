"""Resources as the API server gives them.

Its metadata has more fields than a file would hold, and it grows; a status is its controller's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ups_core.api import KINDS, ComputeClass, Dataset, TrainingRun
from ups_core.errors import InvalidSpec

#: What identifies a resource, and what its record is named by.
_METADATA = ("name", "namespace", "uid", "generation")


def from_cluster(obj: Mapping[str, Any]) -> TrainingRun | Dataset | ComputeClass:
    """The model of a resource, without its status. InvalidSpec names every field that is wrong."""
    metadata = {name: obj["metadata"][name] for name in _METADATA if name in obj["metadata"]}
    kind = obj["kind"]
    try:
        return KINDS[kind].model_validate(
            {"apiVersion": obj["apiVersion"], "kind": kind, "metadata": metadata, "spec": obj["spec"]}
        )
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()
        )
        raise InvalidSpec(
            "the resource is not valid", where=f"{kind} {metadata['name']}", found=found
        ) from error
