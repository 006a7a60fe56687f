from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ups_core.models.layers import CONV, convolve, crop, for_convolution, pad, pointwise

TABLE = {
    "periodic": [3, 4, 1, 2, 3, 4, 1, 2],
    "dirichlet": [0, 0, 1, 2, 3, 4, 0, 0],
    "neumann": [1, 1, 1, 2, 3, 4, 4, 4],
}


@pytest.mark.parametrize("kind", TABLE)
def test_padding(kind):
    u = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    assert pad(u, 2, [kind])[0, 0].tolist() == TABLE[kind]
    assert torch.equal(crop(pad(u, 2, [kind]), 2), u)


@pytest.mark.parametrize("kind", TABLE)
def test_each_axis_by_itself(kind):
    u = torch.tensor([[[[1.0], [2.0], [3.0], [4.0]]]]).expand(1, 1, 4, 5)
    padded = pad(u, 2, [kind, "neumann"])
    assert padded.shape == (1, 1, 8, 9)
    assert padded[0, 0, :, 4].tolist() == TABLE[kind]


def test_wraps_more_than_once():
    assert pad(torch.tensor([[[1.0, 2.0]]]), 3, ["periodic"])[0, 0].tolist() == [2, 1, 2, 1, 2, 1, 2, 1]


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"dilation": 2}, {"groups": 2}], ids=str)
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_convolutions_are_those_of_torch(dimensions, options):
    h = torch.randn(2, 4, *[9] * dimensions)
    layer = CONV[dimensions](4, 6, 3, **options)
    wanted = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[dimensions](h, layer.weight, layer.bias, **options)
    assert torch.allclose(layer(h), wanted, atol=1e-5)
    assert layer(h).movedim(1, -1).is_contiguous()


def test_convolutions_do_not_pad():
    with pytest.raises(AssertionError, match="boundary"):
        CONV[1](1, 1, 3, padding=1)(torch.ones(1, 1, 4))
    assert convolve(torch.ones(1, 1, 4), torch.ones(1, 1, 3)).tolist() == [[[3.0, 3.0]]]


@pytest.mark.parametrize("channels", [1, 3, 9])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_pointwise_map_is_a_convolution_of_width_one(dimensions, channels):
    h, weight = torch.randn(2, 5, *[4] * dimensions), torch.randn(channels, 5)
    wanted = convolve(h, weight.reshape(channels, 5, *[1] * dimensions))
    assert torch.allclose(pointwise(h, weight), wanted, atol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_weight_for_convolution_is_the_same_weight(dimensions):
    weight = torch.randn(6, 4, *[3] * dimensions)
    kept = for_convolution(weight)
    assert torch.equal(kept, weight)
    assert torch.equal(for_convolution(kept), kept)
    assert for_convolution(kept).data_ptr() == kept.data_ptr()  # nothing is left to copy
