"""Stage ``distill``: a student that makes the diffusion's samples in one or two evaluations.

It starts as a copy of its teacher. Where the diffusion was dropped there is nothing to distil; the stage
then trains nothing and is dropped, too.
"""

from __future__ import annotations

from dataclasses import replace

from ups_core.api.stages import DistillConfig
from ups_core.errors import InvalidSpec
from ups_core.evaluate.ensemble import scores
from ups_core.models.corrector import Corrector
from ups_core.stages.base import Given, Judged, Prepared, enough_to_compare, splits_of
from ups_core.stages.corrector import compared_on
from ups_core.surrogate import Surrogate
from ups_core.train import gate, published
from ups_core.train.gate import Verdict
from ups_core.train.published import Model
from ups_core.train.residuals import Matching, Residuals


def prepare(given: Given, config: DistillConfig, seed: int) -> Prepared | Verdict:
    assert given.model is not None
    taught = Surrogate.load(given.model)
    teacher, operator = taught.corrector, taught.operator
    if teacher is None:
        return Verdict("distill", "dropped", "nothing to distil", "rollout.crps", None, None)
    assert isinstance(teacher.network, Corrector)
    train, val = splits_of(given.trained_on)
    enough_to_compare(val, "distill")
    evaluations = teacher.facts["evaluations"], config.sampler_steps
    if evaluations[1] >= evaluations[0]:
        raise InvalidSpec(
            "the student would be no faster than its teacher",
            where="spec.stages[distill].config.samplerSteps",
            found=f"{evaluations[1]} evaluations, the teacher takes {evaluations[0]}",
            expected="fewer",
            fix="raise samplerSteps of the stage diffusion, or remove the stage distill",
        )
    student = published.build("distill", teacher.facts["config"], operator.problem)
    assert isinstance(student, Corrector)
    student.load_state_dict(teacher.network.state_dict())
    residuals = [Residuals.of(operator, split) for split in (train, val)]
    task = Matching(
        student,
        operator.problem,
        *residuals,
        augment=teacher.facts["augment"],
        teacher=teacher.network.requires_grad_(False),
        evaluations=evaluations,
    )
    facts = {
        **published.describe(
            "distill",
            teacher.facts["config"],
            student,
            operator.problem,
            operator.normaliser,
            operator.domain,
        ),
        **{name: teacher.facts[name] for name in ("scale", "members", "carried", "spread")},
        "evaluations": config.sampler_steps,
    }
    compared = compared_on(given)

    def judge(figure: float) -> Judged:
        own = replace(
            taught, student=Model(student, operator.problem, operator.normaliser, operator.domain, facts)
        )
        before, after = (scores(surrogate, *compared, seed) for surrogate in (taught, own))
        score = gate.gain(before.crps, after.crps, seed)
        coverage = float(after.coverage.mean())
        return Judged(gate.student("distill", "rollout.crps", score, coverage, evaluations))

    return Prepared(task, facts, judge)
