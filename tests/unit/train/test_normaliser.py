from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ups_core.data.families.base import Transform
from ups_core.errors import DataInvalid
from ups_core.models.problem import Problem
from ups_core.train.normaliser import Normaliser, Scale

PROBLEM = Problem(
    family="f",
    steady=False,
    space="X",
    fields=("u", "T"),
    units=("m/s", "K"),
    inputs=("u", "T"),
    shape=(8,),
    spacing=(0.1,),
    boundary=("periodic",),
    wall=(False,),
    conserved=(True, False),
    parameters=("nu", "c"),
    varying=("nu",),
)
STATISTICS = {"fields": {"u": {"mean": 3.0, "std": 2.0}, "T": {"mean": 300.0, "std": 5.0}}, "inputs": {}}
PARAMETERS = np.array([[0.01, 7.0], [0.1, 7.0], [1.0, 7.0]])


def test_what_may_be_shifted():
    normaliser = Normaliser.of(STATISTICS, PROBLEM, PARAMETERS)
    assert normaliser.fields == Scale((3.0, 300.0), (2.0, 5.0))
    moving = replace(PROBLEM, fields=("u",), conserved=(True,), boost=0.7)
    assert Normaliser.of(STATISTICS, moving, PARAMETERS).fields.shift == (0.0,)
    signed = replace(PROBLEM, symmetries=(Transform("minus", sign=-1),))
    assert Normaliser.of(STATISTICS, signed, PARAMETERS).fields.shift == (0.0, 0.0)


def test_steady_solutions_are_scaled_and_inputs_standardised():
    steady = replace(PROBLEM, steady=True, fields=("u",), units=("1",), inputs=("a",), conserved=(False,))
    statistics = {"fields": {"u": {"mean": 3.0, "std": 2.0}}, "inputs": {"a": {"mean": 0.5, "std": 0.25}}}
    normaliser = Normaliser.of(statistics, steady, PARAMETERS)
    assert normaliser.fields == Scale((0.0,), (2.0,))
    assert normaliser.inputs == Scale((0.5,), (0.25,))


def test_parameters():
    normaliser = Normaliser.of(STATISTICS, PROBLEM, PARAMETERS)
    assert normaliser.fixed == {"c": 7.0}
    assert normaliser.logarithmic == (True,)
    given_ = normaliser.vary(PROBLEM, PARAMETERS)
    np.testing.assert_allclose(given_[:, 0], [-(1.5**0.5), 0, 1.5**0.5], atol=1e-6)
    fixed = replace(PROBLEM, varying=())
    assert Normaliser.of(STATISTICS, fixed, PARAMETERS).vary(fixed, PARAMETERS).shape == (3, 0)


@settings(max_examples=25)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(0, 2**16))
def test_round_trip(shift, scale, seed):
    u = torch.randn(2, 1, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    one = Scale((shift,), (scale,))
    torch.testing.assert_close(one.invert(one.apply(u)), u, atol=1e-9, rtol=1e-9)


def test_hash_follows_the_numbers_and_survives_json():
    normaliser = Normaliser.of(STATISTICS, PROBLEM, PARAMETERS)
    again = Normaliser.from_dict(json.loads(json.dumps(normaliser.to_dict())))
    assert again == normaliser
    assert again.sha256 == normaliser.sha256
    other = replace(normaliser, fields=Scale((0.0, 300.0), (2.0, 5.000001)))
    assert other.sha256 != normaliser.sha256


def test_constant_field_is_refused():
    statistics = {"fields": {**STATISTICS["fields"], "T": {"mean": 300.0, "std": 0.0}}, "inputs": {}}
    with pytest.raises(DataInvalid, match="T is constant"):
        Normaliser.of(statistics, PROBLEM, PARAMETERS)
