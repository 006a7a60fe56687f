"""Tokens: their maps to and from the grid, attention among channels, the network on grids of all kinds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ups_core.api.architectures import PDETConfig
from ups_core.errors import InvalidSpec
from ups_core.models.pdet import Block, ChannelAttention, Patch, Unpatch

SMALL: dict[str, Any] = {"width": 4, "tokens": 8, "patch": 2, "groups": 2, "levels": 2}


def network(problem, **config):
    torch.manual_seed(0)
    return PDETConfig.model_validate({**SMALL, **config}).build(problem).double()


def state(problem, batch=2):
    generator = torch.Generator().manual_seed(1)
    shape = (batch, len(problem.inputs), *problem.shape)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_channel_attention_is_its_definition():
    torch.manual_seed(0)
    layer = ChannelAttention(6, groups=2).double()
    z = torch.randn(2, 6, 5, dtype=torch.float64)  # (B, Z, K)
    out = torch.zeros_like(z)
    q, k, v = (z.mT @ layer.qkv.weight.T + layer.qkv.bias).split(6, dim=2)  # (B, K, Z) each
    for b in range(2):
        for g in (slice(0, 3), slice(3, 6)):
            for i in range(*g.indices(6)):
                likeness = torch.stack(
                    [(q[b, :, i] @ k[b, :, j]) / (q[b, :, i].norm() * k[b, :, j].norm()) for j in range(6)[g]]
                )
                out[b, i] = torch.softmax(likeness, 0) @ v[b, :, g].T
    out = (out.mT @ layer.out.weight.T + layer.out.bias).mT
    torch.testing.assert_close(layer(z), out)
    order = torch.randperm(5)
    torch.testing.assert_close(layer(z[..., order]), out[..., order])


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_patch_sees_half_of_its_neighbours_and_gives_back_to_them(line, size):
    problem = line(shape=(12,))
    patch, unpatch = Patch(problem, 1, 1, size).double(), Unpatch(problem, 1, 1, size).double()
    with torch.no_grad():
        for p in (*patch.parameters(), *unpatch.parameters()):
            p.fill_(float(p.ndim > 1))  # weights 1, biases 0
    h = F.one_hot(torch.tensor(0), 12).double()[None, None]  # the first point
    reach = size // 2
    seen = [any((i * size + j) % 12 == 0 for j in range(-reach, size + reach)) for i in range(12 // size)]
    assert patch(h)[0, 0].tolist() == [float(s) for s in seen]
    z = F.one_hot(torch.tensor(0), 12 // size).double()[None, None]  # the first token
    given = [any(j % 12 == x for j in range(-reach, size + reach)) for x in range(12)]
    assert unpatch(z)[0, 0].tolist() == [float(g) for g in given]


def test_a_shift_by_whole_tokens_shifts_the_result_and_any_other_one_is_learned(line, torus):
    for problem in (line(), torus(shape=(12, 8))):
        model, u, none = network(problem), state(problem), torch.zeros(2, 0).double()
        assert not model.shift_equivariant
        torch.testing.assert_close(model(u.roll(4, 2), none), model(u, none).roll(4, 2))
        assert (model(u.roll(1, 2), none) - model(u, none).roll(1, 2)).abs().max() > 1e-6


@pytest.mark.parametrize("kind", ["dirichlet", "neumann"])
def test_between_walls_any_number_of_points_will_do(line, square, kind):
    for problem in (line(boundary=(kind,), shape=(11,)), square(boundary=(kind,) * 2, shape=(8, 7))):
        model, u = network(problem), state(problem)
        assert model(u, torch.zeros(2, 0).double()).shape == u.shape


def test_no_convolution_wraps_around_a_wall(line):
    problem = line(boundary=("dirichlet",), shape=(64,))
    model, u = network(problem, levels=1), state(problem)
    with torch.no_grad():
        for block in (module for module in model.modules() if isinstance(module, Block)):
            block.attention.out.weight.zero_()  # couples all places, as the norms do
            block.norms = nn.ModuleList(nn.Identity() for _ in range(3))
    far = u.clone()
    far[..., -1] += 1.0
    none = torch.zeros(2, 0).double()
    assert torch.equal(model(far, none)[..., 0], model(u, none)[..., 0])


@pytest.mark.parametrize("space", [(16,), (8, 12), (4, 8, 4)])
def test_gradients_reach_all_weights(line, space):
    d = len(space)
    problem = line(
        space="XYZ"[:d], shape=space, spacing=(0.1,) * d, boundary=("periodic",) * d, wall=(False,) * d,
        varying=("nu",), conserved=(False,),
    )  # fmt: skip
    model, u = network(problem), state(problem)
    after = model(u, torch.tensor([[-1.0], [1.0]]).double())
    assert after.shape == u.shape
    (after - u).square().sum().backward()
    lost = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert lost == []


def test_exports_with_any_batch(line):
    problem = line(varying=("nu",))
    model = network(problem).eval().requires_grad_(False)
    batch = torch.export.Dim("batch", min=1)
    given = state(problem), torch.zeros(2, 1).double()
    program = torch.export.export(
        model, given, dynamic_shapes=({0: batch}, {0: batch}), strict=False
    ).module()
    u, p = state(problem, batch=5), torch.linspace(-1, 1, 5).double()[:, None]
    torch.testing.assert_close(program(u, p), model(u, p))


def test_a_periodic_grid_must_be_whole_patches(line):
    with pytest.raises(InvalidSpec, match="whole patches") as caught:
        network(line(shape=(18,)))
    assert caught.value.details["found"].startswith("18 points, 4 in a token")


def test_tokens_must_be_whole_groups():
    with pytest.raises(ValueError, match="multiple of groups"):
        PDETConfig.model_validate({"tokens": 10, "groups": 4})
