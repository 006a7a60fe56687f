"""``ups plan --engine argo``: the Workflows that the operator would create for a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ups_core.api import ComputeClass, Dataset, TrainingRun
from ups_core.api.cluster import from_cluster
from ups_core.api.load import Resources
from ups_core.api.yamltext import dump
from ups_core.errors import InvalidSpec
from ups_core.steps.resolve import dealt, with_keys
from ups_workflows.cli.options import Output
from ups_workflows.cli.render import structured
from ups_workflows.cli.show import err
from ups_workflows.cluster.client import Cluster, ClusterUnavailable, connect, path_of
from ups_workflows.cluster.manifests import in_store
from ups_workflows.cluster.settings import installation as installed
from ups_workflows.engines.argo import workflow
from ups_workflows.engines.compute import compute_for, deadline
from ups_workflows.installation import Installation
from ups_workflows.jobs import own_dataset
from ups_workflows.plan import RegisteredDataset, plan

#: In place of a key that only ``resolve`` can compute, since it hashes files that nobody has read yet.
UNKNOWN = "known-when-resolved"


def print_workflows(
    resources: Resources, store: str | None, context: str | None, given: Path | None, output: Output
) -> None:
    """Write the manifests to standard output: YAML, or what ``output`` says."""
    settings, classes = (Installation.read(given), {}) if given else _asked(context)
    manifests = workflows(in_store(resources, store), settings, {**classes, **resources.classes})
    if output == "table":
        sys.stdout.write(dump(manifests))
    else:
        structured(manifests, output)


def workflows(
    resources: Resources, settings: Installation, classes: Mapping[str, ComputeClass]
) -> list[dict[str, Any]]:
    """The Workflow of the first attempt of every resource, a run's own Dataset before it. Pure."""
    own = [own_dataset(run) for run in resources.runs.values() if run.spec.dataset is not None]
    manifests = [
        workflow(dataset, plan(None, dataset), attempt=1, installation=settings)
        for dataset in (*resources.datasets.values(), *own)
    ]
    for run in resources.runs.values():
        compute = compute_for(run, classes, 0)
        limit = deadline(run, compute, 0.0, grace_seconds=settings.grace_seconds)
        manifests.append(
            workflow(
                run,
                plan(run, pinned(_dataset_of(run, resources))),
                attempt=1,
                installation=settings,
                compute=compute,
                deadline_seconds=limit.seconds if limit else None,
            )
        )
    return manifests


def pinned(dataset: Dataset) -> RegisteredDataset:
    """The objects that a run will find once its Dataset is Ready. Pure.

    The keys of simulated data follow from the spec; those of raw files from what is in them.
    """
    names = {"convert": UNKNOWN, "validate": UNKNOWN}
    if dataset.spec.source.simulate is not None:
        keyed = with_keys(dealt([step.to_dict() for step in plan(None, dataset).steps]), {}, {})
        names = {name: keyed[name]["key"] for name in names}
    return RegisteredDataset(
        dataset.spec.described, f"objects/convert/{names['convert']}", f"objects/validate/{names['validate']}"
    )


def _dataset_of(run: TrainingRun, resources: Resources) -> Dataset:
    if run.spec.dataset is not None:
        return own_dataset(run)
    assert run.spec.dataset_ref is not None
    name = run.spec.dataset_ref.name
    if name not in resources.datasets:
        raise InvalidSpec(
            "the Workflow of a run depends on its Dataset",
            where=f"TrainingRun {run.metadata.name}: spec.datasetRef",
            found=f"no Dataset {name} in the file",
            expected="both in one file",
            fix=f"kubectl get dataset {name} -o yaml, and add its spec to the file",
        )
    return resources.datasets[name]


def _asked(context: str | None) -> tuple[Installation, dict[str, ComputeClass]]:
    """Settings and classes of the cluster; of a bare installation where none can be asked."""
    try:
        cluster = connect(context)
        return installed(cluster), _classes(cluster)
    except (InvalidSpec, ClusterUnavailable) as error:
        if context is not None:
            raise
        err.print(f"no cluster is asked, the settings are those of a bare installation: {error.what}")
        return Installation(), {}


def _classes(cluster: Cluster) -> dict[str, ComputeClass]:
    found = [from_cluster(each) for each in cluster.items(path_of("ComputeClass", ""))]
    return {each.metadata.name: each for each in found if isinstance(each, ComputeClass)}
