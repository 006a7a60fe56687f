"""Problems as plain values, no dataset behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ups_core.data.families.base import Transform
from ups_core.models.problem import Problem

LINE = Problem(
    family="line",
    steady=False,
    space="X",
    fields=("u",),
    units=("m/s",),
    inputs=("u",),
    shape=(16,),
    spacing=(1 / 16,),
    boundary=("periodic",),
    wall=(False,),
    conserved=(True,),
    parameters=("nu",),
    shifts=("X",),
    symmetries=(Transform("reflection", flip=("X",), sign=-1),),
    dt=0.1,
)
SQUARE = replace(
    LINE,
    family="square",
    steady=True,
    space="XY",
    inputs=("a",),
    shape=(8, 8),
    spacing=(1 / 8, 1 / 8),
    boundary=("dirichlet", "dirichlet"),
    wall=(True, True),
    conserved=(False,),
    parameters=(),
    shifts=(),
    symmetries=(
        Transform("flip-x", flip=("X",)),
        Transform("flip-y", flip=("Y",)),
        Transform("transpose", transpose=True),
    ),
    dt=None,
)


@pytest.fixture
def line() -> Callable[..., Problem]:
    """A transient problem on a periodic line, with any attribute replaced."""
    return lambda **changes: replace(LINE, **changes)


@pytest.fixture
def square() -> Callable[..., Problem]:
    """A steady problem on a walled square, with any attribute replaced."""
    return lambda **changes: replace(SQUARE, **changes)


@pytest.fixture
def torus() -> Callable[..., Any]:
    """A transient problem of two conserved fields on a periodic plane."""
    changes: dict[str, Any] = {
        "space": "XY",
        "fields": ("u", "v"),
        "units": ("1", "1"),
        "inputs": ("u", "v"),
        "shape": (12, 10),
        "spacing": (0.1, 0.1),
        "boundary": ("periodic", "periodic"),
        "wall": (False, False),
        "conserved": (True, True),
        "shifts": ("X", "Y"),
        "symmetries": (),
    }
    return lambda **more: replace(LINE, **{**changes, **more})
