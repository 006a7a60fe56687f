"""What the operator remembers between two looks. All of it may be lost: it saves work and decides nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ups_operator.draft import Key


class Hints:
    """Which events are echoes of our own writes, and which runs wait for which Dataset."""

    def __init__(self) -> None:
        self._written: dict[Key, str] = {}
        self._waiting: dict[Key, set[Key]] = defaultdict(set)
        self._waits_for: dict[Key, Key] = {}
        self._phases: dict[Key, str | None] = {}

    def wrote(self, key: Key, obj: Mapping[str, Any]) -> None:
        """We have written this version of it ourselves, after we had looked at the one before."""
        self._written[key] = obj["metadata"]["resourceVersion"]

    def is_echo(self, key: Key, obj: Mapping[str, Any]) -> bool:
        return self._written.get(key) == obj["metadata"]["resourceVersion"]

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
        """The runs that wait for a Dataset, where its phase is another than before."""
        if self._phases.get(dataset, "") == phase:
            return set()
        self._phases[dataset] = phase
        return set(self._waiting.get(dataset, ()))

    def forget(self, key: Key) -> None:
        """It is gone."""
        self._written.pop(key, None)
        self._phases.pop(key, None)
        self.waits(key, None)
