"""What can be known to fail before any compute is spent: ``ups check``.

Every check runs, whatever the others found; each finding is an error with its own exit code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from ups_core.api import Dataset, TrainingRun
from ups_core.api.dataset import DatasetSpec, SplitRule
from ups_core.api.load import Resources
from ups_core.api.templates import expanded
from ups_core.data.families import check_own
from ups_core.data.families import family as family_of
from ups_core.data.sources import fingerprint
from ups_core.data.splits import check_where
from ups_core.errors import CredentialsInvalid, InvalidSpec, UpsError
from ups_core.store import check_conditional_create, lookup, open_store


def findings(resources: Resources, store_uri: str) -> list[UpsError]:
    """All that is wrong with resources, their sources and the store."""
    found: list[UpsError] = []
    for check in _checks(resources, store_uri):
        try:
            check()
        except UpsError as error:
            found.append(error)
    return found


def _checks(resources: Resources, store_uri: str) -> Iterator[Callable[[], object]]:
    yield lambda: check_store(store_uri)
    for dataset in resources.datasets.values():
        yield from _dataset_checks(dataset.spec, f"Dataset {dataset.metadata.name}")
    for run in resources.runs.values():
        if run.spec.dataset is not None:
            yield from _dataset_checks(run.spec.dataset, f"TrainingRun {run.metadata.name}")
        yield lambda run=run: check_reference(run, resources, store_uri)
        yield lambda run=run: check_run(run, resources)
        yield lambda run=run: check_tracking(run)


def _dataset_checks(spec: DatasetSpec, where: str) -> Iterator[Callable[[], object]]:
    yield lambda: check_own(spec.described)
    yield lambda: family_of(spec.described)
    yield lambda: check_simulation(spec, where)
    yield lambda: check_where(spec.to_dict()["splits"], family_of(spec.described))
    if spec.source.simulate is None:
        yield lambda: fingerprint({**spec.source.to_dict(), "family": spec.of_arrays})


def check_store(uri: str) -> None:
    """The store answers, can be written to, and honours a conditional write."""
    check_conditional_create(open_store(uri))


def check_simulation(spec: DatasetSpec, where: str) -> None:
    """The family can simulate with these parameters, and there are samples enough for the splits."""
    simulate = spec.source.simulate
    if simulate is None:
        return
    family = family_of(spec.described)
    if family.simulate is None:
        raise InvalidSpec(
            f"{spec.family} has no simulator",
            where=f"{where}: spec.source.simulate",
            fix="give spec.source.uri",
        )
    if unknown := sorted(set(simulate.params) - set(family.defaults)):
        raise InvalidSpec(
            f"{spec.family} has no such parameter",
            where=f"{where}: spec.source.simulate.params",
            found=", ".join(unknown),
            expected=", ".join(family.defaults),
        )
    samples = simulate.samples or (simulate.train or 0) + (simulate.test or 0)
    counts = [n for n in spec.splits.values() if isinstance(n, int)]
    # What is extreme is in no other split, but may be so in two respects.
    extreme = [r.count for r in spec.splits.values() if isinstance(r, SplitRule) and r.largest and r.count]
    counts += [max(extreme)] if extreme else []
    if sum(counts) > samples:
        raise InvalidSpec(
            "the splits ask for more samples than are simulated",
            where=f"{where}: spec.splits",
            found=f"{' + '.join(map(str, counts))} = {sum(counts)}",
            expected=f"at most {samples}",
            fix=f"set spec.source.simulate.samples to {sum(counts)}",
        )


def check_reference(run: TrainingRun, resources: Resources, store_uri: str) -> None:
    """The dataset is in the file or in the registry."""
    ref = run.spec.dataset_ref
    if ref is not None and ref.name not in resources.datasets:
        lookup(open_store(store_uri), run.metadata.namespace, ref.name, ref.version)


def check_run(run: TrainingRun, resources: Resources) -> None:
    """The split that is reported exists."""
    spec = expanded(run).spec
    dataset: Dataset | None = resources.datasets.get(spec.dataset_ref.name) if spec.dataset_ref else None
    data = spec.dataset or (dataset.spec if dataset else None)
    split = spec.evaluation.split
    if data is not None and split not in data.splits:
        raise InvalidSpec(
            "the dataset has no such split",
            where=f"TrainingRun {run.metadata.name}: spec.evaluation.split",
            found=split,
            expected=", ".join(data.splits),
        )


def check_tracking(run: TrainingRun) -> None:
    """Online tracking needs a key in the environment."""
    if run.spec.tracking.wandb.mode == "online" and not os.environ.get("WANDB_API_KEY"):
        raise CredentialsInvalid(
            "W&B is asked for, and there is no key",
            where=f"TrainingRun {run.metadata.name}: spec.tracking.wandb.mode",
            expected="WANDB_API_KEY in the environment",
            fix="export WANDB_API_KEY=..., or set mode to offline",
        )
