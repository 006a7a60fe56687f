"""Stage ``codec``: averages and a decoder, whose own error is the floor of all that is decoded later."""

from __future__ import annotations

from ups_core.api.stages import CodecConfig
from ups_core.errors import InvalidSpec
from ups_core.stages.base import Given, Judged, Prepared, domain_of, problem_of, splits_of
from ups_core.train import gate, published
from ups_core.train.tasks import Coding


def prepare(given: Given, config: CodecConfig, seed: int) -> Prepared:
    problem, normaliser = problem_of(given.data)
    if problem.steady:
        raise InvalidSpec(
            "a codec needs states that evolve",
            where="spec.stages",
            found=f"stage codec on the steady family {problem.family}",
            fix="remove the stage codec",
        )
    settings = config.to_dict()
    network = published.build("codec", settings, problem)
    task = Coding(network, problem, normaliser, *splits_of(given.data), config)

    def judge(figure: float) -> Judged:
        return Judged(gate.against_target("codec", task.metric, config.target, figure))

    domain = domain_of(given, network)
    return Prepared(task, published.describe("codec", settings, network, problem, normaliser, domain), judge)
