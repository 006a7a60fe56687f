"""From a resource file to jobs: which dataset each run trains on, and the plan of the two."""

from __future__ import annotations

from dataclasses import dataclass

from ups_core.api import Dataset, TrainingRun
from ups_core.api.load import Resources
from ups_core.errors import InvalidSpec
from ups_core.preflight.checks import check_run
from ups_core.store import Store, lookup
from ups_workflows.plan import Plan, PlannedStep, RegisteredDataset, plan


@dataclass(frozen=True)
class Job:
    """One plan and the resources it serves: a Dataset, a TrainingRun, or a run with its dataset."""

    plan: Plan
    run: TrainingRun | None
    dataset: Dataset | None

    @property
    def main(self) -> TrainingRun | Dataset:
        resource = self.run or self.dataset
        assert resource is not None
        return resource

    @property
    def resources(self) -> list[TrainingRun | Dataset]:
        return [resource for resource in (self.dataset, self.run) if resource is not None]


def jobs(resources: Resources, store: Store) -> list[Job]:
    """One job for each run of the file, and one for each dataset that no run of it uses."""
    used: set[str] = set()
    found: list[Job] = []
    for run in resources.runs.values():
        check_run(run, resources)
        if run.spec.dataset is not None:
            dataset: Dataset | RegisteredDataset = own_dataset(run)
        else:
            assert run.spec.dataset_ref is not None
            name, version = run.spec.dataset_ref.name, run.spec.dataset_ref.version
            used.add(name)
            mine = resources.datasets.get(name)
            if mine is not None and version in (None, mine.spec.version):
                dataset = mine
            else:
                dataset = registered(store, run.metadata.namespace, name, version)
        made = dataset if isinstance(dataset, Dataset) else None
        found.append(Job(plan(run, dataset), run, made))
    for name, dataset in resources.datasets.items():
        if name not in used:
            found.append(Job(plan(None, dataset), None, dataset))
    return found


def own_dataset(run: TrainingRun) -> Dataset:
    """The Dataset that a run's inline ``spec.dataset`` becomes; it bears the run's name."""
    metadata = {"name": run.metadata.name, "namespace": run.metadata.namespace}
    assert run.spec.dataset is not None
    return Dataset.model_validate({"metadata": metadata, "spec": run.spec.dataset.to_dict()})


def registered(store: Store, namespace: str, name: str, version: str | None) -> RegisteredDataset:
    """A dataset that the file does not hold but the store does."""
    entry = lookup(store, namespace, name, version)
    return RegisteredDataset(entry["family"], converted=entry["data"], validated=entry["object"])


def narrowed(job: Job, *, only: str | None, until: str | None) -> frozenset[str] | None:
    """The steps that ``--only`` or ``--until`` leaves, given a stage's or a step's name."""
    if only:
        return frozenset({named(job.plan, only).name})
    if until:
        wanted, names = [named(job.plan, until)], set()
        while wanted:
            step = wanted.pop()
            names.add(step.name)
            wanted += [job.plan[giver] for giver in step.inputs.values() if not giver.startswith("objects/")]
        return frozenset(names)
    return None


def named(the_plan: Plan, name: str) -> PlannedStep:
    """A step by its own name or by its stage's."""
    for step in the_plan.steps:
        if name in (step.name, step.options.get("stage")):
            return step
    known = ", ".join(step.name for step in the_plan.steps)
    raise InvalidSpec("the plan has no such step", found=name, expected=known)
