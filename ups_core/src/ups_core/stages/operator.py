"""Stage ``operator``: the surrogate itself. With it a surrogate begins, so it is always kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import structlog

from ups_core.api.architectures import GridArchitecture
from ups_core.api.stages import OperatorConfig
from ups_core.evaluate.metrics import mean_defined, nrmse
from ups_core.models.advance import Solve
from ups_core.models.problem import boosted
from ups_core.stages.base import (
    Given,
    Judged,
    Prepared,
    domain_of,
    normaliser_of,
    problem_of,
    splits_of,
)
from ups_core.train import gate, observer, published
from ups_core.train.coding import decode
from ups_core.train.data import Split
from ups_core.train.mesh import SteadyMesh
from ups_core.train.tasks import Steady, Task, Transient

log = structlog.get_logger()


def prepare(given: Given, config: OperatorConfig, seed: int) -> Prepared:
    problem, normaliser = problem_of(given.trained_on)
    config = config.resolved(
        steady=problem.steady,
        dimensions=problem.dimensions,
        scattered=problem.scattered,
        linear=problem.linear,
    )
    assert config.architecture != "default"
    splits = splits_of(given.trained_on)
    began, seen = time.process_time(), {}
    moving = isinstance(config.architecture, GridArchitecture) and config.architecture.galilean
    if moving and not given.latents and observer.unsaid(problem):
        trial = observer.trial(problem, normaliser, *splits)
        seen = {"galilean": asdict(trial) if trial else None}
        log.info("asked whether the field is the velocity that carries itself", **seen)
        if trial and trial.found:
            problem = boosted(problem, normaliser.fields.scale[0])
            normaliser = normaliser_of(given.trained_on, problem)
    asking = time.process_time() - began
    problem = replace(problem, leads=tuple(config.leads))
    settings = config.architecture.fitted(problem).to_dict()
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
    told = {"seen": seen} if seen else {}
    return Prepared(
        task, facts, lambda figure: Judged(gate.first("operator", metric, figure), told), cpu_seconds=asking
    )


def _decoded_error(given: Given) -> Callable[[np.ndarray], float]:
    """Rollouts of codes, (N, T, C, X'[, Y']), to the error of the fields they mean."""
    assert given.model is not None
    codec, val = _codec(given.model), Split.read(given.data / "val")
    truth = val.u[:, 1:].numpy()
    return lambda z: float(mean_defined(nrmse(decode(codec, z, val.parameters), truth)))


def _codec(folder: Path) -> published.Model:
    return published.read(folder, published.NAMES["codec"])
