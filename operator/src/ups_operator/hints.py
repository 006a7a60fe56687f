"""What the operator remembers between two looks. All of it may be lost: it saves work and decides nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ups_operator.draft import Key


class Hints:
    """Which events are echoes of our own writes, and which runs wait for which Dataset."""

    def __init__(self) -> None:
        self._written: dict[str, str] = {}
        self._waiting: dict[Key, set[Key]] = defaultdict(set)
        self._waits_for: dict[Key, Key] = {}
        self._phases: dict[Key, str | None] = {}

    def wrote(self, obj: Mapping[str, Any]) -> None:
        """This version of a resource or a Workflow is by our own hand, and was looked at before that."""
        self._written[obj["metadata"]["uid"]] = obj["metadata"]["resourceVersion"]

    def is_echo(self, obj: Mapping[str, Any]) -> bool:
        """Nothing has happened to it but what we did."""
        return self._written.get(obj["metadata"]["uid"]) == obj["metadata"]["resourceVersion"]

    def is_gone(self, obj: Mapping[str, Any]) -> None:
        self._written.pop(obj["metadata"]["uid"], None)

    def waits(self, run: Key, dataset: Key | None) -> None:
        """A run waits for a Dataset, or for none any more."""
        before = self._waits_for.pop(run, None)
        if before is not None:
            self._waiting[before].discard(run)
            if not self._waiting[before]:
                del self._waiting[before]
        if dataset is not None:
            self._waits_for[run] = dataset
            self._waiting[dataset].add(run)

    def woken_by(self, dataset: Key, phase: str | None) -> set[Key]:
        """The runs that wait for a Dataset, where its phase, None if it is gone, is another than before."""
        if self._phases.get(dataset) == phase:
            return set()
        if phase is None:
            del self._phases[dataset]
        else:
            self._phases[dataset] = phase
        return set(self._waiting.get(dataset, ()))
