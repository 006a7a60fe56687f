"""Stage ``search``: rollouts that are searched for at prediction time, by a reward with a learned critic.

All that the reward knows comes from the training split: what is usual there, the critic, and the weights of
its terms. Where the surrogate is deterministic there is nothing to search among; the stage then trains
nothing and is dropped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ups_core.api.stages import SearchConfig
from ups_core.evaluate.metrics import mean_defined, nrmse
from ups_core.models.corrector import Corrector
from ups_core.models.critic import Critic, log_error
from ups_core.models.device import device_of
from ups_core.models.search import cost
from ups_core.stages.base import Given, Judged, Prepared, enough_to_compare, splits_of
from ups_core.stages.corrector import compared_on
from ups_core.surrogate import Surrogate
from ups_core.train import gate, published
from ups_core.train.criticism import Criticism
from ups_core.train.gate import Verdict
from ups_core.train.published import Model
from ups_core.train.residuals import Residuals
from ups_core.train.reward import TERMS, Reward, Usual, fitted

#: Transitions of training that say what is usual.
SHOWN = 4096
#: Frames of validation whose candidates are ranked, and of training that the weights are fitted on.
RANKED = 512
#: Candidates of each of them, at least.
CANDIDATES = 8
METRIC = "rollout.nrmse"


def prepare(given: Given, config: SearchConfig, seed: int) -> Prepared | Verdict:
    assert given.model is not None
    surrogate = Surrogate.load(given.model)
    drawing, operator = surrogate.sampler, surrogate.operator
    if drawing is None:
        return Verdict("search", "dropped", "nothing to search among", METRIC, None, None)
    sampler, drawn = drawing.network, drawing.facts
    assert isinstance(sampler, Corrector)
    problem, normaliser = operator.problem, operator.normaliser
    splits = splits_of(given.trained_on)
    enough_to_compare(splits[1], "search")
    settings = config.architecture.fitted(problem).to_dict()
    critic = published.build("search", settings, problem)
    assert isinstance(critic, Critic)
    scale = torch.tensor(drawn["scale"])  # (C,)
    train, val = (Residuals.of(operator, split).in_units_of(scale) for split in splits)
    unit = scale.reshape(-1, *[1] * problem.dimensions)  # (C, 1[, 1])
    shown = train.thinned(SHOWN)
    usual = Usual.of(shown.given.numpy(), (shown.prediction + unit * shown.residual).numpy())
    task = Criticism(
        critic,
        problem,
        train,
        val,
        augment=config.augment,
        sampler=sampler.requires_grad_(False),
        spread=drawn["spread"],
        evaluations=drawn["evaluations"],
    )
    facts = {
        **published.describe("search", settings, critic, problem, normaliser, operator.domain),
        "beam": config.beam,
        "candidates": config.candidates,
        "usual": {"mean": dict(usual.mean), "std": dict(usual.std)},
    }
    u0, truth, parameters = compared_on(given)

    def judge(figure: float) -> Judged:
        reward = Reward(critic, usual, unit)
        count = max(config.candidates, CANDIDATES)
        weights = fitted(*candidates(reward, drawing, train, count, seed))
        terms, errors = candidates(reward, drawing, val, count, seed)
        ranks = gate.rank_correlation(-(terms @ np.array(weights)), errors)  # (S,)
        found = {**facts, "weights": dict(zip(TERMS, weights, strict=True))}
        own = replace(surrogate, critic=Model(critic, problem, normaliser, operator.domain, found))
        steps, each = truth.shape[1], 1 + drawn["evaluations"]
        after = cost(config.beam, config.candidates, drawn["evaluations"])
        many = max(surrogate.members, math.ceil(after / each))  # members of an ensemble that costs as much
        timed = Timed(len(u0) * steps)
        predicted = timed("after", lambda: own.rollout(u0, steps, parameters))
        before = timed("before", lambda: surrogate.rollout(u0, steps, parameters))
        equal = timed("equal", lambda: surrogate.ensemble(u0, steps, many, parameters).mean(axis=1))
        errors_of = [mean_defined(nrmse(u, truth), axis=(1, 2)) for u in (before, equal, predicted)]  # (N,)
        verdict = gate.search(
            "search",
            METRIC,
            float(ranks.mean()),
            gate.gain(errors_of[1], errors_of[2], seed),
            usual=float(errors_of[0].mean()),
            evaluations=(surrogate.members * each, many * each, after),
        )
        return Judged(verdict, {"weights": found["weights"]}, timed.seconds)

    return Prepared(task, facts, judge)


class Timed:
    """CPU seconds for one frame of one sample, by name."""

    def __init__(self, frames: int) -> None:
        self.frames, self.seconds = frames, dict[str, float]()

    def __call__(self, name: str, predict: Callable[[], np.ndarray]) -> np.ndarray:
        began = time.process_time()
        predicted = predict()
        self.seconds[f"cpu_seconds.{name}"] = (time.process_time() - began) / self.frames
        return predicted


@torch.inference_mode()
def candidates(
    reward: Reward, drawing: Model, residuals: Residuals, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The terms (S, K, 3) and true log errors (S, K) of ``count`` candidates for each of some frames."""
    sampler, facts = drawing.network, drawing.facts
    assert isinstance(sampler, Corrector)
    generator = torch.Generator().manual_seed(seed)
    rows = residuals.thinned(RANKED).rows(slice(None), device_of(sampler))
    truth, given, prediction, parameters = (
        each.repeat_interleave(count, 0)
        for each in (rows.residual, rows.given, rows.prediction, rows.parameters)
    )
    noise = sampler.noise(len(truth), generator)
    drawn: Tensor = facts["spread"] * sampler.sample(
        noise, given, prediction, parameters, facts["evaluations"]
    )  # (S*K, C, X[, Y])
    terms = reward.terms(given, given, prediction, drawn, parameters)  # (S*K, 3)
    errors = log_error(drawn, truth).cpu().double()
    return terms.reshape(-1, count, len(TERMS)).numpy(), errors.reshape(-1, count).numpy()
