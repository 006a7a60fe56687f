"""Stage ``operator``: the surrogate itself. With it a surrogate begins, so it is always kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import structlog

from ups_core.api.architectures import GridArchitecture
from ups_core.api.stages import OperatorConfig
from ups_core.evaluate.metrics import mean_defined, nrmse
from ups_core.models.advance import Solve
from ups_core.models.problem import Problem
from ups_core.stages.base import Given, Judged, Prepared, domain_of, problem_of, splits_of
from ups_core.train import gate, observer, published
from ups_core.train.coding import decode
from ups_core.train.data import Split
from ups_core.train.mesh import SteadyMesh
from ups_core.train.normaliser import Normaliser
from ups_core.train.tasks import Steady, Task, Transient

log = structlog.get_logger()


def prepare(given: Given, config: OperatorConfig, seed: int) -> Prepared:
    problem, normaliser = problem_of(given.trained_on)
    config = config.resolved(
        steady=problem.steady,
        dimensions=problem.dimensions,
        mesh=problem.mesh,
        linear=problem.linear,
        galilean=problem.boost is not None,
    )
    assert config.architecture != "default"
    splits = splits_of(given.trained_on)
    seen = None
    moving = isinstance(config.architecture, GridArchitecture) and config.architecture.galilean
    if moving and not given.latents and observer.unsaid(problem):
        problem, seen = seen_moving(problem, normaliser, *splits)
    problem = replace(problem, leads=tuple(config.leads))
    settings = config.architecture.to_dict()
    network = published.build("operator", settings, problem)
    domain = domain_of(given, network)
    facts = published.describe("operator", settings, network, problem, normaliser, domain)
    facts["training"] = {name: value for name, value in config.to_dict().items() if name != "architecture"}
    task: Task
    if problem.steady:
        facts["testTimeAugmentation"] = config.test_time_augmentation
    if problem.steady and problem.mesh:
        task = SteadyMesh(network, problem, normaliser, *splits, config)
    elif problem.steady:
        assert isinstance(network, Solve)
        task = Steady(network, problem, normaliser, *splits, config)
    else:
        decoded = _decoded_error(given) if given.latents else None
        task = Transient(network, problem, normaliser, *splits, config, decoded)
    metric = task.metric
    found = {} if seen is None else {"seen": {"galilean": asdict(seen)}}
    return Prepared(task, facts, lambda figure: Judged(gate.first("operator", metric, figure), found))


def seen_moving(
    problem: Problem, normaliser: Normaliser, train: Split, val: Split
) -> tuple[Problem, observer.Trial | None]:
    """The problem as training data show it to a network, and what that answered."""
    assert problem.dt is not None
    cell = problem.spacing[0] / problem.dt / normaliser.fields.scale[0]
    seen = observer.trial(problem, cell, normaliser, train, val)
    if seen is not None:
        log.info("asked whether the field carries itself", speed=seen.speed, rest=seen.rest, found=seen.found)
    return (replace(problem, boost=cell) if seen and seen.found else problem), seen


def _decoded_error(given: Given) -> Callable[[np.ndarray], float]:
    """Rollouts of codes, (N, T, Z, X'[, Y']) in units of the codes, to the error of the fields they mean."""
    assert given.model is not None
    codec, truth = _codec(given.model), Split.read(given.data / "val").u[:, 1:].numpy()
    return lambda z: float(mean_defined(nrmse(decode(codec, z), truth)))


def _codec(folder: Path) -> published.Model:
    return published.read(folder, published.NAMES["codec"])
