"""The ``ComputeClass`` resource: a kind of node, what it costs and how fast it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ups_core.api.common import API_VERSION, Metadata
from ups_core.api.model import Model, NonNegativeInt, PositiveFloat, Rule


class Capacity(Model):
    """One way to buy this kind of node."""

    node_selector: Annotated[dict[str, str], Field(max_length=16)] = {}
    """Labels of its nodes."""
    tolerations: Annotated[list[dict[str, Any]], Field(max_length=16)] = []
    """Taints of its nodes that steps tolerate, as Kubernetes has them."""
    price_per_hour_usd: Annotated[float, Field(ge=0)]
    """Price of one node for one hour, US dollars."""


class ComputeClassSpec(Model):
    """A kind of node."""

    resource: Annotated[str, Field(max_length=128)] | None = None
    """Extended resource of its accelerators, e.g. `nvidia.com/gpu`; none for CPU nodes."""
    gpus_per_node: NonNegativeInt = 0
    """Accelerators a node."""
    memory_gib: PositiveFloat | None = Field(default=None, alias="memoryGiB")
    """Memory a node, GiB."""
    on_demand: Capacity | None = None
    """Nodes that stay."""
    spot: Capacity | None = None
    """Nodes that can be taken away."""
    reference: Annotated[dict[str, PositiveFloat], Field(max_length=32)] = {}
    """Measured throughput, samples per second by architecture, for estimates."""

    rules = (Rule("has(self.onDemand) || has(self.spot)", "give onDemand, spot or both"),)

    @model_validator(mode="after")
    def _some_capacity(self) -> ComputeClassSpec:
        if self.on_demand is None and self.spot is None:
            raise ValueError("give onDemand, spot or both")
        return self


class ComputeClass(Model):
    """A kind of node that stages can ask for by name. Cluster scoped."""

    api_version: Literal["ups.dev/v1alpha1"] = API_VERSION
    """Always `ups.dev/v1alpha1`."""
    kind: Literal["ComputeClass"] = "ComputeClass"
    """Always `ComputeClass`."""
    metadata: Metadata
    """Name of the class."""
    spec: ComputeClassSpec
    """What it is."""
