"""No value leaves the range of the initial state, and what is conserved stays so."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ups_core.api.architectures import ConvConfig
from ups_core.models.bounds import MARGIN, Bounds
from ups_core.models.rollout import rollout


@given(st.integers(0, 1000), st.floats(0, 8))
def test_values_stay_inside_and_the_mean_where_it_was(seed, size):
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(3, 2, 9, generator=generator, dtype=torch.float64)
    u = size * torch.randn(3, 2, 9, generator=generator, dtype=torch.float64)
    u = u - u.mean(2, keepdim=True) + start.mean(2, keepdim=True)  # what is conserved is so to begin with
    kept = Bounds(start, channels=[1], kept=[1])(u)
    low, high = start.amin(2, keepdim=True), start.amax(2, keepdim=True)
    margin = MARGIN * (high - low)
    assert torch.equal(kept[:, 0], u[:, 0])  # not bounded, not touched
    assert (kept >= low - margin - 1e-12)[:, 1].all()
    assert (kept <= high + margin + 1e-12)[:, 1].all()
    torch.testing.assert_close(kept[:, 1].mean(-1), start[:, 1].mean(-1))


def test_what_is_inside_is_left_alone():
    u = torch.randn(2, 1, 8)
    assert Bounds(u, [0], [0])(u) is u


def test_what_has_diverged_is_to_be_seen():
    u = torch.tensor([[[0.0, float("inf")]]])
    assert Bounds(torch.tensor([[[0.0, 1.0]]]), [0], [0])(u) is u


def test_what_is_not_conserved_is_only_cut():
    start = torch.tensor([[[0.0, 1.0]]])
    torch.testing.assert_close(Bounds(start, [0], [])(10 * start), torch.tensor([[[0.0, 1 + MARGIN]]]))


@pytest.mark.parametrize("bounded", [True, False])
def test_a_rollout_that_would_diverge_does_not(line, bounded):
    torch.manual_seed(0)
    model = ConvConfig(width=4, dilations=[1], bounded=bounded).build(line(bounded=(True,))).double()
    with torch.no_grad():
        model.network.head.weight.mul_(1e3)  # amplifies whatever it sees
    u = torch.randn(2, 1, 16, dtype=torch.float64)
    after = rollout(model, u, torch.zeros(2, 0, dtype=torch.float64), 30)
    assert bool(after.abs().max() < 2 * u.abs().max()) is bounded
    if bounded:
        torch.testing.assert_close(after.mean(3), u.mean(2)[:, None].expand(-1, 30, -1))
