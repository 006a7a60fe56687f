"""The trained peer: a Fourier neural operator with the recipe that validation chose among many.

docs/benchmarks.md says among which, and holds it to the reference implementation in every measurement.
"""

from __future__ import annotations

from typing import Any

from ups_core.api.architectures import PHYSICS
from ups_core.api.stages import OperatorConfig

#: Without the physics that a family declares.
PURE: dict[str, Any] = {"conserve": "none", **dict.fromkeys(PHYSICS, False)}
#: What a person would train who takes the method as published.
TRANSIENT: dict[str, Any] = {
    "architecture": {"name": "fno", "modes": 9, **PURE},
    "optimizer": "adamw",
    "lr": 4e-3,
    "weightDecay": 1e-4,
    "noise": 0.01,
}
#: In the plane and in space: more modes of fewer channels, and batches small enough for many steps.
TRANSIENT_PLANE: dict[str, Any] = {
    **TRANSIENT,
    "architecture": {**TRANSIENT["architecture"], "modes": 12, "width": 20},
    "batchSize": 8,
}
STEADY: dict[str, Any] = {
    "architecture": {"name": "fno", "modes": 5, **PURE},
    "optimizer": "adamw",
    "lr": 1.6e-2,
    "weightDecay": 1e-4,
    "loss": "l2",
}


def fno(*, steady: bool, dimensions: int, cpu_seconds: float | None) -> dict[str, Any]:
    """The peer's stage config; ``cpuBudgetSeconds`` is left out where it is to be what others took."""
    tuned = STEADY if steady else TRANSIENT if dimensions == 1 else TRANSIENT_PLANE
    config = OperatorConfig.model_validate({**tuned, "cpuBudgetSeconds": cpu_seconds or 1.0})
    whole = config.resolved(steady=steady, dimensions=dimensions).to_dict()
    if cpu_seconds is None:
        del whole["cpuBudgetSeconds"]
    return whole
