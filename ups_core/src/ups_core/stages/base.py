"""What every stage is given, and what it gives to the loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ups_core.data.families import family
from ups_core.errors import InvalidSpec
from ups_core.models.device import chosen_device
from ups_core.models.domain import Domain
from ups_core.models.problem import Problem
from ups_core.train.data import Split
from ups_core.train.gate import Verdict
from ups_core.train.normaliser import Normaliser
from ups_core.train.tasks import Task


@dataclass(frozen=True)
class Given:
    """The folders of a stage's inputs.

    Attributes
    ----------
    data, digest: the cached dataset, and the digest of its object.
    model: the object of the stage before; None for the first one.
    latents: the encoded dataset; None where no codec was kept.
    """

    data: Path
    digest: str
    model: Path | None = None
    latents: Path | None = None

    @property
    def trained_on(self) -> Path:
        """What the operator advances: codes where there are any, else the fields."""
        return self.latents or self.data


@dataclass(frozen=True)
class Judged:
    """The verdict on a trained stage, and what it adds to the description of its network.

    ``measured`` are figures that a clock gave: they belong to the step's metrics, and to no object.
    """

    verdict: Verdict
    facts: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A stage ready to train.

    Attributes
    ----------
    task: what is trained, for the loop.
    facts: the description of the network, as far as it is known before.
    judge: called with the best validation figure when ``task.model`` has its weights.
    cpu_seconds: what getting ready took, beside reading.
    """

    task: Task
    facts: dict[str, Any]
    judge: Callable[[float], Judged]
    cpu_seconds: float = 0.0


def problem_of(folder: Path) -> tuple[Problem, Normaliser]:
    """The problem of a cached or encoded dataset, and the normaliser of its training split."""
    dataset = json.loads((folder / "dataset.json").read_text())
    problem = Problem.read(folder, family(dataset["family"]))
    return problem, normaliser_of(folder, problem)


def normaliser_of(folder: Path, problem: Problem) -> Normaliser:
    """The normaliser of the training split of a cached or encoded dataset, for this problem."""
    statistics = json.loads((folder / "normaliser.json").read_text())
    return Normaliser.of(statistics, problem, Split.read(folder / "train").parameters)


def splits_of(folder: Path) -> tuple[Split, Split]:
    """Training, on the accelerator where there is one and it fits, and validation."""
    return Split.read(folder / "train").placed(chosen_device()), Split.read(folder / "val")


def domain_of(given: Given, network: nn.Module) -> Domain:
    """Of the fields themselves, also where the network works on codes of them."""
    at_rest = getattr(network, "boost", None) is not None
    return Domain.read(given.data, problem_of(given.data)[0], given.digest, at_rest=at_rest)


def enough_to_compare(val: Split, stage: str) -> None:
    """InvalidSpec where the validation split is too small to tell a gain from its spread."""
    if len(val) < 2:
        raise InvalidSpec(
            f"stage {stage} cannot be judged: one validation sample has no spread",
            where="spec.splits.val",
            found=f"{len(val)} sample",
            expected="at least 2, better 10 or more",
            fix="give the Dataset's spec.splits.val more samples",
        )
