"""What a search is rewarded for, against its definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ups_core.train.reward import FAINT, TERMS, Reward, Usual, changes, fitted

#: Bands of wavenumbers of 16 points: q = 8, so k < 2, k < 4, the rest.
BANDS = (slice(0, 2), slice(2, 4), slice(4, 9))


def frames(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 2, 16)).astype(np.float32)  # (R, C, X)


def literal(u: np.ndarray) -> tuple[float, float, list[float]]:
    """Mean, log energy and log band energies of one field (X,), by its sums of Fourier modes."""
    n, x = len(u), np.arange(len(u))
    modes = [abs(sum(u * np.exp(-2j * np.pi * k * x / n)) / n) ** 2 for k in range(n)]
    power = [modes[k] + (modes[n - k] if 0 < k < n / 2 else 0) for k in range(n // 2 + 1)]
    whole = sum(power)
    return float(np.mean(u)), np.log(whole), [np.log(sum(power[b]) + FAINT * whole) for b in BANDS]


def test_changes_are_those_of_mean_energy_and_bands():
    before, after = frames(3, 0), frames(3, 1)
    found = changes(before, after)
    assert found["balance"].shape == (3, 4)
    assert found["spectrum"].shape == (3, 6)
    for row in range(3):
        for c in range(2):
            first, second = (literal(u[row, c].astype(np.float64)) for u in (before, after))
            assert found["balance"][row, c] == pytest.approx(second[0] - first[0], abs=1e-6)
            assert found["balance"][row, 2 + c] == pytest.approx(second[1] - first[1], rel=1e-6)
            expected = np.subtract(second[2], first[2])
            np.testing.assert_allclose(found["spectrum"][row, 3 * c : 3 * c + 3], expected, rtol=1e-6)


def test_what_is_usual_is_near_and_what_grows_is_far():
    before = frames(200, 0)
    after = before + 0.1 * frames(200, 1)
    usual = Usual.of(before, after)
    assert usual.distance(before, after).mean(axis=0) == pytest.approx([1, 1], abs=0.15)
    assert (usual.distance(before, 3 * after) > usual.distance(before, after) + 1).all()


def test_a_mean_that_is_kept_adds_no_more_than_rounding():
    """A change of the mean that never spread is counted in a small unit, of which 1e-7 is nothing."""
    before = frames(50, 0) - frames(50, 0).mean(axis=2, keepdims=True)
    usual = Usual.of(before, before[:, :, ::-1])
    assert usual.distance(before, before[:, :, ::-1]).max() < 1e-2
    assert usual.distance(before, before + 0.01)[:, 0].min() > 3


def test_the_reward_is_the_weighted_sum_of_its_terms():
    class Says(nn.Module):
        def forward(self, residual, given, prediction, parameters):
            return residual.flatten(1)[:, 0]

    before, prediction, residual = (torch.from_numpy(frames(4, seed)) for seed in range(3))
    scale = torch.tensor([[0.5], [0.1]])
    usual = Usual.of(frames(50, 5), frames(50, 6))
    reward = Reward(Says(), usual, scale, (0.5, 2.0, 3.0))
    found = reward(before, before, prediction, residual, torch.zeros(4, 0))
    balance, spectrum = usual.distance(before.numpy(), (prediction + scale * residual).numpy()).T
    expected = -(0.5 * balance + 2.0 * spectrum + 3.0 * residual[:, 0, 0].numpy())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


@given(st.tuples(*[st.floats(0, 5)] * 3), st.integers(0, 9))
def test_weights_are_found_whatever_candidates_of_a_state_share(weights, seed):
    rng = np.random.default_rng(seed)
    terms = rng.normal(size=(6, 5, len(TERMS)))
    errors = terms @ np.array(weights) + 10 * rng.normal(size=(6, 1))
    np.testing.assert_allclose(fitted(terms, errors), weights, atol=1e-8)
    assert min(fitted(terms, -errors)) >= 0
