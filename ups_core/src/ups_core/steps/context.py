"""What a step is given and what it gives back: the contract between steps and engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

#: The resolved plan, in the record of each resource that has steps in it.
PLAN = "plan.json"

if TYPE_CHECKING:
    from collections.abc import Callable

    from ups_core.store import PublishedObject, RunRecord, Store


@dataclass(frozen=True)
class StepSpec:
    """The JSON that ``ups-step NAME --spec`` takes. Engines write it; people need not.

    Attributes
    ----------
    step, name:
        What is run (``train``) and its unique name in the plan (``train-operator``).
    key:
        Key of the object that the step publishes; None where it publishes none.
    recipe:
        Exactly what the key is made of.
    options:
        What the step reads besides, and what changes no result: threads, intervals, endpoints.
    inputs:
        Role to ``objects/<step>/<key>``.
    record:
        Where the run's mutable record lies in the store.
    """

    step: str
    name: str
    record: str
    key: str | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    attempt: int = 1
    shard: int = 0

    @classmethod
    def of(cls, step: Mapping[str, Any], attempt: int) -> StepSpec:
        """The spec of a step as ``resolve`` left it in ``plan.json``."""
        taken = ("step", "name", "record", "key", "recipe", "options", "inputs")
        return cls(**{name: step[name] for name in taken}, attempt=attempt)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class StepContext:
    """Everything a step may touch. A step is a function of one, and returns its small result."""

    spec: StepSpec
    store: Store
    #: The run's mutable record: metrics, events and checkpoints.
    record: RunRecord
    #: What is written here is published as the step's object.
    out: Path
    #: Scratch space, gone when the step ends.
    work: Path
    #: ``progress(done, total, text)``
    progress: Callable[[int, int, str], None]
    inputs: Mapping[str, PublishedObject] = field(default_factory=dict)

    @property
    def recipe(self) -> dict[str, Any]:
        return self.spec.recipe

    @property
    def options(self) -> dict[str, Any]:
        return self.spec.options
