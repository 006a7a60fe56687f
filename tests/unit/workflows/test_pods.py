"""Pods: quantities, resources, and which patches are let through."""

from __future__ import annotations

import pytest

from ups_core.api.common import Resources
from ups_core.errors import InvalidSpec
from ups_workflows.engines.pods import pod_patch, resources, times


@pytest.mark.parametrize(
    ("quantity", "factor", "result"),
    [("1Gi", 2.0, "2048Mi"), ("100M", 1.5, "144Mi"), ("1.5Gi", 2.0, "3072Mi"), ("8Gi", 1.0, "8Gi")],
)
def test_memory_is_multiplied(quantity: str, factor: float, result: str):
    assert times(quantity, factor) == result


def test_what_is_named_is_a_limit_and_a_default_is_not():
    default = Resources.model_validate({"cpu": "1", "memory": "2Gi"})
    made = resources(Resources.model_validate({"memory": "4Gi"}), default, {"nvidia.com/gpu": 1}, 1.5)
    assert made.model_dump(exclude_none=True) == {
        "requests": {"cpu": "1", "memory": "6144Mi"},
        "limits": {"memory": "6144Mi", "nvidia.com/gpu": "1"},
    }


def test_patches_of_placement_are_let_through():
    made = pod_patch(
        [
            {"op": "add", "path": "/spec/nodeSelector/zone", "value": "a"},
            {"op": "add", "path": "/metadata/annotations/example.org~1team", "value": "fluids"},
        ],
        30,
    )
    assert made.spec["nodeSelector"] == {"zone": "a"}
    assert made.annotations == {"example.org/team": "fluids"}
    assert made.spec["terminationGracePeriodSeconds"] == 30


@pytest.mark.parametrize(
    "patch",
    [
        {"op": "add", "path": "/spec/hostNetwork", "value": True},
        {"op": "add", "path": "/spec/securityContext/runAsUser", "value": 0},
        {"op": "add", "path": "/spec/containers/0/securityContext", "value": {"privileged": True}},
        {"op": "add", "path": "/spec/nodeSelectorX", "value": {}},
        {"op": "remove", "path": "/spec/tolerations"},
        {"path": "/spec/tolerations", "value": []},
    ],
)
def test_patches_that_could_weaken_security_are_refused(patch: dict):
    with pytest.raises(InvalidSpec, match="not allowed"):
        pod_patch([patch], 30)
