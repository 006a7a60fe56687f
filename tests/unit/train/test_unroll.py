"""A loss that looks several frames ahead."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ups_core.api.stages import OperatorConfig
from ups_core.models.problem import Problem
from ups_core.train.data import Split
from ups_core.train.normaliser import Normaliser, Scale
from ups_core.train.tasks import Transient

PROBLEM = Problem("p", False, "X", ("u",), ("1",), ("u",), (4,), (1,), ("periodic",), (False,), (True,))
ONE = Scale((0.0,), (1.0,))


class Halve(nn.Module):
    """Wrong by a factor: the truth stays what it is."""

    def forward(self, u, parameters):
        return u / 2


def losses(share: float, **config) -> torch.Tensor:
    u = torch.arange(1.0, 4.0).reshape(3, 1, 1, 1).expand(3, 5, 1, 4)  # (N, T, C, X), constant in time
    split = Split(u, None, np.zeros((3, 0)))
    whole = OperatorConfig.model_validate({"steps": 1, "noise": 0, "augment": False, **config})
    task = Transient(Halve(), PROBLEM, Normaliser(ONE, ONE, Scale((), ()), (), {}), split, split, whole)
    return task.losses(torch.arange(len(task)), torch.Generator(), share)


@pytest.mark.parametrize(("share", "loss"), [(0.5, 1 / 2), (0.79, 1 / 2), (0.8, (1 / 2 + 3 / 4 + 7 / 8) / 3)])
def test_the_last_part_of_training_looks_ahead(share: float, loss: float):
    found = losses(share, unroll=3)
    assert found.shape == (12,)
    torch.testing.assert_close(found, torch.full((12,), loss))


def test_no_further_than_the_data_go():
    torch.testing.assert_close(losses(1.0, unroll=64), losses(1.0, unroll=4))
