"""What a stage must gain to be kept."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from ups_core.train import gate

ERRORS = st.lists(st.tuples(*[st.floats(0, 10, width=32)] * 2), min_size=2, max_size=12)


def literal(before: list[float], after: list[float], seed: int) -> tuple[float, float, float]:
    """The paired bootstrap as textbooks tell it: draw samples again, take the mean difference, sort."""
    differences = [b - a for b, a in zip(before, after, strict=True)]
    n = len(differences)
    drawn = np.random.default_rng(seed).integers(n, size=(2000, n))
    means = sorted(math.fsum(differences[i] for i in row) / n for row in drawn)
    return math.fsum(differences) / n, means[50], means[1949]


def test_the_interval_is_that_of_a_paired_bootstrap():
    before, after = [1.0, 2.0, 4.0, 0.5, 3.0], [0.7, 1.9, 2.5, 0.6, 2.0]
    found = gate.gain(np.array(before), np.array(after), seed=3)
    np.testing.assert_allclose((found.gain, found.low, found.high), literal(before, after, 3), rtol=1e-12)
    assert (found.before, found.after) == pytest.approx((2.1, 1.54))


@given(ERRORS, st.integers(0, 5))
def test_gains_are_bounded_seeded_and_change_sign_with_the_sides(errors, seed):
    before, after = np.array(errors).T
    found, back = gate.gain(before, after, seed), gate.gain(after, before, seed)
    each = before - after
    assert each.min() - 1e-9 <= found.low <= found.high <= each.max() + 1e-9
    assert found == gate.gain(before, after, seed)
    assert back.gain == pytest.approx(-found.gain, abs=1e-9)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low), abs=1e-9)
    assert not (found.better and found.worse)


@given(ERRORS)
def test_what_is_always_better_is_better(errors):
    before = np.array(errors)[:, 0] + 1
    assert gate.gain(before, before - 0.5, 0).better
    assert gate.gain(before, before + 0.5, 0).worse
    same = gate.gain(before, before, 0)
    assert not same.better
    assert not same.worse


def test_what_diverged():
    fine, one = np.ones(4), np.array([1, 1, np.inf, 1])
    assert gate.gain(fine, one, 0).gain == -np.inf
    assert not gate.gain(fine, one, 0).better
    assert not gate.gain(one, fine, 0).worse
    both = gate.gain(one, np.array([0.5, 0.5, np.nan, 0.5]), 0)
    assert both.gain == pytest.approx(3 / 8)


def test_one_sample_has_no_spread():
    with pytest.raises(ValueError, match="two or more"):
        gate.gain(np.ones(1), np.zeros(1), 0)


BETTER, SAME, WORSE = (gate.Gain(1, 1 - g, g, g - 0.1, g + 0.1) for g in (0.5, 0.0, -0.5))


@pytest.mark.parametrize(
    ("score", "error", "coverage", "why"),
    [
        (gate.Gain(1, 0.91, 0.09, 0.08, 0.1), SAME, 0.8, "no gain"),
        (BETTER, SAME, 0.8, ""),
        (BETTER, BETTER, 0.75, ""),
        (SAME, SAME, 0.8, "no gain"),
        (BETTER, WORSE, 0.8, "no gain"),
        (BETTER, gate.Gain(1, 1.02, -0.02, -0.03, -0.01), 0.8, ""),
        (BETTER, gate.Gain(1, 1.06, -0.06, -0.07, -0.05), 0.8, "no gain"),
        (WORSE, SAME, 0.5, "no gain"),
        (BETTER, SAME, 0.74, "not calibrated"),
        (BETTER, SAME, 0.86, "not calibrated"),
    ],
)
def test_the_gate_of_an_ensemble(score, error, coverage, why):
    verdict = gate.ensemble(
        "diffusion", ("rollout.crps", "rollout.nrmse"), score, error, coverage, spread=1.2, least=0.1
    )
    assert (verdict.kept, verdict.why) == (not why, why)
    assert verdict.metrics()["train.diffusion.gain"] == score.gain
    assert verdict.metrics()["train.diffusion.rollout.nrmse.after"] == error.after
    assert verdict.metrics()["train.diffusion.kept"] == float(not why)


@pytest.mark.parametrize(
    ("score", "evaluations", "kept"),
    [(SAME, (4, 1), True), (BETTER, (4, 2), True), (WORSE, (4, 1), False), (BETTER, (2, 2), False)],
)
def test_the_gate_of_a_student(score, evaluations, kept):
    assert gate.student("distill", "rollout.crps", score, 0.8, evaluations).kept is kept


@pytest.mark.parametrize(
    ("ranks", "score", "why"),
    [
        (0.3, BETTER, ""),
        (0.29, BETTER, "reward does not rank"),
        (math.nan, BETTER, "reward does not rank"),
        (0.9, SAME, "no gain"),
        (0.9, WORSE, "no gain"),
        (-0.5, WORSE, "reward does not rank"),
    ],
)
def test_the_gate_of_a_search(ranks, score, why):
    verdict = gate.search("search", "rollout.nrmse", ranks, score, usual=1.25, evaluations=(80, 165, 160))
    assert (verdict.kept, verdict.why) == (not why, why)
    metrics = verdict.metrics()
    assert metrics["train.search.cost"] == 2
    assert metrics["train.search.gain_per_cost"] == pytest.approx((1 - score.after / 1.25) / 2)
    assert metrics["train.search.evaluations.after"] == 160


@given(st.integers(2, 6), st.integers(0, 50), st.booleans())
def test_rewards_are_ranked_as_spearman_has_it(candidates, seed, ties):
    rng = np.random.default_rng(seed)
    reward, error = rng.normal(size=(2, 4, candidates))
    if ties:
        reward, error = reward.round(), error.round()
    found = gate.rank_correlation(reward, error)
    for row in range(4):
        constant = min(np.ptp(reward[row]), np.ptp(error[row])) == 0
        expected = 0.0 if constant else spearmanr(reward[row], -error[row]).statistic
        assert found[row] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("value", "kept"), [(0.01, True), (0.02, False), (math.nan, False)])
def test_the_gate_of_a_codec(value, kept):
    verdict = gate.against_target("codec", "reconstruction.nrmse", 0.01, value)
    assert verdict.kept is kept
    assert ("misses its target" in str(verdict)) is not kept


def test_a_verdict_is_json_whatever_its_figures():
    verdict = gate.ensemble(
        "diffusion",
        ("a", "b"),
        gate.gain(np.ones(2), np.full(2, np.inf), 0),
        SAME,
        math.nan,
        spread=1.0,
        least=0.1,
    )
    told = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert (told["after"], told["decision"], told["figures"]["coverage"]) == (None, "dropped", None)
