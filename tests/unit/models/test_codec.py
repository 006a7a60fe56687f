from __future__ import annotations

import pytest
import torch

from ups_core.api.stages import CodecConfig
from ups_core.errors import InvalidSpec
from ups_core.models.codec import Codec, joined


def config(**fields):
    return CodecConfig.model_validate({"steps": 1, "width": 8, "downsample": 4, **fields})


NONE = torch.zeros(2, 0)


def trained(codec):
    """In double precision, with all weights drawn: those that begin with zero do nothing yet."""
    for weights in codec.parameters():
        torch.nn.init.normal_(weights, std=0.1)
    return codec.double()


def test_shapes(line, torus):
    for problem, coarse in ((line(), (4,)), (torus(shape=(12, 8)), (3, 2))):
        codec = Codec(config(), problem)
        u = torch.randn(2, len(problem.fields), *problem.shape)
        assert codec.encode(u).shape == (2, len(problem.fields), *coarse)
        assert codec(u, NONE).shape == u.shape


def test_decoding_keeps_averages(torus):
    problem = torus(shape=(12, 8))
    codec = trained(Codec(config(), problem))
    channels = len(problem.fields)
    u = torch.randn(2, channels, 12, 8).double()
    by_hand = torch.stack(
        [torch.stack([u[:, :, x : x + 4, y : y + 4].mean((2, 3)) for y in (0, 4)], -1) for x in (0, 4, 8)], -2
    )  # (B, C, 3, 2)
    z = codec.encode(u)
    torch.testing.assert_close(z, by_hand)
    torch.testing.assert_close(codec.encode(codec.decode(z, NONE)), by_hand)


def test_patches_are_joined_in_the_order_of_their_points():
    u = torch.arange(2 * 3 * 6 * 4).reshape(2, 3, 6, 4)
    patches = torch.stack([u[:, :, x::2, y::2] for x in (0, 1) for y in (0, 1)], dim=2)  # (B, C, 4, 3, 2)
    torch.testing.assert_close(joined(patches, 2), u)


def test_a_shift_by_a_patch_shifts_the_code_by_one(line):
    codec = trained(Codec(config(), line()))
    u = torch.randn(2, 1, 16).double()
    torch.testing.assert_close(codec.encode(u.roll(4, 2)), codec.encode(u).roll(1, 2))
    torch.testing.assert_close(codec(u.roll(8, 2), NONE), codec(u, NONE).roll(8, 2))


def test_a_uniform_speed_changes_averages_alone_where_the_observer_may_move(line):
    u = torch.randn(2, 1, 16).double()
    for boost, same in ((0.5, True), (None, False)):
        codec = trained(Codec(config(), line(boost=boost)))
        moving = codec(u + 3, NONE) - 3
        assert torch.allclose(moving, codec(u, NONE)) is same


def test_the_decoder_is_told_parameters(line):
    codec = trained(Codec(config(), line(varying=("nu",))))
    u = torch.randn(2, 1, 16).double()
    z = codec.encode(u)
    thin, wide = (codec.decode(z, torch.full((2, 1), nu).double()) for nu in (-1.0, 1.0))
    assert not torch.allclose(thin, wide)


@pytest.mark.parametrize("points", [18, 4])
def test_a_grid_must_be_two_whole_patches_or_more(line, points):
    with pytest.raises(InvalidSpec, match="patches") as caught:
        Codec(config(), line(shape=(points,)))
    assert caught.value.details["found"] == f"{points} points, downsample 4"


def test_in_space_and_between_walls(line):
    walls = line(
        space="XYZ",
        shape=(8, 4, 4),
        spacing=(1 / 8, 1 / 4, 1 / 4),
        fields=("u", "p"),
        inputs=("u", "p"),
        conserved=(False, False),
        boundary=("periodic", "dirichlet", "neumann"),
        wall=(False, True, True),
        symmetries=(),
    )
    codec = trained(Codec(config(downsample=2), walls))
    u = torch.randn(2, 2, 8, 4, 4).double()
    after = codec(u, NONE)
    assert after.shape == u.shape
    torch.testing.assert_close(codec.encode(after), codec.encode(u))


def test_an_untrained_decoder_gives_the_averages(torus):
    problem = torus(shape=(12, 8))
    u = torch.randn(2, len(problem.fields), 12, 8)
    codec = Codec(config(), problem)
    z = codec.encode(u)
    flat = z.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(codec.decode(z, NONE), flat)
