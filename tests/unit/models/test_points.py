"""Points to tokens and back: what the places of points mean, and what their order does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ups_core.api.architectures import PointsConfig
from ups_core.models.points import Points, corners

SMALL: dict[str, Any] = {"width": 6, "tokens": 8, "nodes": 4, "groups": 2}


@pytest.fixture
def network(torus):
    def build(**changes):
        torch.manual_seed(0)
        return Points(PointsConfig.model_validate(SMALL), torus(**changes), 2, 3).double()

    return build


def sample(points=40, d=2, batch=2):
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(batch, 2, points, generator=generator, dtype=torch.float64)
    return values, torch.rand(batch, points, d, generator=generator, dtype=torch.float64)


def test_corners_by_hand():
    near = corners(torch.tensor([[[0.30], [0.95]]]), (4,), ("periodic",))  # 1.2 and 3.8 cells
    assert near.node.tolist() == [[[1, 2], [3, 0]]]
    torch.testing.assert_close(near.weight, torch.tensor([[[0.8, 0.2], [0.2, 0.8]]]))
    torch.testing.assert_close(near.offset[..., 0], torch.tensor([[[0.2, -0.8], [0.8, -0.2]]]))
    walled = corners(torch.tensor([[[0.30], [1.0]]]), (4,), ("neumann",))  # 0.9 and 3 cells
    assert walled.node.tolist() == [[[0, 1], [2, 3]]]
    torch.testing.assert_close(walled.weight, torch.tensor([[[0.1, 0.9], [0.0, 1.0]]]))


def test_corners_interpolate_a_linear_field():
    places = torch.rand(1, 50, 2, dtype=torch.float64)
    near = corners(places, (5, 3), ("dirichlet", "neumann"))
    x, y = torch.meshgrid(torch.linspace(0, 1, 5), torch.linspace(0, 1, 3), indexing="ij")
    field = (2 * x - 3 * y).double().flatten()  # (K,)
    torch.testing.assert_close(
        (field[near.node] * near.weight).sum(-1), 2 * places[..., 0] - 3 * places[..., 1]
    )


def test_the_order_of_points_is_carried_over(network):
    model, (values, places), none = network(), sample(), torch.zeros(2, 0)
    order = torch.randperm(40)
    torch.testing.assert_close(
        model(values[..., order], places[:, order], none), model(values, places, none)[..., order]
    )
    queries = torch.rand(2, 7, 2).double()
    torch.testing.assert_close(
        model(values[..., order], places[:, order], none, queries), model(values, places, none, queries)
    )


def test_any_place_can_be_asked_for_and_near_ones_answer_alike(network):
    model, (values, places), none = network(), sample(), torch.zeros(2, 0)
    assert torch.equal(model(values, places, none, places), model(values, places, none))
    edge = torch.tensor([0.25, 0.5]).double().expand(2, 1, 2)  # a corner of four cells
    here = model(values, places, none, edge)
    assert here.shape == (2, 3, 1)
    for sign in (1, -1):
        torch.testing.assert_close(model(values, places, none, edge + sign * 1e-9), here, atol=1e-6, rtol=0)


def test_a_periodic_box_has_no_edge(network):
    model, (values, places), none = network(), sample(), torch.zeros(2, 0)
    images = places + torch.tensor([1.0, -2.0])
    torch.testing.assert_close(model(values, images, none, places), model(values, places, none))
    moved = (places + 0.5) % 1  # by whole tokens of the coarsest level
    torch.testing.assert_close(model(values, moved, none), model(values, places, none))


def test_between_walls_the_two_ends_are_far_apart(network):
    model = network(boundary=("neumann", "periodic"))
    (values, places), none = sample(), torch.zeros(2, 0)
    moved = (places + torch.tensor([0.5, 0.0])) % 1
    assert (model(values, moved, none) - model(values, places, none)).abs().max() > 1e-3


@pytest.mark.parametrize("d", [1, 2, 3])
def test_gradients_reach_all_weights(line, d):
    problem = line(space="XYZ"[:d], boundary=("periodic",) * d, varying=("nu",))
    model = Points(PointsConfig.model_validate(SMALL), problem, 2, 1).double()
    values, places = sample(d=d)
    model(values, places, torch.tensor([[-1.0], [1.0]]).double()).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_what_is_learned_on_some_points_holds_on_others(line):
    """The slope of waves in one dimension, at places that no training sample had."""
    torch.manual_seed(0)
    config = PointsConfig.model_validate({"width": 16, "tokens": 16, "nodes": 16, "groups": 2, "levels": 1})
    model = Points(config, line(), 1, 1)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)

    def batch(size, points):
        phase, x, y = torch.rand(size, 1) * 6.28, torch.rand(size, points), torch.rand(size, 30)
        wave = torch.sin(6.28318 * x + phase)[:, None]
        return wave, x[..., None], y[..., None], torch.cos(6.28318 * y + phase)[:, None]

    for _ in range(120):
        u, x, y, truth = batch(16, 64)
        (model(u, x, torch.zeros(16, 0), y) - truth).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    u, x, y, truth = batch(32, 80)
    with torch.inference_mode():
        error = model(u, x, torch.zeros(32, 0), y) - truth
    assert error.square().mean().sqrt() < 0.2 * truth.square().mean().sqrt()


def test_exports_with_any_batch(network):
    model = network(varying=("nu",)).eval().requires_grad_(False)
    batch = {0: torch.export.Dim("batch", min=1)}
    given = (*sample(), torch.zeros(2, 1).double())
    program = torch.export.export(model, given, dynamic_shapes=(batch, batch, batch), strict=False).module()
    more = (*sample(batch=3), torch.ones(3, 1).double())
    torch.testing.assert_close(program(*more), model(*more))


def test_nodes_must_halve_at_each_level():
    with pytest.raises(ValueError, match="multiple of 2"):
        PointsConfig.model_validate({"nodes": 6, "levels": 3})
