"""Values of order one for the network, physical units for everyone else.

All statistics come from the training split. States are divided by their standard deviation; their mean is
taken off only where nothing forbids it. It stays where the field carries itself, where a symmetry changes its
sign or turns it as part of a vector, where multiples of solutions are solutions, and where the field is the
solution of a steady problem, whose relative error is judged against zero and which a wall may hold at zero.
The components of a vector share one scale. Where particles are is taken as a share of the box.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor

from ups_core.errors import DataInvalid
from ups_core.models.problem import Problem


@dataclass(frozen=True)
class Scale:
    """Per channel: normalised = (value - shift) / scale."""

    shift: tuple[float, ...]
    scale: tuple[float, ...]

    def apply(self, u: Tensor) -> Tensor:
        """Physical (B, C, ...) to normalised."""
        shift, scale = self._channels(u)
        return u / scale if not any(self.shift) else (u - shift) / scale

    def invert(self, u: Tensor) -> Tensor:
        """Normalised (B, C, ...) to physical."""
        shift, scale = self._channels(u)
        return u * scale if not any(self.shift) else u * scale + shift

    def _channels(self, u: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, *[1] * (u.ndim - 2))
        return (
            torch.tensor(self.shift, dtype=u.dtype, device=u.device).reshape(shape),
            torch.tensor(self.scale, dtype=u.dtype, device=u.device).reshape(shape),
        )


@dataclass(frozen=True)
class Normaliser:
    """How a problem's fields, inputs and varying parameters are scaled.

    ``fixed`` holds the value of every parameter that was the same in all training samples;
    ``logarithmic`` says which of the varying ones are taken as logarithms (all that are positive).
    """

    fields: Scale
    inputs: Scale
    parameters: Scale
    logarithmic: tuple[bool, ...]
    fixed: Mapping[str, float]

    @classmethod
    def of(cls, statistics: Mapping[str, Any], problem: Problem, parameters: np.ndarray) -> Normaliser:
        """From ``normaliser.json`` and the training parameters (N, P)."""
        whole = problem.steady or problem.linear or problem.boost is not None
        shifted = [not (whole or problem.turns(name)) for name in problem.fields]
        fields = _scale(statistics["fields"], problem.fields, shifted, problem)
        shifted = [not problem.turns(name) for name in problem.inputs]
        inputs = _scale(statistics["inputs"], problem.inputs, shifted, problem)
        columns = {name: parameters[:, i] for i, name in enumerate(problem.parameters) if len(parameters)}
        varying = [columns[name] for name in problem.varying]
        logarithmic = tuple(bool((values > 0).all()) for values in varying)
        scaled = [np.log(v) if log else v for v, log in zip(varying, logarithmic, strict=True)]
        return cls(
            fields=fields,
            inputs=inputs if problem.steady else fields,
            parameters=Scale(tuple(float(v.mean()) for v in scaled), tuple(float(v.std()) for v in scaled)),
            logarithmic=logarithmic,
            fixed={name: float(v[0]) for name, v in columns.items() if name not in problem.varying},
        )

    def vary(self, problem: Problem, parameters: np.ndarray) -> Tensor:
        """Parameters (N, P) in their own units to what the network takes, (N, varying)."""
        columns = [parameters[:, problem.parameters.index(name)] for name in problem.varying]
        values = [np.log(c) if log else c for c, log in zip(columns, self.logarithmic, strict=True)]
        if not values:
            return torch.zeros(len(parameters), 0)
        return self.parameters.apply(torch.from_numpy(np.stack(values, axis=1)).float())  # (N, varying)

    @property
    def sha256(self) -> str:
        """Hash of all numbers, to tell whether two models mean the same by a value."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Normaliser:
        return TypeAdapter(cls).validate_python(values)


def _scale(
    statistics: Mapping[str, Any], names: Sequence[str], shifted: Sequence[bool], problem: Problem
) -> Scale:
    if not statistics:
        return Scale((), ())
    for name in names:
        if not statistics[name]["std"] > 0:
            raise DataInvalid(
                f"the field {name} is constant in the training split",
                where=f"normaliser.json: {name}",
                found=f"standard deviation {statistics[name]['std']}",
                expected="a positive number",
                fix="leave the field out of the dataset",
            )
    shift = [float(statistics[n]["mean"]) if s else 0.0 for n, s in zip(names, shifted, strict=True)]
    scale = list(problem.shared({n: float(statistics[n]["std"]) for n in names}))
    for c, (low, high) in zip(
        problem.motion.positions if problem.motion else (), problem.box or (), strict=False
    ):
        shift[c], scale[c] = low, high - low
    return Scale(tuple(shift), tuple(scale))
