"""Rollouts that carry averages of cells and show values at points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ups_core.api.architectures import ARCHITECTURES
from ups_core.api.stages import OperatorConfig
from ups_core.models.averages import Averaged, rolling
from ups_core.models.corrector import Corrector
from ups_core.models.rollout import ensemble, rollout
from ups_core.models.symmetry import apply, group
from ups_core.train.data import Split
from ups_core.train.normaliser import Normaliser, Scale
from ups_core.train.tasks import Transient


def build(problem, name: str = "gconv", **config) -> torch.nn.Module:
    torch.manual_seed(0)
    settings = {"averages": True, "width": 8, "dilations": [1], **config}
    return ARCHITECTURES[name].model_validate(settings).build(problem)


def state(problem) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 1, *problem.shape, generator=generator), torch.zeros(3, 0)


@pytest.mark.parametrize("name", ["conv", "gconv"])
def test_a_rollout_carries_averages_whose_sum_is_kept_and_shows_values(line, name):
    model, (u, none) = build(line(), name), state(line())
    assert isinstance(model, Averaged)
    carried, shown = model.begin(u, none), []
    with torch.no_grad():
        for _ in range(3):
            carried = model.advance(carried, none)
            shown.append(model.show(carried, none))
    torch.testing.assert_close(carried.mean(-1), u.mean(-1))
    assert (shown[-1].mean(-1) - u.mean(-1)).abs().max() > 1e-3  # values at points keep no sum
    frames = rollout(model, u, none, 3)
    torch.testing.assert_close(frames, torch.stack(shown, 1))
    torch.testing.assert_close(model(u, none), frames[:, 0])
    again = model(frames[:, 0], none)  # to begin anew is to forget where in the cells things are
    assert (again - frames[:, 1]).abs().max() > 1e-4


def test_both_steps_see_what_a_moving_observer_sees(line):
    problem = line(boost=0.7)
    model, (u, none) = build(problem), state(problem)
    for step in (model.begin, model.show):
        torch.testing.assert_close(step(u + 3, none), step(u, none) + 3)


def test_images_give_images(line):
    problem = line(boost=0.7)
    model, (u, none) = build(problem), state(problem)
    for element in group(problem):
        image = apply(element, u, problem, problem.fields)
        expected = apply(element, model(u, none), problem, problem.fields)
        torch.testing.assert_close(model(image, none), expected)


def test_on_a_plane_only_conserved_fields_keep_their_mean(torus):
    problem = torus(conserved=(False, True))
    model = build(problem, "conv")
    u, none = torch.randn(3, 2, *problem.shape), torch.zeros(3, 0)
    carried = model.advance(model.begin(u, none), none)
    drift = (carried - u).mean((2, 3)).abs().amax(0)  # (C,)
    assert drift[1] < 1e-6 < 1e-4 < drift[0]
    assert rollout(model, u, none, 2).shape == (3, 2, 2, *problem.shape)


def test_frames_that_are_shown_stay_in_the_range_of_the_first_and_keep_no_mean(line):
    model, (u, none) = build(line(bounded=(True,))), state(line())
    with torch.no_grad():
        for p in model.reconstruct.parameters():
            p.mul_(50)  # what is read off is far out
    low, high = u.amin((1, 2)), u.amax((1, 2))
    room = 0.05 * (high - low) + 1e-6
    frames = rollout(model, u, none, 3)  # (B, T, C, X)
    assert (frames.amin((1, 2, 3)) >= low - room).all()
    assert (frames.amax((1, 2, 3)) <= high + room).all()
    assert (frames.mean(-1) - u.mean(-1)[:, None]).abs().max() > 1e-3


def test_the_loss_asks_for_the_frame_that_was_averaged(line):
    """Beside the frame after it, which here is half of the truth."""
    problem = line(varying=(), symmetries=(), shape=(4,))
    u = torch.arange(1.0, 4.0).reshape(3, 1, 1, 1).expand(3, 3, 1, 4)  # (N, T, C, X)
    split, one = Split(u, None, np.zeros((3, 0))), Scale((0.0,), (1.0,))
    config = OperatorConfig.model_validate({"steps": 1, "noise": 0, "augment": False})
    model = build(problem)
    model.begin = lambda u, parameters: u / 4
    model.advance = nn.Identity()
    model.advance.forward = lambda v, parameters: 2 * v
    model.show = lambda v, parameters: v
    task = Transient(model, problem, Normaliser(one, one, Scale((), ()), (), {}), split, split, config)
    found = task.losses(torch.arange(len(task)), torch.Generator(), 0.0)
    torch.testing.assert_close(found, torch.full((6,), 3 / 4 + 1 / 2))


@pytest.mark.parametrize("changes", [{"conserved": (False,)}, {"boundary": ("neumann",), "shifts": ()}])
def test_where_nothing_is_conserved_there_are_no_averages(line, changes):
    for model in (build(line(**changes), "conv"), build(line(), "conv", conserve="none")):
        assert not isinstance(model, Averaged)
        assert rolling(model)[1] is model


@pytest.mark.parametrize("carried", [False, True])
def test_an_ensemble_around_a_rollout_carries_averages_too(line, carried):
    """Where residuals are part of the state, each member begins anew with its frame."""
    problem = line()
    model, (u, none) = build(problem), state(problem)
    config = ARCHITECTURES["gconv"].model_validate({"width": 8, "dilations": [1]})
    corrector = Corrector.of(config, problem)
    options = {"scale": torch.zeros(1, 1), "evaluations": 1, "generator": torch.Generator().manual_seed(0)}
    members = ensemble(model, corrector, u, none, 2, 2, carried=carried, **options)  # residuals of no size
    expected = rollout(model, u, none, 2)
    if carried:
        expected = torch.stack([expected[:, 0], rollout(model, expected[:, 0], none, 1)[:, 0]], dim=1)
    torch.testing.assert_close(members, expected[:, None].expand_as(members))
