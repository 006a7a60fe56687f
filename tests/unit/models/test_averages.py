"""Rollouts that carry averages of cells and show values at points."""

from __future__ import annotations

import pytest
import torch

from ups_core.api.architectures import ARCHITECTURES
from ups_core.models.averages import Averaged, rolling
from ups_core.models.corrector import Corrector
from ups_core.models.rollout import ensemble, rollout
from ups_core.models.symmetry import apply, group


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


@pytest.mark.parametrize("changes", [{"conserved": (False,)}, {"boundary": ("neumann",), "shifts": ()}])
def test_where_nothing_is_conserved_there_are_no_averages(line, changes):
    model = build(line(**changes), "conv")
    assert not isinstance(model, Averaged)
    assert rolling(model)[1] is model


def test_an_ensemble_around_a_rollout_carries_averages_too(line):
    problem = line()
    model, (u, none) = build(problem), state(problem)
    config = ARCHITECTURES["gconv"].model_validate({"width": 8, "dilations": [1]})
    corrector = Corrector.of(config, problem)
    options = {"scale": torch.zeros(1, 1), "evaluations": 1, "generator": torch.Generator().manual_seed(0)}
    members = ensemble(model, corrector, u, none, 3, 2, carried=False, **options)  # residuals of no size
    torch.testing.assert_close(members, rollout(model, u, none, 3)[:, None].expand_as(members))
