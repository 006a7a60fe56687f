from __future__ import annotations

import pytest
import torch

from ups_core.api.stages import CodecConfig
from ups_core.errors import InvalidSpec
from ups_core.models.codec import Codec


def config(**fields):
    return CodecConfig.model_validate(
        {"steps": 1, "latentChannels": 3, "width": 8, "downsample": 4, **fields}
    )


def test_shapes(line, torus):
    for problem, code in ((line(), (2, 3, 4)), (torus(shape=(12, 8)), (2, 3, 3, 2))):
        codec = Codec(config(), problem)
        u = torch.randn(2, len(problem.fields), *problem.shape)
        assert codec.encode(u).shape == code
        assert codec(u).shape == u.shape


def test_a_shift_by_a_patch_shifts_the_code_by_one(line):
    codec = Codec(config(), line()).double()
    u = torch.randn(2, 1, 16).double()
    torch.testing.assert_close(codec.encode(u.roll(4, 2)), codec.encode(u).roll(1, 2))
    torch.testing.assert_close(codec(u.roll(8, 2)), codec(u).roll(8, 2))


def test_grid_must_be_whole_patches(line):
    with pytest.raises(InvalidSpec, match="patches") as caught:
        Codec(config(), line(shape=(18,)))
    assert caught.value.details["found"] == "18 points, downsample 4"
