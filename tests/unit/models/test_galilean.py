"""A surrogate of a Galilean-invariant equation is Galilean-invariant itself, by whole cells a frame."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ups_core.api.architectures import ConvConfig
from ups_core.models.conv import Conv
from ups_core.models.problem import Problem

PROBLEM = Problem(
    family="burgers1d",
    steady=False,
    space="X",
    fields=("u",),
    units=("1",),
    inputs=("u",),
    shape=(32,),
    spacing=(1 / 32,),
    boundary=("periodic",),
    wall=(False,),
    conserved=(True,),
    dt=0.05,
    boost=0.7,
)


def network(problem: Problem) -> Conv:
    torch.manual_seed(0)
    return Conv(ConvConfig.model_validate({"width": 4, "dilations": [1, 2]}), problem)


@given(st.integers(-40, 40), st.integers(0, 2**16))
def test_a_boosted_state_gives_the_boosted_next_state(cells: int, seed: int):
    u = torch.randn(3, 1, 32, generator=torch.Generator().manual_seed(seed))  # (B, C, X)
    u = u - u.mean(-1, keepdim=True) + 0.1  # away from the edge between two cells
    none = torch.zeros(3, 0)
    with torch.inference_mode():
        after = network(PROBLEM)(u, none)
        boosted = network(PROBLEM)(u + cells * 0.7, none)
    expected = torch.roll(after, cells, -1) + cells * 0.7
    torch.testing.assert_close(boosted, expected, atol=2e-4, rtol=0)


def test_without_the_declaration_it_is_not():
    u, none = torch.randn(1, 1, 32), torch.zeros(1, 0)
    plain = network(replace(PROBLEM, boost=None))
    with torch.inference_mode():
        difference = plain(u + 2.8, none) - torch.roll(plain(u, none), 4, -1) - 2.8
    assert difference.abs().max() > 1e-2


def test_each_sample_has_its_own_observer_and_keeps_its_mean():
    u = torch.randn(2, 1, 32) + torch.tensor([[[0.0]], [[5.0]]])
    none = torch.zeros(2, 0)
    with torch.inference_mode():
        together = network(PROBLEM)(u, none)
        alone = torch.cat([network(PROBLEM)(one[None], none[:1]) for one in u])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert together.mean(-1).flatten().tolist() == pytest.approx(u.mean(-1).flatten().tolist(), abs=1e-5)
