"""The network commutes with every element of the family's group: that is all it is for."""

from __future__ import annotations

import pytest
import torch

from ups_core.api.architectures import GConvConfig
from ups_core.data.families import FAMILIES
from ups_core.data.families.base import Transform
from ups_core.models.rollout import rollout
from ups_core.models.symmetry import apply, directions, group, quotients

MIRROR = Transform("mirror", flip=("X",))
TURN = Transform("turn", flip=("X",), transpose=True)
SWAP = Transform("swap", transpose=True)


@pytest.mark.parametrize("conserve", ["flux", "projection", "none"])
@pytest.mark.parametrize("name", ["burgers1d", "advection1d", "navier_stokes2d"])
def test_images_of_a_state_become_images_of_the_next(name, conserve, line, torus):
    torch.manual_seed(0)
    family = FAMILIES[name]
    make = line if family.space == "X" else torus
    problem = make(
        fields=("u",),
        inputs=("u",),
        conserved=(True,),
        symmetries=family.symmetries,
        parameters=("Nu",),
        varying=("Nu",),
    )
    config = GConvConfig.model_validate({"width": 16, "kernel": 3, "dilations": [1, 2], "conserve": conserve})
    model = config.build(problem).double()
    u = torch.randn(2, 1, *problem.shape, dtype=torch.float64)
    p = torch.randn(2, 1, dtype=torch.float64)
    after = model(u, p)
    assert (after - u).abs().max() > 1e-3
    for element in group(problem):
        image = apply(element, u, problem)
        torch.testing.assert_close(model(image, p), apply(element, after, problem), rtol=0, atol=1e-13)
    if conserve != "none":
        torch.testing.assert_close(after.flatten(2).mean(2), u.flatten(2).mean(2), rtol=0, atol=1e-14)


def test_every_weight_matters(torus):
    problem = torus(fields=("u", "v"), inputs=("u", "v"), conserved=(True, False), symmetries=(MIRROR, SWAP))
    model = GConvConfig(width=16, kernel=3, dilations=[1]).build(problem)
    model(torch.randn(2, 2, *problem.shape), torch.zeros(2, 0)).square().sum().backward()
    for name, p in model.named_parameters():
        assert p.grad is not None
        assert (p.grad != 0).any(), name


def test_between_walls_it_solves_images_alike(square):
    problem = square(symmetries=(MIRROR, SWAP))
    model = GConvConfig(width=16, kernel=3, dilations=[1]).build(problem)
    a = model.close(torch.randn(2, 1, *problem.shape))
    u = model.closed(a, torch.zeros(2, 0))
    for element in group(problem):
        image = model.closed(apply(element, a, problem), torch.zeros(2, 0))
        torch.testing.assert_close(image, apply(element, u, problem))


def test_the_group_has_its_multiplication_table(torus):
    """g (g⁻¹h) = h, and directions turn as the grid does."""
    problem = torus(symmetries=(TURN, MIRROR))
    elements = group(problem)
    table = quotients(elements, problem)
    u = torch.randn(1, 1, 4, 4)
    for g, row in zip(elements, table, strict=True):
        assert sorted(row) == list(range(8))
        for h, place in zip(elements, row, strict=True):
            twice = apply(g, apply(elements[place], u, problem), problem)
            assert torch.equal(twice, apply(h, u, problem))
    assert directions((MIRROR,), problem).tolist() == [[-1, 0], [0, 1]]
    assert directions((SWAP,), problem).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(("width", "channels"), [(33, 32), (1, 2)])
def test_channels_come_in_whole_sets(line, width, channels):
    problem = line(symmetries=(Transform("reflection", flip=("X",), sign=-1),))
    model = GConvConfig(width=width).build(problem)
    hidden = model.network.lift(torch.zeros(1, 1, 16))
    assert hidden.shape[1] == channels


def test_kernels_held_in_a_rollout_are_made_anew_after_it(line):
    problem = line(fields=("u",), inputs=("u",), conserved=(True,), symmetries=(MIRROR,))
    model = GConvConfig(width=16, kernel=3, dilations=[1]).build(problem)
    u, p = torch.randn(2, 1, *problem.shape), torch.zeros(2, 0)
    for _ in range(2):
        with torch.no_grad():
            first = model(u, p)
            expected = torch.stack([first, model(first, p)], dim=1)
        assert torch.equal(rollout(model, u, p, 2), expected)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.5)
