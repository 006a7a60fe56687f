"""Scores of ensembles, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from ups_core.evaluate.ensemble import Scores, covered, crps

RNG = np.random.default_rng(0)


def literal_crps(members: list[float], truth: float) -> float:
    """Ferro 2014, eq. 7, term by term."""
    m = len(members)
    error = sum(abs(x - truth) for x in members) / m
    distance = sum(abs(x - y) for x in members for y in members)
    return error - distance / (2 * m * (m - 1)) if m > 1 else error


def test_crps_is_its_definition():
    members, truth = RNG.normal(size=(3, 7, 2, 4)), RNG.normal(size=(3, 2, 4))
    expected = [[[literal_crps(list(members[n, :, i, j]), truth[n, i, j]) for j in range(4)]
                 for i in range(2)] for n in range(3)]  # fmt: skip
    np.testing.assert_allclose(crps(members, truth), expected, rtol=1e-12)


def test_crps_of_one_member_is_its_absolute_error():
    members, truth = RNG.normal(size=(3, 1, 4)), RNG.normal(size=(3, 4))
    np.testing.assert_allclose(crps(members, truth), np.abs(members[:, 0] - truth))


def test_crps_of_a_gaussian():
    """σ/√π in the mean, where truth and members are drawn alike, whatever their number."""
    for m in (2, 10):
        members, truth = RNG.normal(size=(40_000, m)), RNG.normal(size=40_000)
        assert crps(members, truth).mean() == pytest.approx(1 / np.sqrt(np.pi), rel=0.02)


@pytest.mark.parametrize("m", [9, 10, 16, 19])
def test_the_interval_of_a_perfect_ensemble_holds_its_share(m):
    members, truth = RNG.normal(size=(40_000, m)), RNG.normal(size=40_000)
    assert covered(members, truth).mean() == pytest.approx(0.8, abs=0.012)


def test_too_few_members_for_an_interval():
    with pytest.raises(ValueError, match="8 members"):
        covered(np.zeros((1, 8, 2)), np.zeros((1, 2)))


def test_scores_of_samples():
    truth = RNG.normal(size=(3, 2, 1, 5))  # (N, T, C, X)
    members = truth[:, None] + RNG.normal(size=(3, 12, 2, 1, 5))  # (N, M, T, C, X)
    found = Scores.of(members, truth)
    size = np.sqrt((truth**2).mean(-1))
    np.testing.assert_allclose(found.crps, (crps(members, truth).mean(-1) / size).mean((1, 2)))
    np.testing.assert_allclose(found.coverage, covered(members, truth).mean((1, 2, 3)))
    fair = (members.mean(1) - truth) ** 2 - members.var(1, ddof=1) / 12
    np.testing.assert_allclose(found.error, (np.sqrt(np.maximum(fair.mean(-1), 0)) / size).mean((1, 2)))


def test_the_fair_error_of_a_mean_does_not_depend_on_the_number_of_members():
    truth = np.ones((1, 1, 1, 40_000))
    wrong = [truth[:, None] + 0.5 + RNG.normal(size=(1, m, 1, 1, 40_000)) for m in (9, 36)]
    for members in wrong:
        assert Scores.of(members, truth).error[0] == pytest.approx(0.5, rel=0.03)


def test_a_sample_that_diverged():
    truth, members = np.ones((2, 1, 1, 3)), np.ones((2, 9, 1, 1, 3))
    members[1, 4] = np.nan
    found = Scores.of(members, truth)
    assert (found.crps.tolist(), found.coverage.tolist(), found.error.tolist()) == (
        [0, np.inf], [1, 0], [0, np.inf]
    )  # fmt: skip
