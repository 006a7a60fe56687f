"""A loss that looks several frames ahead."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ups_core.api.stages import OperatorConfig
from ups_core.errors import InvalidSpec
from ups_core.models.problem import Problem
from ups_core.train.data import Split
from ups_core.train.normaliser import Normaliser, Scale
from ups_core.train.tasks import Transient

PROBLEM = Problem("p", False, "X", ("u",), ("1",), ("u",), (4,), (1,), ("periodic",), (False,), (True,))
ONE = Scale((0.0,), (1.0,))


class Halve(nn.Module):
    """Wrong by a factor: the truth stays what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))

    def forward(self, u, parameters):
        return u * self.gain


def task(**config) -> Transient:
    u = torch.arange(1.0, 4.0).reshape(3, 1, 1, 1).expand(3, 5, 1, 4)  # (N, T, C, X), constant in time
    split = Split(u, None, np.zeros((3, 0)))
    whole = OperatorConfig.model_validate({"steps": 1, "noise": 0, "augment": False, **config})
    return Transient(Halve(), PROBLEM, Normaliser(ONE, ONE, Scale((), ()), (), {}), split, split, whole)


def losses(share: float, **config) -> torch.Tensor:
    learned = task(**config)
    return learned.losses(torch.arange(len(learned)), torch.Generator(), share).detach()


def gradient(**config) -> float:
    learned = task(**config)
    learned.losses(torch.arange(len(learned)), torch.Generator(), 1.0).mean().backward()
    return float(learned.model.gain.grad)


@pytest.mark.parametrize(("share", "loss"), [(0.5, 1 / 2), (0.79, 1 / 2), (0.8, (1 / 2 + 3 / 4 + 7 / 8) / 3)])
def test_the_last_part_of_training_looks_ahead(share: float, loss: float):
    found = losses(share, unroll=3)
    assert found.shape == (12,)
    torch.testing.assert_close(found, torch.full((12,), loss))


def test_no_further_than_the_data_go():
    torch.testing.assert_close(losses(1.0, unroll=64), losses(1.0, unroll=4))


def test_a_longer_rollout_reaches_back_as_far_as_the_loss_looks():
    """With a gain g the frames of a constant 1 are 1, g, g², ...: losses 1 - gⁿ, each a chain of g's."""
    found = losses(1.0, unroll=2, horizon=4)
    torch.testing.assert_close(found, torch.full((12,), (1 / 2 + 3 / 4 + 7 / 8 + 15 / 16) / 4))
    # Frames 1 and 2 have chains of 1 and 2 factors, and so have 3 and 4, whose state is taken as given.
    g = 0.5
    slope = -(1 + 2 * g + g**2 * 1 + g**2 * 2 * g) / 4
    assert gradient(unroll=2, horizon=4) == pytest.approx(slope)
    assert gradient(unroll=4) == pytest.approx(-(1 + 2 * g + 3 * g**2 + 4 * g**3) / 4)


def test_a_rollout_that_diverges_teaches_until_it_is_lost():
    """A gain of 6 is wrong by 5, then 35; without an end it would be wrong by 6⁴ - 1."""
    learned = task(unroll=1, horizon=4)
    learned.model.gain.data.fill_(6.0)
    found = learned.losses(torch.arange(len(learned)), torch.Generator(), 1.0)
    torch.testing.assert_close(found.detach(), torch.full((12,), (5.0 + 35.0) / 4))
    found.mean().backward()
    assert float(learned.model.gain.grad) == pytest.approx((1 + 6) / 4)


@pytest.mark.parametrize(("horizon", "noisy"), [(2, True), (4, False)])
def test_rollouts_that_bring_errors_of_their_own_get_no_noise(horizon: int, noisy: bool):
    found = losses(1.0, unroll=2, horizon=horizon, noise=0.1)
    assert (found.std() > 1e-6) == noisy


class Grow(nn.Module):
    """Exact where values double from frame to frame: a step of n frames is a factor 2ⁿ."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []
        self.given: list[torch.Tensor] = []

    def forward(self, u, parameters, lead):
        self.seen.append(lead)
        self.given.append(u[:, 0, 0])
        return u * 2 ** lead[:, None, None]


def growing(model: nn.Module, **config) -> Transient:
    u = 2 ** torch.arange(5.0).reshape(1, 5, 1, 1).expand(3, 5, 1, 4)  # (N, T, C, X)
    split = Split(u, None, np.zeros((3, 0)))
    whole = OperatorConfig.model_validate({"steps": 1, "noise": 0, "augment": False, **config})
    return Transient(model, PROBLEM, Normaliser(ONE, ONE, Scale((), ()), (), {}), split, split, whole)


@pytest.mark.parametrize("unroll", [1, 2])
def test_samples_draw_how_far_they_look_and_are_held_to_that_frame(unroll: int):
    model = Grow()
    learned = growing(model, leads=[1, 2], unroll=unroll)
    found = learned.losses(torch.arange(12), torch.Generator().manual_seed(0), 1.0)
    torch.testing.assert_close(found, torch.zeros(12), atol=1e-6, rtol=0)  # 1e-7 keeps the root smooth
    assert len(model.seen) == unroll
    assert set(model.seen[0].tolist()) == {1.0, 2.0}
    assert all(torch.equal(one, model.seen[0]) for one in model.seen)


def test_a_lead_that_no_trajectory_has_is_refused():
    with pytest.raises(InvalidSpec, match=r"found: +8 frames(.|\n)*expected: +at most 4"):
        growing(Grow(), leads=[1, 8])
    with pytest.raises(InvalidSpec, match=r"found: +2 frames, 3 times(.|\n)*expected: +at most 4"):
        growing(Grow(), leads=[1, 2], unroll=3)


def test_pairs_of_frames_that_lie_far_apart_are_drawn_evenly():
    model = Grow()
    learned, drawn = growing(model, leads=[1, 3]), torch.Generator().manual_seed(0)
    for _ in range(40):
        learned.losses(torch.arange(12), drawn, 0.0)
    lead, first = torch.cat(model.seen), torch.cat(model.given).log2().long()  # values double from 1
    counts = {n: first[lead == n].bincount(minlength=4).tolist() for n in (1, 3)}
    assert min(counts[1]) > 0.7 * max(counts[1])
    assert counts[3][2:] == [0, 0]
    assert 0.7 < counts[3][0] / counts[3][1] < 1.4


@pytest.mark.parametrize("leads", [[], [2, 4], [1, 4, 2], [1, 2, 2], [1, 0]])
def test_leads_go_from_one_up(leads: list[int]):
    with pytest.raises(ValidationError, match="leads"):
        OperatorConfig.model_validate({"steps": 1, "leads": leads})
