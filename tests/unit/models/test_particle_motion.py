"""Particles advanced by a network: what is exact whatever its weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ups_core.api.architectures import PointsConfig
from ups_core.data.families import family
from ups_core.data.families.base import Transform
from ups_core.errors import DataInvalid
from ups_core.models.accepted import Accepted
from ups_core.models.particles import OnParticles, displaced, units
from ups_core.models.places import check_particles
from ups_core.models.problem import Motion, Problem
from ups_core.models.symmetry import group
from ups_core.train import particles

#: Velocities, then places, then a charge.
PROBLEM = Problem(
    family="gas", steady=False, space="XY", fields=("vx", "vy", "x", "y", "q"), units=("1",) * 5,
    inputs=("vx", "vy", "x", "y", "q"), shape=(20,), spacing=(), boundary=("periodic", "neumann"), wall=(),
    conserved=(True, True, False, False, False), vectors=(("vx", "vy"),), shifts=("X",), dt=0.1,
    box=((-1.0, 1.0), (0.0, 3.0)), motion=Motion((2, 3), (0, 1), stride=0.02, carried=(0.05, 0.03)),
)  # fmt: skip
SMALL = PointsConfig(width=8, tokens=8, nodes=4, groups=2)
NONE = torch.zeros(3, 0)


@pytest.fixture
def model() -> OnParticles:
    torch.manual_seed(0)
    built = SMALL.build(PROBLEM)
    assert isinstance(built, OnParticles)
    with torch.no_grad():  # as if trained: changes that are seen
        built.network.get_parameter("head.weight").mul_(20)
    return built


def states(samples: int = 3, points: int = 20, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    u = rng.standard_normal((samples, 5, points))
    u[:, 2:4] = rng.random((samples, 2, points))
    return torch.from_numpy(u).float()


def test_a_frame_is_what_velocities_and_displacements_say(model):
    u, problem = states(), PROBLEM
    out = model.network(u[:, [0, 1, 4]], u[:, 2:4].mT, NONE)  # (B, C, M): changes, displacements
    change = out[:, :3].clone()
    change[:, :2] -= change[:, :2].mean(2, keepdim=True)
    after = u[:, [0, 1, 4]] + change
    x = u[:, 2] + 0.05 * (u[:, 0] + after[:, 0]) / 2 + 0.02 * out[:, 3]
    y = u[:, 3] + 0.03 * (u[:, 1] + after[:, 1]) / 2 + 0.02 * out[:, 4]
    expected = torch.stack([after[:, 0], after[:, 1], x % 1, y.clamp(0, 1), after[:, 2]], dim=1)
    torch.testing.assert_close(model(u, NONE), expected)
    assert problem.mesh is False
    assert problem.axes == "M"


def test_momentum_is_kept_and_a_charge_is_not(model):
    u = states()
    change = (model(u, NONE) - u).mean(2)
    assert change[:, :2].abs().max() < 1e-6
    assert change[:, 4].abs().min() > 1e-3
    free = PointsConfig(**{**SMALL.to_dict(), "conserve": "none"}).build(PROBLEM)
    free.load_state_dict(model.state_dict())
    assert (free(u, NONE) - u).mean(2)[:, :2].abs().min() > 1e-3


def test_order_and_periods_mean_nothing(model):
    u, order = states(), torch.randperm(20)
    torch.testing.assert_close(model(u[..., order], NONE), model(u, NONE)[..., order], atol=1e-5, rtol=1e-4)
    away = u.clone()
    away[:, 2, :7] += 3
    torch.testing.assert_close(model(away, NONE), model(u, NONE), atol=1e-4, rtol=1e-4)


def test_nothing_goes_through_a_wall(model):
    u = states()
    u[:, 1] = 100
    after = model(u, NONE)
    assert (after[:, 3] <= 1).all()
    assert (after[:, 2] >= 0).all()


def test_displacements_are_the_shortest_ones_in_strides():
    u, start = states(seed=1), states(seed=2)
    _, found = displaced(u, u, start, PROBLEM)
    x = torch.stack([u[:, 2] + k - start[:, 2] for k in (-1, 0, 1)])
    nearest = x.gather(0, x.abs().argmin(0)[None])[0]
    torch.testing.assert_close(found[:, 2], nearest / 0.02)
    torch.testing.assert_close(found[:, 3], (u[:, 3] - start[:, 3]) / 0.02)
    torch.testing.assert_close(found[:, [0, 1, 4]], u[:, [0, 1, 4]])
    assert units(PROBLEM)[:, 0].tolist() == pytest.approx([1, 1, 0.02, 0.02, 1])


@pytest.mark.parametrize("gone", [0.25, 0.499, 0.75])
def test_a_miss_is_as_large_however_far_particles_have_gone(gone):
    start = states()
    truth, prediction = start.clone(), start.clone()
    truth[:, 2] = (start[:, 2] + gone) % 1
    prediction[:, 2] = (start[:, 2] + gone + 0.002) % 1
    predicted, true = displaced(prediction, truth, start, PROBLEM)
    torch.testing.assert_close((predicted - true)[:, 2], torch.full((3, 20), 0.1), atol=1e-4, rtol=0)
    assert (predicted - true)[:, [0, 1, 3, 4]].abs().max() == 0


def test_without_velocities_displacements_are_all():
    alone = replace(
        PROBLEM, fields=("x", "y"), inputs=("x", "y"), units=("1", "1"), conserved=(False, False), vectors=(),
        motion=Motion((0, 1), (), stride=0.02, carried=()),
    )  # fmt: skip
    model, u = SMALL.build(alone), states()[:, 2:4]
    out = model.network(u[:, :0], u.mT, NONE)
    expected = u + 0.02 * out
    torch.testing.assert_close(model(u, NONE)[:, 1], expected[:, 1].clamp(0, 1))


@pytest.mark.parametrize("motion", [PROBLEM.motion, Motion((2, 3), (), stride=0.02, carried=())])
def test_an_image_of_a_motion_is_a_motion(motion):
    """A free flight, and where it is after a symmetry: in all frames the same one."""
    free = replace(
        PROBLEM, motion=motion, boundary=("periodic", "periodic"), shifts=("X", "Y"),
        box=((0.0, 1.0), (0.0, 1.0)),
        symmetries=(Transform("mirror", flip=("X",)), Transform("diagonal", transpose=True)),
    )  # fmt: skip
    assert len(group(free)) == 8
    u = states(64)
    later = u.clone()
    later[:, 2:4] += 0.1 * u[:, 0:2]
    images = particles.augmentation(free)([u, later], torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        images[1][:, 2:4] - images[0][:, 2:4], 0.1 * images[0][:, :2], atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(images[0][:, 4], u[:, 4])
    assert (images[0][:, :2] - u[:, :2]).abs().amax((1, 2)).count_nonzero() > 40


def test_places_far_from_the_box_lose_no_digits():
    """Of float64, or of whole numbers that the box does not begin with."""
    far = np.zeros((1, 5, 3))
    far[:, 2] = 2e6 + 0.123456
    part = Accepted(far, np.zeros((1, 0)), 1, False, periods=PROBLEM.periods).part(slice(0, 1))
    assert part.dtype == np.float32
    np.testing.assert_allclose(part[0, 2], 0.123456, rtol=1e-6)
    shifted = replace(PROBLEM, box=((0.5, 2.0), (0.0, 3.0)))
    whole = np.full((1, 5, 3), 3)
    part = Accepted(whole, np.zeros((1, 0)), 1, False, periods=shifted.periods).part(slice(0, 1))
    np.testing.assert_array_equal(part[0, 2], 1.5)


def test_a_particle_behind_a_wall_is_refused():
    inside = states().numpy()
    inside[:, 2] += 7  # along the periodic axis, any place will do
    check_particles(PROBLEM, inside)
    outside = inside.copy()
    outside[1, 3, 5] = 3.5
    with pytest.raises(DataInvalid, match=r"a particle lies outside of the domain\n.*y = 3.5\n.*0 to 3"):
        check_particles(PROBLEM, outside)


def test_velocities_need_one_time_step():
    found = {"stride": 0.01, "fields": {name: {"std": 1.0} for name in ("x", "y", "vx", "vy")}}
    uneven = replace(PROBLEM, fields=("x", "y", "vx", "vy"), dt=None)
    with pytest.raises(DataInvalid, match="not equally far apart in time"):
        Motion.read(family("vicsek"), uneven, found)
    places = replace(family("vicsek"), velocities=())
    assert Motion.read(places, uneven, found).carried == ()
