"""The plan: which steps a Dataset and a TrainingRun need, in what order, each with its recipe.

``plan`` is pure and knows no engine: the local one and Argo run the same plan. Keys are not in it,
since they depend on the sources' fingerprints; ``resolve``, its first step, computes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ups_core.api import Dataset, TrainingRun
from ups_core.api.dataset import DatasetSpec
from ups_core.api.peers import fno
from ups_core.api.stages import ON_POINTS, STAGES, STEADY, CorrectorConfig, OperatorConfig, Training
from ups_core.api.templates import expanded
from ups_core.api.trainingrun import Stage
from ups_core.api.yamltext import dump
from ups_core.data.families import Described, check_own
from ups_core.data.families import family as family_of
from ups_core.errors import InvalidSpec
from ups_core.runs import record_of

#: The step that trains the peer ``fno``; of a further seed with its suffix.
PEER = "train-fno"


@dataclass(frozen=True)
class PlannedStep:
    """One container invocation, or ``shards`` of them, which ``resolve`` tells apart.

    ``recipe`` is what its key is made of, laid out as in the spec; ``options`` change no result.
    ``inputs`` maps a role to the name of the step that makes it, or to an object that is there
    already. ``record`` is where the resource it belongs to keeps its mutable files.
    """

    name: str
    step: str
    record: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    shards: int = 1
    timeout_seconds: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "step": self.step,
            "record": self.record,
            "recipe": dict(self.recipe),
            "options": dict(self.options),
            "inputs": dict(self.inputs),
            "shards": self.shards,
        }


@dataclass(frozen=True)
class Plan:
    """Steps in topological order, without ``resolve``, which every plan begins with."""

    steps: tuple[PlannedStep, ...]

    def __getitem__(self, name: str) -> PlannedStep:
        return next(step for step in self.steps if step.name == name)


@dataclass(frozen=True)
class RegisteredDataset:
    """A dataset that is published already: its registry entry stands for the steps that made it."""

    family: Described
    converted: str
    validated: str


def plan(run: TrainingRun | None, dataset: Dataset | RegisteredDataset) -> Plan:
    """The steps of a dataset, and of a training run on it if there is one.

    >>> from ups_core.api import Dataset
    >>> spec = {"family": "burgers1d", "source": {"simulate": {"samples": 8}}}
    >>> data = Dataset.model_validate({"metadata": {"name": "demo"}, "spec": spec})
    >>> [step.name for step in plan(None, data).steps]
    ['simulate', 'convert', 'validate', 'publish-dataset']
    """
    steps = list(dataset_steps(dataset)) if isinstance(dataset, Dataset) else []
    if run is not None:
        steps += run_steps(expanded(run), dataset)
    return Plan(tuple(steps))


def dataset_steps(dataset: Dataset) -> list[PlannedStep]:
    """resolve -> simulate | fetch -> convert -> validate -> publish."""
    spec, record = dataset.spec, record_of(dataset)
    check_own(spec.described)
    raw = raw_step(spec, record)
    convert = PlannedStep(
        name="convert",
        step="convert",
        record=record,
        recipe={"family": spec.of_arrays, "convert": spec.convert.to_dict()},
        inputs={"raw": raw.name},
    )
    validate = PlannedStep(
        name="validate",
        step="validate",
        record=record,
        recipe={
            "family": spec.described,
            "splits": spec.to_dict()["splits"],
            "seed": spec.seed,
            "validation": spec.validation.to_dict(),
        },
        inputs={"data": "convert"},
    )
    publish = PlannedStep(
        name="publish-dataset",
        step="publish",
        record=record,
        options={
            "register": {
                "namespace": dataset.metadata.namespace,
                "name": dataset.metadata.name,
                "version": spec.version,
            },
            "records": [record],
        },
        inputs={"validate": "validate"},
    )
    return [raw, convert, validate, publish]


def raw_step(spec: DatasetSpec, record: str) -> PlannedStep:
    """The step that brings raw files: ``fetch``, or ``simulate`` in shards."""
    source = spec.source
    if source.simulate is not None:
        # With the family's defaults written out: leaving one out, or changing one, must not share a key.
        params = family_of(spec.described).simulation_params(source.simulate.params)
        simulate = {**source.simulate.to_dict(), "params": dict(params)}
        return PlannedStep(
            name="simulate",
            step="simulate",
            record=record,
            recipe={"family": spec.described, "source": {"simulate": simulate}},
            shards=source.simulate.shards,
        )
    whole = source.to_dict()
    return PlannedStep(
        name="fetch",
        step="fetch",
        record=record,
        # What was asked for by name and hash; where it lies is no part of what it is.
        recipe={"source": {k: whole[k] for k in ("pattern", "sha256", "md5") if k in whole}},
        options={"source": {**whole, "family": spec.of_arrays}},
    )


def run_steps(run: TrainingRun, dataset: Dataset | RegisteredDataset) -> list[PlannedStep]:
    """cache -> train, stage by stage -> evaluate -> analyze -> publish.

    Each seed has its own train, evaluate and, where it is asked for, trained peer.
    """
    spec, record = run.spec, record_of(run)
    if isinstance(dataset, Dataset):
        family, converted, validated = dataset.spec.described, "convert", "validate"
    else:
        family, converted, validated = dataset.family, dataset.converted, dataset.validated
    cache = PlannedStep(
        name="cache", step="cache", record=record, inputs={"data": converted, "splits": validated}
    )
    evaluation = {k: v for k, v in spec.evaluation.to_dict().items() if k not in ("gates", "seeds")}
    steps, peers, evaluations = [cache], [], []
    for nth in range(spec.evaluation.seeds):
        suffix = f"-seed{nth}" if nth else ""
        trained = train_steps(run, family, seed=spec.seed + nth, suffix=suffix)
        steps += trained
        inputs = {"data": "cache", "model": trained[-1].name}
        if "fno" in spec.evaluation.peers:
            peers.append(fno_step(run, family, seed=spec.seed + nth, suffix=suffix))
            inputs["fno"] = peers[-1].name
        evaluations.append(
            PlannedStep(
                name=f"evaluate{suffix}",
                step="evaluate",
                record=record,
                recipe={"evaluation": evaluation},
                options={"threads": spec.threads},
                inputs=inputs,
            )
        )
    model = evaluations[0].inputs["model"]
    analyze = PlannedStep(
        name="analyze",
        step="analyze",
        record=record,
        recipe={"analysis": spec.analysis.to_dict()},
        inputs={"evaluation": "evaluate", "model": model, "data": "cache", "splits": validated},
    )
    publish = PlannedStep(
        name="publish",
        step="publish",
        record=record,
        options={
            "resources": as_yaml([dataset, run] if isinstance(dataset, Dataset) else [run]),
            "gates": [gate.to_dict() for gate in spec.evaluation.gates],
            "records": [*([record_of(dataset)] if isinstance(dataset, Dataset) else []), record],
        },
        inputs={"model": model, "analyze": "analyze"} | {step.name: step.name for step in evaluations},
    )
    return [*steps, *peers, *evaluations, analyze, publish]


def as_yaml(resources: list[Dataset | TrainingRun]) -> str:
    """Resources as a person would have written them: without defaults, as documents of one file."""
    documents = []
    for resource in resources:
        written = resource.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        documents.append({"apiVersion": resource.api_version, "kind": resource.kind, **written})
    return dump(documents)


def train_steps(run: TrainingRun, family: Described, *, seed: int, suffix: str) -> list[PlannedStep]:
    """One ``train`` for each stage, which takes the object of the one before.

    After a codec, ``encode`` makes what later stages train on. Which stages are kept is found out as they
    run; the plan is the same.
    """
    record = record_of(run)
    steps: list[PlannedStep] = []
    inputs = {"data": "cache"}
    configs = stage_configs(run.spec.stages, family)
    # Which model that is, the store knows: `resolve` finds it, and takes it into the key.
    resume = {"resumeFrom": run.spec.resume_from.to_dict()} if run.spec.resume_from else {}
    for stage in run.spec.stages:
        train = PlannedStep(
            name=f"train-{stage.name}{suffix}",
            step="train",
            record=record,
            recipe={
                "stages": {stage.name: {"config": configs[stage.name], "processes": stage.processes}},
                "seed": seed,
            },
            options={
                "stage": stage.name,
                "threads": run.spec.threads,
                "checkpoint": stage.checkpoint.to_dict(),
                "tracking": run.spec.tracking.to_dict(),
                **resume,
            },
            inputs=inputs,
            timeout_seconds=stage.timeout_seconds,
        )
        steps.append(train)
        inputs = {**inputs, "model": train.name}
        if stage.name == "codec":
            encode = PlannedStep(
                name=f"encode{suffix}",
                step="encode",
                record=record,
                options={"threads": run.spec.threads},
                inputs=inputs,
            )
            steps.append(encode)
            inputs = {**inputs, "latents": encode.name}
    return steps


def fno_step(run: TrainingRun, family: Described, *, seed: int, suffix: str) -> PlannedStep:
    """Training of the peer, for the CPU seconds that the stages of its seed have, or else will have taken.

    In the first case its key does not depend on theirs, so that one peer stands beside many runs.
    """
    spec = run.spec
    budgets = [float(stage.config.get("cpuBudgetSeconds") or 0) for stage in spec.stages]
    known, problem = sum(budgets) if all(budgets) else None, family_of(family)
    if problem.kind != "grid":
        raise InvalidSpec(
            "the peer fno needs a grid",
            where="spec.evaluation.peers",
            found=f"family {problem.name}, kind {problem.kind}",
            expected="persistence, solver",
            fix="remove fno from spec.evaluation.peers",
        )
    config = fno(steady=problem.steady, dimensions=len(problem.space), cpu_seconds=known)
    stages = spec.stages if known is None else []
    rivals = {f"rival-{stage.name}": f"train-{stage.name}{suffix}" for stage in stages}
    return PlannedStep(
        name=f"{PEER}{suffix}",
        step="train",
        record=record_of(run),
        recipe={"stages": {"operator": {"config": config, "processes": 1}}, "seed": seed},
        options={
            "stage": "operator",
            "threads": spec.threads,
            "checkpoint": spec.stages[-1].checkpoint.to_dict(),
        },
        inputs={"data": "cache", **rivals},
    )


def stage_configs(stages: Sequence[Stage], family: Described) -> dict[str, dict[str, Any]]:
    """The config of each stage, checked, with every default and ``default`` itself written out."""
    problem = family_of(family)
    steady, dimensions, scattered = problem.steady, len(problem.space), problem.kind != "grid"
    checked: dict[str, Training] = {}
    for stage in stages:
        if STEADY.get(stage.name, steady) != steady:
            raise InvalidSpec(
                f"stage {stage.name} is for {'transient' if steady else 'steady'} problems",
                where=f"spec.stages[{stage.name}]",
                found=f"the {'steady' if steady else 'transient'} family {problem.name}",
                fix=f"remove the stage {stage.name}",
            )
        if scattered and stage.name not in ON_POINTS:
            raise InvalidSpec(
                f"stage {stage.name} needs a grid",
                where=f"spec.stages[{stage.name}]",
                found=f"family {problem.name}, kind {problem.kind}",
                expected=", ".join(ON_POINTS),
                fix=f"remove the stage {stage.name}",
            )
        try:
            config = STAGES[stage.name].model_validate(stage.config)
            if isinstance(config, OperatorConfig):
                config = config.resolved(
                    steady=steady,
                    dimensions=dimensions,
                    scattered=scattered,
                    linear="codec" not in checked and problem.modes_evolve_apart,  # a coarse grid mixes modes
                )
                if "codec" in checked and getattr(config.architecture, "averages", False):
                    raise ValueError("architecture.averages is for fields: codes are averages already")
        except ValueError as error:
            raise InvalidSpec(
                "a stage's config is not valid", where=f"spec.stages[{stage.name}].config", found=error
            ) from error
        if isinstance(config, CorrectorConfig):
            operator = checked["operator"]
            assert isinstance(operator, OperatorConfig)
            assert operator.architecture != "default"
            config = config.resolved(operator.architecture, steady=steady, dimensions=dimensions)
        checked[stage.name] = config
    return {name: config.to_dict() for name, config in checked.items()}
