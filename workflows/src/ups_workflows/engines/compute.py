"""Where paid steps run and what an hour of them costs: a ComputeClass with its capacity chosen. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ups_core.api import ComputeClass, TrainingRun
from ups_core.api.computeclass import Capacity
from ups_core.api.templates import expanded
from ups_core.api.trainingrun import Stage
from ups_core.errors import BudgetExceeded, InvalidSpec
from ups_workflows.plan import PEER, Plan

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Compute:
    """The class of each stage, by the stage's name, and which capacity of it this attempt uses.

    A stage that asks for no class runs on whatever node there is and costs nothing we know of.
    """

    classes: Mapping[str, ComputeClass]
    spot: bool = False

    def capacity(self, stage: str) -> Capacity | None:
        """Nodes and price for a stage."""
        found = self.classes.get(stage)
        if found is None:
            return None
        return found.spec.spot if self.spot else found.spec.on_demand

    def accelerators(self, stage: Stage) -> dict[str, int]:
        """Extended resources that a stage's pod asks for: one accelerator a process."""
        found = self.classes.get(stage.name)
        return {found.spec.resource: stage.processes} if found and found.spec.resource else {}

    def usd_per_hour(self, stage: Stage) -> float:
        """Price of one pod of a stage: of the node, or of its share of the node's accelerators."""
        found, capacity = self.classes.get(stage.name), self.capacity(stage.name)
        if found is None or capacity is None:
            return 0.0
        share = stage.processes / found.spec.gpus_per_node if found.spec.gpus_per_node else 1.0
        return capacity.price_per_hour_usd * share


class Deadline(NamedTuple):
    """How long an attempt may last, and which limit that is: the spec's or the budget's."""

    seconds: int
    limit: Literal["DeadlineExceeded", "BudgetExceeded"]


def compute_for(run: TrainingRun, classes: Mapping[str, ComputeClass], preemptions: int) -> Compute:
    """The classes that a run's stages ask for, on spot nodes or on demand.

    ``SpotThenOnDemand`` leaves spot after ``spec.retry.spotPreemptions`` preemptions. InvalidSpec where
    a class is missing, lacks the capacity or the accelerators, or where a budget has no price to count by.
    """
    spec = expanded(run).spec
    spot = spec.capacity == "Spot" or (
        spec.capacity == "SpotThenOnDemand" and preemptions < spec.retry.spot_preemptions
    )
    chosen: dict[str, ComputeClass] = {}
    for stage in spec.stages:
        where = f"TrainingRun {run.metadata.name}: spec.stages[{stage.name}]"
        name = stage.compute_class or spec.compute_class
        if name is None:
            continue
        if name not in classes:
            raise InvalidSpec(
                "there is no such ComputeClass",
                where=f"{where}.computeClass",
                found=name,
                expected=", ".join(sorted(classes)) or "none is installed",
                fix="kubectl get computeclasses",
            )
        check_class(classes[name], stage, spec.capacity, where)
        chosen[stage.name] = classes[name]
    if spec.budget is not None and len(chosen) < len(spec.stages):
        raise InvalidSpec(
            "a budget needs a price",
            where=f"TrainingRun {run.metadata.name}: spec.budget",
            found="a stage without a ComputeClass",
            expected="spec.computeClass",
            fix="kubectl get computeclasses",
        )
    return Compute(chosen, spot=spot)


def check_class(found: ComputeClass, stage: Stage, capacity: str, where: str) -> None:
    """The class has the accelerators that the stage asks for, and every capacity that the run may use."""
    if found.spec.resource and stage.processes > found.spec.gpus_per_node:
        raise InvalidSpec(
            "the class has fewer accelerators a node than the stage has processes",
            where=where,
            found=f"{stage.processes} processes",
            expected=f"at most {found.spec.gpus_per_node} on {found.metadata.name}",
        )
    needed = {"Spot": ("spot",), "OnDemand": ("onDemand",), "SpotThenOnDemand": ("spot", "onDemand")}
    offered = {"spot": found.spec.spot, "onDemand": found.spec.on_demand}
    if missing := [name for name in needed[capacity] if offered[name] is None]:
        raise InvalidSpec(
            "the class does not offer the capacity that is asked for",
            where=where,
            found=f"capacity {capacity}",
            expected=f"{found.metadata.name} with {' and '.join(missing)}",
        )


def paid_stage(run: TrainingRun, step: str) -> Stage | None:
    """The stage on whose node a step runs: training on its own, encoding on the codec's, evaluation on the
    last one's; None for all that needs no such node."""
    stages = expanded(run).spec.stages
    one = step.partition("-seed")[0]  # of all seeds
    for stage in stages:
        if one == f"train-{stage.name}":
            return stage
    if one == "encode":
        return next(stage for stage in stages if stage.name == "codec")
    return stages[-1] if one in ("evaluate", PEER) else None


def deadline(run: TrainingRun, compute: Compute, spent_usd: float, *, grace_seconds: int) -> Deadline | None:
    """How long the next attempt may last, if anything limits it.

    Money lasts for ``(cap - spent) / rate``, where the chains of ``evaluation.seeds`` and the trained peers
    may run side by side and add up their rates. A reserve of ``grace_seconds`` of it is kept: the last
    checkpoint costs too. BudgetExceeded where not even a minute is left.
    """
    spec = expanded(run).spec
    limits: list[Deadline] = []
    if spec.active_deadline_seconds is not None:
        limits.append(Deadline(spec.active_deadline_seconds, "DeadlineExceeded"))
    rate = max((compute.usd_per_hour(stage) for stage in spec.stages), default=0.0)
    rate *= chains(run)
    if spec.budget is not None and rate > 0:
        left = spec.budget.usd - spent_usd
        seconds = int(left / rate * SECONDS_PER_HOUR) - grace_seconds
        if seconds < 60:
            raise BudgetExceeded(
                "the budget leaves no time for another attempt",
                where=f"TrainingRun {run.metadata.name}: spec.budget.usd",
                found=f"{spent_usd:.2f} of {spec.budget.usd:.2f} USD spent, {rate:.2f} USD an hour",
                expected=f"{(60 + grace_seconds) * rate / SECONDS_PER_HOUR:.2f} USD or more left",
                fix="raise spec.budget.usd, then count spec.restart up",
            )
        limits.append(Deadline(seconds, "BudgetExceeded"))
    return min(limits, default=None)


def chains(run: TrainingRun) -> int:
    """How many trainings of all stages there are: one for each seed, and as many again for the peer."""
    return run.spec.evaluation.seeds * (1 + ("fno" in run.spec.evaluation.peers))


def estimated_usd(run: TrainingRun, plan: Plan, compute: Compute) -> float | None:
    """What training of all stages and seeds costs by the classes' reference throughput, US dollars.

    Validation, evaluation and waiting for a node come on top. None where a paid stage is not limited by
    ``steps``, or its class has no figure for its architecture.
    """
    usd = 0.0
    for step in plan.steps:
        stage = paid_stage(run, step.name)
        if (
            step.step != "train"
            or step.name.startswith(PEER)
            or stage is None
            or not (rate := compute.usd_per_hour(stage))
        ):
            continue
        config = step.recipe["stages"][stage.name]["config"]
        architecture = config.get("architecture", {}).get("name", stage.name)
        per_second = compute.classes[stage.name].spec.reference.get(architecture)
        if per_second is None or config.get("steps") is None:
            return None
        samples = config["steps"] * config["batchSize"]
        usd += rate * samples / per_second / SECONDS_PER_HOUR
    seeds = run.spec.evaluation.seeds
    return round(usd * chains(run) / seeds, 2)
