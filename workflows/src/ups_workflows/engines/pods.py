"""What every pod of a Workflow has in common: image, environment, volumes, security, and where it is placed.

Everything satisfies the ``restricted`` Pod Security Standard, Argo's own containers included, which takes a
patch since their manifests are Argo's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hera.workflows import models as k8s

from ups_core.api import Dataset, TrainingRun
from ups_core.api.common import Artifacts
from ups_core.api.common import Resources as AskedResources
from ups_core.api.trainingrun import Stage
from ups_core.data.sources import ENVIRONMENT as SOURCE_ENVIRONMENT
from ups_core.errors import InvalidSpec
from ups_core.steps import STEPS
from ups_workflows.engines.compute import Compute
from ups_workflows.installation import Installation

#: Who steps run as; the images say so too, but a kubelet cannot see that of a name.
USER = 65532
#: Seconds between two reports of progress: Argo's default is a minute, too long to look at.
PROGRESS_SECONDS = 15

SHM = "ups-shm"
_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_SUFFIXES = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


@dataclass(frozen=True)
class Pod:
    """The common part of a resource's pods. ``artifacts`` is what holds for it, defaults put in."""

    resource: TrainingRun | Dataset
    installation: Installation
    artifacts: Artifacts

    def container(self, step: str) -> dict[str, Any]:
        """Image, environment, mounts and security of the container of a step."""
        role = STEPS[step].image
        image = getattr(self.resource.spec.image, role) or getattr(self.installation.images, role)
        return {
            "image": image,
            "image_pull_policy": self.installation.image_pull_policy,
            "env": self.environment(),
            "env_from": self.secrets(step),
            "volume_mounts": [
                mount for volume, mount in self.volumes() if role == "torch" or volume.name != SHM
            ],
            "security_context": k8s.SecurityContext(
                allow_privilege_escalation=False,
                capabilities=k8s.Capabilities(drop=["ALL"]),
                read_only_root_filesystem=True,
                run_as_non_root=True,
            ),
        }

    def environment(self) -> list[k8s.EnvVar]:
        """Where the store is, and the resource's own variables. Credentials come from Secrets alone."""
        known = {"AWS_ENDPOINT_URL": self.artifacts.endpoint, "AWS_REGION": self.artifacts.region}
        own = {variable.name: variable.value for variable in self.resource.spec.env}
        return [
            k8s.EnvVar(name=name, value=value)
            for name, value in {**known, **own}.items()
            if value is not None
        ]

    def secrets(self, step: str) -> list[k8s.EnvFromSource]:
        """Credentials of the store for all; of the source for who reads it; of the tracker for training."""
        found = [("", self.artifacts.secret_ref)]
        if isinstance(self.resource, Dataset) and step in ("resolve", "fetch"):
            found.append((SOURCE_ENVIRONMENT, self.resource.spec.source.secret_ref))
        if isinstance(self.resource, TrainingRun) and step == "train":
            found.append(("", self.resource.spec.tracking.wandb.secret_ref))
        return [
            k8s.EnvFromSource(prefix=prefix or None, secret_ref=k8s.SecretEnvSource(name=ref.name))
            for prefix, ref in found
            if ref is not None
        ]

    def volumes(self) -> list[tuple[k8s.Volume, k8s.VolumeMount]]:
        """Scratch, since the root file system is read-only; shared memory for torch; the resource's own."""
        # The 64 MiB of shared memory that a container has by default are too few for data loaders.
        scratch = [("ups-work", "/work", None), ("ups-tmp", "/tmp", None), (SHM, "/dev/shm", "Memory")]
        found = [
            (
                k8s.Volume(name=name, empty_dir=k8s.EmptyDirVolumeSource(medium=medium)),
                k8s.VolumeMount(name=name, mount_path=path),
            )
            for name, path, medium in scratch
        ]
        for volume in self.resource.spec.volumes:
            claim, nfs = volume.persistent_volume_claim, volume.nfs
            source: dict[str, Any] = {}
            if claim is not None:
                source["persistent_volume_claim"] = k8s.PersistentVolumeClaimVolumeSource(
                    claim_name=claim.claim_name, read_only=claim.read_only
                )
            if nfs is not None:
                source["nfs"] = k8s.NFSVolumeSource(server=nfs.server, path=nfs.path, read_only=nfs.read_only)
            read_only = claim.read_only if claim else nfs.read_only if nfs else None
            found.append(
                (
                    k8s.Volume(name=volume.name, **source),
                    k8s.VolumeMount(name=volume.name, mount_path=volume.mount_path, read_only=read_only),
                )
            )
        return found

    def placed(self, stage: Stage | None, compute: Compute | None, memory_factor: float) -> dict[str, Any]:
        """Resources, node selector and tolerations: of a stage, or of a step that needs no such node."""
        if stage is None:
            asked = self.resource.spec.resources if isinstance(self.resource, Dataset) else AskedResources()
            return {"resources": resources(asked, self.installation.resources.data, {}, 1.0)}
        accelerators = compute.accelerators(stage) if compute else {}
        placed: dict[str, Any] = {
            "resources": resources(
                stage_resources(stage), self.installation.resources.torch, accelerators, memory_factor
            )
        }
        capacity = compute.capacity(stage.name) if compute else None
        if capacity is not None:
            placed["node_selector"] = dict(capacity.node_selector) or None
            tolerations = [k8s.Toleration.model_validate(each) for each in capacity.tolerations]
            placed["tolerations"] = tolerations or None
        return placed

    def security(self) -> k8s.PodSecurityContext:
        return k8s.PodSecurityContext(
            run_as_non_root=True,
            run_as_user=USER,
            run_as_group=USER,
            fs_group=USER,
            seccomp_profile=k8s.SeccompProfile(type="RuntimeDefault"),
        )

    def image_pull_secrets(self) -> list[k8s.LocalObjectReference] | None:
        refs = [*self.resource.spec.image_pull_secrets, *self.installation.image_pull_secrets]
        return [k8s.LocalObjectReference(name=ref.name) for ref in refs] or None


def stage_resources(stage: Stage) -> AskedResources:
    """What a stage asks for, its scratch disk included."""
    asked = stage.resources
    if stage.scratch_gib and asked.ephemeral_storage is None:
        asked = asked.model_copy(update={"ephemeral_storage": f"{stage.scratch_gib}Gi"})
    return asked


def resources(
    asked: AskedResources, default: AskedResources, accelerators: dict[str, int], memory_factor: float
) -> k8s.ResourceRequirements:
    """Requests and limits. What a resource names is both, so that its pod is neither starved nor greedy;
    defaults are requests alone."""
    memory = times(asked.memory, memory_factor) if asked.memory else None
    requests = {
        "cpu": asked.cpu or default.cpu,
        "memory": memory or default.memory,
        "ephemeral-storage": asked.ephemeral_storage or default.ephemeral_storage,
    }
    # An extended resource needs a limit alone: Kubernetes takes it for the request.
    limits = {"cpu": asked.cpu, "memory": memory, "ephemeral-storage": asked.ephemeral_storage}
    limits |= {name: str(count) for name, count in accelerators.items()}
    return k8s.ResourceRequirements(
        requests={name: k8s.Quantity(given) for name, given in requests.items() if given},
        limits={name: k8s.Quantity(given) for name, given in limits.items() if given} or None,
    )


def times(quantity: str, factor: float) -> str:
    """A Kubernetes quantity of memory, multiplied.

    >>> times("16Gi", 1.5), times("512Mi", 1.0)
    ('24576Mi', '512Mi')
    """
    if factor == 1.0:
        return quantity
    matched = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity)
    assert matched is not None  # the model has checked its pattern
    return f"{math.ceil(float(matched[1]) * _SUFFIXES[matched[2]] * factor / 2**20)}Mi"


@dataclass(frozen=True)
class Patch:
    """What a run changes of its pods, and what Restricted needs of Argo's containers."""

    spec: dict[str, Any]
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


#: What ``spec.podPatches`` may touch: placement and naming, nothing that could weaken security.
PATCHABLE = (
    "/spec/nodeSelector",
    "/spec/tolerations",
    "/spec/affinity",
    "/spec/topologySpreadConstraints",
    "/spec/runtimeClassName",
    "/spec/schedulerName",
    "/spec/dnsConfig",
    "/spec/hostAliases",
    "/metadata/labels",
    "/metadata/annotations",
)


def pod_patch(patches: Sequence[dict[str, Any]], grace_seconds: int) -> Patch:
    """``spec.podPatches``, JSON patches (RFC 6902) with ``op: add``, checked against the allow-list."""
    interval = {"name": "ARGO_PROGRESS_PATCH_TICK_DURATION", "value": f"{PROGRESS_SECONDS}s"}
    whole: dict[str, Any] = {
        "spec": {
            "terminationGracePeriodSeconds": grace_seconds,
            "initContainers": [{"name": "init", "securityContext": _RESTRICTED}],
            "containers": [{"name": "wait", "securityContext": _RESTRICTED, "env": [interval]}],
        },
        "metadata": {"labels": {}, "annotations": {}},
    }
    for number, each in enumerate(patches):
        path = str(each.get("path", ""))
        root = next((known for known in PATCHABLE if path == known or path.startswith(f"{known}/")), None)
        if each.get("op") != "add" or root is None or "value" not in each:
            raise InvalidSpec(
                "this patch of a pod is not allowed",
                where=f"spec.podPatches[{number}]",
                found=each,
                expected=f"op add, a value, and a path below {', '.join(PATCHABLE)}",
            )
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
        target = whole
        for part in parents:
            target = target.setdefault(part, {})
        target[last] = each["value"]
    return Patch(whole["spec"], whole["metadata"]["labels"], whole["metadata"]["annotations"])
