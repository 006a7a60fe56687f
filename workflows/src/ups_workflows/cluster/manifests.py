"""What is sent to the cluster: the resources of a file as a person wrote them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ups_core.api import ComputeClass, Dataset, TrainingRun
from ups_core.api.dataset import DatasetSpec
from ups_core.api.load import Resources
from ups_core.errors import InvalidSpec


def documents(resources: Resources) -> list[dict[str, Any]]:
    """Every resource, in the order in which they need each other. Defaults are left to the API server.

    InvalidSpec where one could not run there.
    """
    found = []
    for each in (*resources.classes.values(), *resources.datasets.values(), *resources.runs.values()):
        check_sources(each)
        document = each.model_dump(mode="json", by_alias=True, exclude_unset=True)
        document |= {"apiVersion": each.api_version, "kind": each.kind}
        document.pop("status", None)
        found.append(document)
    return found


def in_store(resources: Resources, store: str | None) -> Resources:
    """The same resources, kept in ``store`` where it is given: as if each named it."""
    if store is None:
        return resources
    if not store.startswith(("s3://", "file://")):
        raise InvalidSpec(
            "a folder of this machine is no store of a cluster",
            where="--store",
            found=store,
            expected="s3://bucket/prefix",
            fix="--store s3://bucket/prefix",
        )

    def moved(resource: Any) -> Any:
        artifacts = resource.spec.artifacts.model_copy(update={"store": store})
        return resource.model_copy(update={"spec": resource.spec.model_copy(update={"artifacts": artifacts})})

    return Resources(
        {name: moved(dataset) for name, dataset in resources.datasets.items()},
        {name: moved(run) for name, run in resources.runs.items()},
        resources.classes,
    )


def check_sources(resource: ComputeClass | Dataset | TrainingRun) -> None:
    """InvalidSpec where raw data lie on this machine, which no pod can see."""
    for where, spec in _dataset_specs(resource):
        uri = spec.source.uri
        mounts = [PurePosixPath(volume.mount_path) for volume in spec.volumes]
        if uri is None or "://" in uri or any(PurePosixPath(uri).is_relative_to(m) for m in mounts):
            continue
        raise InvalidSpec(
            "a folder of this machine is not on the cluster",
            where=f"{resource.kind} {resource.metadata.name}: {where}.source.uri",
            found=uri,
            expected=f"s3://bucket/prefix, or a path below {where}.volumes[].mountPath",
            fix=f"aws s3 sync {uri} s3://BUCKET/PREFIX",
        )


def _dataset_specs(resource: ComputeClass | Dataset | TrainingRun) -> Iterator[tuple[str, DatasetSpec]]:
    if isinstance(resource, Dataset):
        yield "spec", resource.spec
    if isinstance(resource, TrainingRun) and resource.spec.dataset is not None:
        yield "spec.dataset", resource.spec.dataset
