"""The beam: who goes on, and what is left of the rollouts."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ups_core.api.architectures import ConvConfig
from ups_core.models.corrector import Corrector
from ups_core.models.search import best, cost, search

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("score", "rewards", "found", "place"),
    [
        ([0, 0], [[1, 3], [2, 0]], [3, 2], [1, 2]),
        ([5, 0], [[1, 3], [2, 0]], [8, 6], [1, 0]),  # both of one rollout
        ([0, 0], [[1, 1], [1, 1]], [1, 1], [0, 1]),  # of equals, the first
        ([0, 0], [[NAN, INF], [-7, -9]], [-7, -9], [2, 3]),
        ([-INF, -INF], [[0, 0], [0, 0]], [-INF, -INF], [0, 1]),  # all have diverged
    ],
)
def test_a_step_of_the_beam(score, rewards, found, place):
    total, places = best(torch.tensor([score]).float(), torch.tensor([rewards]).float())
    assert (total.tolist(), places.tolist()) == ([found], [place])


@given(st.integers(1, 4), st.integers(2, 5), st.integers(0, 99))
def test_a_step_keeps_the_highest_sums(beam, candidates, seed):
    generator = torch.Generator().manual_seed(seed)
    score = torch.randn(3, beam, generator=generator)
    rewards = torch.randn(3, beam, candidates, generator=generator)
    total, place = best(score, rewards)
    for row in range(3):
        sums = [float(score[row, w] + rewards[row, w, k]) for w in range(beam) for k in range(candidates)]
        assert total[row].tolist() == sorted(sums, reverse=True)[:beam]
        assert [sums[i] for i in place[row].tolist()] == total[row].tolist()


def test_the_cost_counts_operator_sampler_and_critic():
    assert cost(beam=4, candidates=8, evaluations=3) == 4 + 32 * 3 + 32


class Recording:
    """Rewards small residuals and remembers what was proposed, and from what."""

    def __init__(self) -> None:
        self.proposed: list[Tensor] = []
        self.asked: list[tuple[Tensor, Tensor, Tensor]] = []

    def __call__(self, before, given, prediction, residual, parameters):
        self.proposed.append(prediction + 0.1 * residual)
        self.asked.append((before, given, prediction))
        return -residual.square().flatten(1).mean(1)


def run(problem, rewards, *, carried=True, beam=3, seed=0):
    torch.manual_seed(0)
    operator, made = (
        ConvConfig(width=4, dilations=[1]).build(problem),
        Corrector.of(ConvConfig(width=4, dilations=[1]), problem),
    )
    u = torch.randn(2, 1, 16, generator=torch.Generator().manual_seed(1))
    out = search(
        operator,
        made,
        rewards,
        u,
        torch.zeros(2, 0),
        4,
        beam=beam,
        candidates=5,
        scale=torch.full((1, 1), 0.1),
        spread=1.0,
        evaluations=2,
        carried=carried,
        generator=torch.Generator().manual_seed(seed),
    )
    return operator, u, out


@pytest.mark.parametrize("carried", [True, False])
def test_what_is_kept_was_proposed_and_goes_on(line, carried):
    rewards = Recording()
    operator, u, out = run(line(), rewards, carried=carried)
    assert out.shape == (2, 3, 4, 1, 16)
    state = u.repeat_interleave(3, 0)  # (B*W, C, X), of which each frame's candidates are made
    shown = state
    for t, (before, known, prediction) in enumerate(rewards.asked):
        assert torch.equal(before[::5], shown)
        if carried:
            assert torch.equal(known[::5], state)
        torch.testing.assert_close(prediction[::5], operator(known[::5], torch.zeros(6, 0)))
        kept = out[:, :, t].flatten(0, 1)  # (B*W, C, X)
        places = [int((rewards.proposed[t] == frame).all((1, 2)).nonzero()) for frame in kept]
        assert len(set(places)) == 6
        assert [place // 15 for place in places] == [0] * 3 + [1] * 3  # candidates of its own sample
        state = shown = kept
    torch.testing.assert_close(out.mean(-1), u.mean(-1)[:, None, None].expand(2, 3, 4, 1), atol=1e-5, rtol=0)


def test_the_best_rollout_comes_first_and_a_seed_gives_the_same(line):
    _, _, out = run(line(), Recording())
    assert torch.equal(out, run(line(), Recording())[2])
    assert not torch.equal(out, run(line(), Recording(), seed=1)[2])
    one, many = Recording(), Recording()
    run(line(), one, beam=1)
    run(line(), many, beam=3)
    assert [len(each) for each in one.proposed] == [10] * 4
    assert [len(each) for each in many.proposed] == [30] * 4
