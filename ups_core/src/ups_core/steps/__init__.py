"""The steps: each a thin module with a ``run(ctx)``, each started as ``ups-step NAME``.

Engines start steps as processes or containers and know nothing of what is inside; steps know
nothing of engines. Between them stand a JSON spec, a store, an exit code and a small JSON result.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class StepKind(NamedTuple):
    """What engines must know of a step without importing it.

    ``version`` is part of the step's keys: count it up when the same recipe gives another result.
    """

    version: int
    image: Literal["data", "torch"]


#: Every step. One that publishes no object (``resolve``, ``publish``, ``reclaim``) has version 0.
STEPS: dict[str, StepKind] = {
    "resolve": StepKind(0, "data"),
    "simulate": StepKind(1, "data"),
    "fetch": StepKind(1, "data"),
    "convert": StepKind(1, "data"),
    "validate": StepKind(1, "data"),
    "cache": StepKind(2, "data"),
    "train": StepKind(6, "torch"),
    "encode": StepKind(2, "torch"),
    "evaluate": StepKind(4, "torch"),
    "analyze": StepKind(3, "data"),
    "publish": StepKind(0, "data"),
    "reclaim": StepKind(0, "data"),
}
