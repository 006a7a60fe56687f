"""Where training stands, and what it ends with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from torch import Tensor

from ups_core.train.execution import Way


@dataclass
class Position:
    """Where the loop stands: the part of its state that is no tensor."""

    step: int = 0
    cpu_seconds: float = 0.0
    best: float = math.inf
    best_step: int = -1
    loss_sum: float = 0.0
    loss_count: int = 0
    setbacks: int = 0
    validations: int = 0
    #: CPU seconds that these took.
    validation_seconds: float = 0.0
    #: How the network is executed, once that was measured; None where there was no choice.
    execution: Way | None = None
    curve: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, which knows no infinity."""
        return {**vars(self), "best": self.best if self.best_step >= 0 else None}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """What :meth:`to_dict` gave."""
        return cls(**{**values, "best": math.inf if values["best"] is None else values["best"]})


@dataclass(frozen=True)
class Fitted:
    """The outcome: the best weights, their validation figure, and how they came about."""

    weights: dict[str, Tensor]
    position: Position
