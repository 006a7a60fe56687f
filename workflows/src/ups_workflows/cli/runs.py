"""Where runs are, whichever engine runs them: what a verb needs of an engine, and nothing else.

Runs of this machine are read from their records in the store; runs of a cluster are asked of its API
server, and their records lie in the store that they name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ups_core.api.load import Resources
    from ups_core.store import RunRecord
    from ups_core.store.record import Kind
    from ups_workflows.cli.options import Engine, Output


@dataclass(frozen=True)
class Asked:
    """How ``ups run`` was asked to run."""

    output: Output = "table"
    detach: bool = False
    force: tuple[str, ...] = ()
    only: str | None = None
    until: str | None = None


class Runs(Protocol):
    """The runs and datasets of one engine, in one namespace. ``kind`` is that of the resource."""

    @property
    def where(self) -> str:
        """Where these runs are, to be told."""
        ...

    def run(self, resources: Resources, asked: Asked) -> int:
        """Run what a file holds and show how it goes; the exit code."""
        ...

    def every(self, kind: str) -> list[dict[str, Any]]:
        """Every resource of a kind with its status, in order of name."""
        ...

    def get(self, name: str, kind: str = "TrainingRun") -> dict[str, Any]:
        """One resource with its status. NotFound says which there are."""
        ...

    def find(self, name: str, kind: str = "TrainingRun") -> tuple[RunRecord, dict[str, Any]]:
        """One resource, and its record in its store."""
        ...

    def logs(self, name: str, kind: str, rows: Kind, step: str | None, follow: bool) -> Iterator[str]:
        """Lines of what the steps said, oldest first; with ``follow`` until the run has ended."""
        ...

    def cancel(self, name: str, kind: str) -> str:
        """Have it stop with a checkpoint and stay stopped; what was done, in a sentence."""
        ...

    def resume(self, name: str, kind: str, asked: Asked) -> int:
        """Go on with what was stopped, or try again what failed; as :meth:`run`."""
        ...


def open_runs(engine: Engine, store: str | None, namespace: str | None, context: str | None) -> Runs:
    """The runs that the options of a verb mean."""
    if engine == "argo":
        from ups_workflows.cluster.client import connect
        from ups_workflows.cluster.runs import ClusterRuns

        return ClusterRuns(connect(context), store, namespace)
    from ups_core.errors import InvalidSpec
    from ups_workflows.cli.local import LocalRuns

    if context is not None:
        raise InvalidSpec(
            "a context is of a cluster", where="--context", found=context, fix="add --engine argo"
        )
    return LocalRuns(store, namespace)
