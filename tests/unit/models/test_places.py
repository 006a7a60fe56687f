"""A surrogate on scattered points: what it asks of the points, and what their order and place mean to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ups_core.api.architectures import PointsConfig
from ups_core.data.families.base import Transform
from ups_core.errors import DataInvalid
from ups_core.models.places import places_of
from ups_core.models.problem import Problem
from ups_core.models.symmetry import group, moved
from ups_core.train.mesh import augmentation, solve

SMALL: dict[str, Any] = {"width": 6, "tokens": 8, "nodes": 4, "groups": 2}
MESH: dict[str, Any] = {
    "space": "XY",
    "shape": (40,),
    "spacing": (),
    "wall": (),
    "conserved": (False,),
    "boundary": ("periodic", "neumann"),
    "shifts": ("X",),
    "symmetries": (Transform("flip-y", flip=("Y",), sign=-1),),
    "box": ((0.0, 2.0), (-1.0, 1.0)),
}


@pytest.fixture
def problem(line) -> Problem:
    return line(**MESH)


def sample(points: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(2, 1, points, generator=generator, dtype=torch.float64)
    places = torch.rand(2, points, 2, generator=generator, dtype=torch.float64) * 2 + torch.tensor(
        [0.0, -1.0]
    )
    return values, torch.zeros(2, 0), places


def build(problem: Problem) -> torch.nn.Module:
    torch.manual_seed(0)
    return PointsConfig.model_validate(SMALL).build(problem).double()


@pytest.mark.parametrize("steady", [False, True])
def test_permuted_points_give_the_permuted_prediction(line, steady):
    model, (u, p, places) = build(line(**MESH, steady=steady)), sample()
    order = torch.randperm(40)
    torch.testing.assert_close(model(u[..., order], p, places[:, order]), model(u, p, places)[..., order])


def test_a_period_is_that_of_the_box(problem):
    model, (u, p, places) = build(problem), sample()
    period = places + torch.tensor([2.0, 0.0])
    torch.testing.assert_close(model(u, p, period), model(u, p, places))
    half = places + torch.tensor([1.0, 0.0])  # two of the four tokens: the coarser level is moved, too
    torch.testing.assert_close(model(u, p, half), model(u, p, places))
    assert (model(u, p, places + torch.tensor([0.3, 0.0])) - model(u, p, places)).abs().max() > 1e-4


def test_a_transient_one_predicts_the_change(problem):
    model, (u, p, places) = build(problem), sample()
    with torch.no_grad():
        for name in ("head.weight", "head.bias"):
            model.get_parameter(f"network.{name}").zero_()
    assert torch.equal(model(u, p, places), u)


def test_the_box_is_in_the_description_of_meshes_alone(line, problem):
    assert "box" not in line().to_dict()
    assert Problem.from_dict(problem.to_dict()) == problem
    assert Problem.from_dict(line().to_dict()) == line()


def test_symmetries_move_points(line):
    turn = Transform("turn", flip=("X",), transpose=True)
    square = line(**{**MESH, "box": ((0.0, 1.0), (0.0, 1.0)), "symmetries": (turn,)})
    places = torch.tensor([[[0.1, 0.3]]])
    torch.testing.assert_close(moved((turn,), places, square), torch.tensor([[[0.3, 0.9]]]))
    assert [len(e) for e in group(square)] == [0, 1, 2, 3]
    torch.testing.assert_close(moved((turn,) * 4, places, square), places)


def test_augmented_samples_are_samples(problem):
    """A field that is known everywhere: values of the moved points are those of the moved, signed field."""

    def field(places: torch.Tensor) -> torch.Tensor:
        return (places[..., 1] * torch.cos(torch.pi * places[..., 0]))[:, None]  # (B, 1, M), odd in y

    places = torch.rand(64, 30, 2, dtype=torch.float64) * 2 + torch.tensor([0.0, -1.0])
    where, (u,) = augmentation(problem)(places, [field(places)], torch.Generator().manual_seed(0))
    shift = where[..., 0] - places[..., 0]  # (B, M)
    assert shift.std(dim=1).max() < 1e-6  # a sample is moved as a whole
    assert shift[:, 0].std() > 0.3
    back = torch.stack([where[..., 0] - shift, where[..., 1]], dim=-1)
    torch.testing.assert_close(u, field(back))
    mirrored = (where[..., 1] != places[..., 1]).all(dim=1)
    assert 10 < int(mirrored.sum()) < 54


def test_averaging_makes_a_steady_surrogate_symmetric(line):
    steady = line(**MESH, steady=True)
    model, (a, p, places) = build(steady), sample()
    (_, mirror) = group(steady)
    u = solve(model, a, p, places, steady, average=True)
    image = solve(model, -a, p, moved(mirror, places, steady), steady, average=True)
    torch.testing.assert_close(image, -u)
    assert (solve(model, a, p, places, steady, average=False) - u).abs().max() > 1e-4


def given(**changes: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"x": 2 * rng.random(40), "y": rng.random((3, 40)), **changes}


def test_points_may_be_shared_or_each_samples_own(problem):
    places = places_of(problem, given(), 3, 40, extrapolate=False)
    assert places.shape == (3, 40, 2)
    np.testing.assert_array_equal(places[2, :, 0], given()["x"])
    np.testing.assert_array_equal(places[2, :, 1], given()["y"][2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": np.zeros(39)}, r"found:\s+x of shape \(39,\)"),
        ({"y": np.full(40, np.nan)}, "outside of the domain"),
        ({"y": np.full(40, 1.5)}, r"-1 to 1, as in training"),
    ],
)
def test_points_that_do_not_fit_are_refused(problem, changes, words):
    with pytest.raises(DataInvalid) as error:
        places_of(problem, given(**changes), 3, 40, extrapolate=True)
    assert error.match(words)


def test_points_have_to_be_given(problem):
    with pytest.raises(DataInvalid, match="where the points lie is not known"):
        places_of(problem, {}, 3, 40, extrapolate=False)


def test_a_periodic_axis_has_images(problem):
    places_of(problem, given(x=np.full(40, -7.0)), 3, 40, extrapolate=False)


@pytest.mark.parametrize("points", [29, 161])
def test_far_fewer_or_more_points_than_in_training_are_refused(problem, points):
    coordinates = {"x": np.zeros(points), "y": np.zeros(points)}
    with pytest.raises(DataInvalid, match="30 to 160: training had 40"):
        places_of(problem, coordinates, 1, points, extrapolate=False)
    places_of(problem, coordinates, 1, points, extrapolate=True)
