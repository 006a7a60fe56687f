"""What symmetries do to the components of vectors, where a network must know of it and where it may not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ups_core.api.architectures import GConvConfig, UNetConfig
from ups_core.data.families.base import Transform
from ups_core.evaluate.leaks import find
from ups_core.evaluate.split import Split
from ups_core.models.problem import Problem
from ups_core.models.symmetry import apply, group, representation, scalar, undo
from ups_core.train.augment import augmentation
from ups_core.train.mesh import augmentation as on_points
from ups_core.train.normaliser import Normaliser
from ups_core.train.residuals import Residuals
from ups_core.train.tasks import averaged

FIELDS = ("p", "vx", "vy")
SYMMETRIES = (Transform("flip", flip=("X",)), Transform("transpose", transpose=True))
FLOW = Problem(
    family="flow",
    steady=False,
    space="XY",
    fields=FIELDS,
    units=("1",) * 3,
    inputs=FIELDS,
    shape=(8, 8),
    spacing=(1 / 8,) * 2,
    boundary=("periodic",) * 2,
    wall=(False,) * 2,
    conserved=(True, False, False),
    vectors=(("vx", "vy"),),
    symmetries=SYMMETRIES,
    dt=0.1,
)


#: A force that drives a flow, both vectors.
STOKES = replace(
    FLOW,
    steady=True,
    inputs=("fx", "fy"),
    vectors=(("vx", "vy"), ("fx", "fy")),
    conserved=(False,) * 3,
    dt=None,
)


def flow(potential: Tensor) -> Tensor:
    """A scalar (B, X, Y) and its gradient by central differences, which is a vector: (B, 3, X, Y)."""
    slopes = [(potential.roll(-1, axis) - potential.roll(1, axis)) / 2 for axis in (1, 2)]
    return torch.stack([potential, *slopes], dim=1)


@pytest.fixture
def potential() -> Tensor:
    return torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_gradient_of_an_image_is_the_image_of_the_gradient(potential: Tensor):
    elements = group(FLOW)
    assert len(elements) == 8
    for element in elements:
        image = apply(element, potential[:, None], FLOW)[:, 0]
        assert torch.equal(apply(element, flow(potential), FLOW, FIELDS), flow(image))
        assert torch.equal(undo(element, flow(image), FLOW, FIELDS), flow(potential))


def test_augmented_samples_are_images(potential: Tensor):
    elements = group(FLOW)
    images = [apply(e, potential[:, None], FLOW)[:, 0] for e in elements]
    u = torch.cat([flow(potential)] * 16)  # (32, 3, X, Y)
    (drawn,) = augmentation(FLOW, shifts=False)([u], torch.Generator().manual_seed(1))
    found = {
        k
        for i, one in enumerate(drawn)
        for k, image in enumerate(images)
        if torch.equal(one, flow(image)[i % 2])
    }
    assert len(found) == 8


def test_on_points_too_values_turn_with_them():
    mesh = replace(FLOW, box=((0.0, 1.0), (0.0, 1.0)), shape=(5,), spacing=(), conserved=(False,) * 3)
    places = torch.rand(16, 5, 2, generator=torch.Generator().manual_seed(0))  # (B, M, D)
    towards = torch.cat([places.sum(2)[:, None], (places - 0.5).mT], dim=1)  # vectors from the centre
    where, (u,) = on_points(mesh)(places, [towards], torch.Generator().manual_seed(0))
    assert torch.allclose(u[:, 1:], (where - 0.5).mT, atol=1e-6)
    assert torch.equal(u[:, 0], towards[:, 0])
    assert not torch.allclose(where, places)


def test_weights_are_tied_by_what_does_the_same_to_all_fields(potential: Tensor):
    assert scalar(group(FLOW), FLOW) == [()]
    without = replace(FLOW, vectors=())
    assert scalar(group(without), without) == group(without)
    driven = replace(STOKES, fields=("p",), conserved=(False,))
    assert scalar(group(driven), driven) == [()]  # the pressure is no vector, but what drives it is
    signs = replace(FLOW, symmetries=(Transform("minus", sign=-1), *SYMMETRIES))
    assert [len(element) for element in scalar(group(signs), signs)] == [0, 1]
    network = GConvConfig(width=16, dilations=[1]).build(signs)
    u, none = flow(potential), torch.zeros(2, 0)
    assert torch.allclose(network(-u, none), -network(u, none), atol=1e-6)
    assert not network.get_submodule("network").symmetric


def test_between_walls_no_weights_are_tied_where_a_mirror_takes_nodes_off_the_grid():
    walls = replace(FLOW, vectors=(), boundary=("dirichlet",) * 2, wall=(True,) * 2)
    network = GConvConfig(width=8, dilations=[1]).build(walls).get_submodule("network")
    assert not network.symmetric
    steady = GConvConfig(width=8, dilations=[1]).build(replace(walls, steady=True, dt=None))
    assert steady.get_submodule("network").symmetric  # there the closed grid is its own mirror image


def test_the_mean_over_images_commutes_with_all_of_them_and_can_be_exported():
    model = UNetConfig(width=16, levels=2).build(STOKES)
    elements, none = group(STOKES), torch.zeros(2, 0)

    class Mean(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, a: Tensor) -> Tensor:
            return averaged(self.model, a, none, STOKES, elements)

    a = torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        solved = Mean()(a)
        for element in elements:
            image = Mean()(apply(element, a, STOKES, STOKES.inputs))
            assert torch.allclose(image, apply(element, solved, STOKES, STOKES.fields), atol=1e-5)
        exported = torch.export.export(Mean().eval(), (a,), strict=False).module()
        assert torch.allclose(exported(a), solved, atol=1e-6)


def test_residuals_are_scaled_as_the_fields_are():
    residual = torch.tensor([1.0, 3.0, 4.0]).reshape(1, 3, 1, 1).expand(5, 3, 8, 8)
    one = Residuals(residual, residual, residual, torch.zeros(5, 0), 1, 5)
    assert torch.allclose(one.scale(FLOW), torch.tensor([1.0, 12.5**0.5, 12.5**0.5]))


def test_components_share_one_scale_and_stay_where_they_are():
    statistics = {name: {"mean": 2.0, "std": std} for name, std in zip(FIELDS, (5.0, 3.0, 1.0), strict=True)}
    loose = replace(FLOW, conserved=(False,) * 3)
    scale = Normaliser.of({"fields": statistics, "inputs": {}}, loose, np.zeros((1, 0))).fields
    assert scale.shift == (2.0, 0.0, 0.0)
    assert scale.scale == (5.0, 5.0**0.5, 5.0**0.5)
    driven = {"fields": statistics, "inputs": {n: {"mean": 2.0, "std": 1.0} for n in STOKES.inputs}}
    assert Normaliser.of(driven, STOKES, np.zeros((1, 0))).inputs.shift == (0.0, 0.0)


def test_inputs_that_a_symmetry_turns_over_are_not_shifted():
    odd = replace(STOKES, inputs=("f",), vectors=(), symmetries=(Transform("minus", sign=-1),))
    statistics = {name: {"mean": 2.0, "std": 1.0} for name in (*FIELDS, "f")}
    given = {"fields": statistics, "inputs": {"f": statistics["f"]}}
    assert Normaliser.of(given, odd, np.zeros((1, 0))).inputs.shift == (0.0,)


def test_a_mirrored_copy_of_a_training_state_is_found():
    known = flow(torch.randn(6, 8, 8, generator=torch.Generator().manual_seed(0)))
    element = group(FLOW)[-1]
    test = torch.cat([apply(element, known[3:4], FLOW, FIELDS), flow(torch.randn(1, 8, 8))])
    scale = {"mean": np.array([0.0, 0.1, -0.1]), "std": np.array([1.0, 0.7, 0.8])}
    twins = find(split_of(test), split_of(known), FLOW, scale)
    assert [(twin.index, twin.other) for twin in twins] == [(0, 3)]


def split_of(states: Tensor) -> Split:
    nodes = {"X": np.arange(8) / 8, "Y": np.arange(8) / 8, "T": np.zeros(1)}
    sources = tuple(("f", i) for i in range(len(states)))
    return Split("test", states[:, None].numpy(), None, np.zeros((len(states), 0)), (), nodes, sources)


def test_representation_of_a_quarter_turn():
    turn = (Transform("turn", flip=("X",), transpose=True),)
    assert representation(turn, FLOW, FIELDS) == ([0, 2, 1], [1, 1, -1])


def test_in_three_dimensions_x_and_y_are_exchanged_and_z_stays():
    fields = ("p", "vx", "vy", "vz")
    cube = replace(
        FLOW, space="XYZ", fields=fields, inputs=fields, units=("1",) * 4, shape=(4, 4, 6),
        spacing=(0.1,) * 3, boundary=("periodic",) * 3, wall=(False,) * 3, conserved=(False,) * 4,
        vectors=(("vx", "vy", "vz"),), symmetries=(*SYMMETRIES, Transform("through z", flip=("Z",))),
    )  # fmt: skip
    u = torch.randn(2, 4, 4, 4, 6)
    exchanged = apply((SYMMETRIES[1],), u, cube, fields)
    torch.testing.assert_close(exchanged, u.transpose(2, 3)[:, [0, 2, 1, 3]])
    mirrored = apply((cube.symmetries[2],), u, cube, fields)
    signs = torch.tensor([1.0, 1, 1, -1]).reshape(1, 4, 1, 1, 1)
    torch.testing.assert_close(mirrored, u.flip(4) * signs)
    elements = group(cube)
    assert len(elements) == 16
    for element in elements:
        torch.testing.assert_close(undo(element, apply(element, u, cube, fields), cube, fields), u)
