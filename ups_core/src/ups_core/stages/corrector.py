"""What the stages ``diffusion`` and ``steady-prior`` share: a corrector, trained and calibrated.

One factor on all samples makes the spread of ensembles true: too sure an operator, since it knows its
training samples, would make too small residuals. It is found on the validation split, where the central
interval should hold as much as it says.

What a residual is, no single step can tell: a part of the state, with which the dynamics go on, or of its
observation, which leaves the state alone. Both are tried on validation rollouts, and the better is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from ups_core.api.stages import CorrectorConfig
from ups_core.evaluate.ensemble import CENTRAL, Scores, scores
from ups_core.models.corrector import Corrector
from ups_core.stages.base import Given, Judged, Prepared, enough_to_compare, splits_of
from ups_core.surrogate import Surrogate
from ups_core.train import gate, published
from ups_core.train.data import Split
from ups_core.train.gate import Verdict
from ups_core.train.published import Model
from ups_core.train.residuals import Denoising, Residuals

#: The smallest and largest factor on the spread, and how many are tried.
SMALLEST, LARGEST, TRIALS = 1 / 16, 16.0, 4
#: A coverage this close to the central interval's share is near enough.
NEAR = 0.01
Q = NormalDist()


def prepare(given: Given, config: CorrectorConfig, seed: int, *, stage: str) -> Prepared | Verdict:
    assert given.model is not None
    surrogate = Surrogate.load(given.model)
    operator = surrogate.operator
    problem, normaliser = operator.problem, operator.normaliser
    train, val = splits_of(given.trained_on)
    enough_to_compare(val, stage)
    compared = compared_on(given)
    before = scores(surrogate, *compared, seed)
    metrics = ("crps", "rel_l2") if problem.steady else ("rollout.crps", "rollout.nrmse")
    if (score := float(before.crps.mean())) < config.min_score:
        return Verdict(stage, "dropped", "nothing to gain", metrics[0], score, None)
    own = published.architecture(operator.facts["config"])
    config = config.resolved(own, steady=problem.steady, dimensions=problem.dimensions)
    assert config.architecture != "default"
    settings = config.architecture.fitted(problem).to_dict()
    network = published.build(stage, settings, problem)
    assert isinstance(network, Corrector)
    residuals = Residuals.of(operator, train)
    scale = residuals.scale(problem)
    task = Denoising(
        network,
        problem,
        residuals.in_units_of(scale),
        Residuals.of(operator, val).in_units_of(scale),
        augment=config.augment,
    )
    facts = {
        **published.describe(stage, settings, network, problem, normaliser, operator.domain),
        "scale": scale.tolist(),
        "evaluations": config.sampler_steps,
        "members": config.members,
        "augment": config.augment,
    }

    def judge(figure: float) -> Judged:
        def drawn(carried: bool, spread: float) -> Surrogate:
            described = {**facts, "carried": carried, "spread": spread}
            return replace(
                surrogate, corrector=Model(network, problem, normaliser, operator.domain, described)
            )

        found = [
            (carried, *calibrated(lambda spread, c=carried: scores(drawn(c, spread), *compared, seed)))
            for carried in ([True] if problem.steady else [True, False])
        ]
        carried, spread, after = min(found, key=lambda each: (not _true(each[2]), each[2].crps.mean()))
        verdict = gate.ensemble(
            stage,
            metrics,
            gate.gain(before.crps, after.crps, seed),
            gate.gain(before.error, after.error, seed),
            coverage=float(after.coverage.mean()),
            spread=spread,
            least=config.min_gain,
        )
        return Judged(verdict, {"carried": carried, "spread": spread})

    return Prepared(task, facts, judge)


def calibrated(measure: Callable[[float], Scores]) -> tuple[float, Scores]:
    """The factor on the spread whose coverage comes nearest to the central interval's share, and its scores.

    From each coverage the next factor follows as if errors and members were Gaussian: an interval of q
    standard deviations covers 2Φ(q) - 1.
    """
    wanted = Q.inv_cdf((1 + CENTRAL) / 2)
    factor, tried = 1.0, list[tuple[float, float, Scores]]()
    for _ in range(TRIALS):
        found = measure(factor)
        coverage = float(found.coverage.mean())
        tried.append((abs(coverage - CENTRAL), factor, found))
        if tried[-1][0] <= NEAR:
            break
        reached = Q.inv_cdf((1 + min(max(coverage, 0.01), 0.99)) / 2)
        factor = min(max(factor * wanted / reached, SMALLEST), LARGEST)
    _, spread, best = min(tried, key=lambda trial: trial[:2])
    return spread, best


def _true(found: Scores) -> bool:
    low, high = gate.COVERAGE
    return low <= found.coverage.mean() <= high


def compared_on(given: Given) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What validation starts from, what is true then, and the parameters, in units of the data."""
    val = Split.read(given.data / "val")
    if val.a is not None:
        return val.a.numpy(), val.u.numpy(), val.parameters
    return val.u[:, 0].numpy(), val.u[:, 1:].numpy(), val.parameters
