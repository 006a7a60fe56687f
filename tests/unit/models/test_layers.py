from __future__ import annotations

import pytest
import torch

from ups_core.models.layers import crop, pad

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
