"""What a person sees: bars on a terminal, plain lines elsewhere, tables at the end."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.table import Table

from ups_workflows.engines.local import Listener

if TYPE_CHECKING:
    from ups_workflows.outcome import Failure

#: Data goes to standard output; everything else to standard error.
out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
if not out.is_terminal:
    out.width = 240  # a pipe has no edge at which to cut a table
err = Console(file=sys.stderr, highlight=False, soft_wrap=True)

_MARKS = {"cached": "[green]cached[/]", "runs": "[yellow]runs[/]", "unneeded": "[dim]unneeded[/]"}


class Lines(Listener):
    """A listener that writes a line for each thing that happens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None: ...

    def waiting(self, process: int) -> None:
        err.print(f"waiting for process {process}, which is making the dataset")

    def planned(self, steps: Mapping[str, Mapping[str, Any]]) -> None:
        self._shown: dict[str, int] = {}
        for name, step in steps.items():
            if step["version"]:
                err.print(plan_line(name, step))

    def started(self, name: str) -> None:
        if name not in ("resolve", "publish", "publish-dataset"):
            err.print(f"{name}: started")

    def progress(self, name: str, percent: int, text: str) -> None:
        # Every tenth percent is enough for a log file.
        if percent // 10 > self._shown.get(name, 0):
            self._shown[name] = percent // 10
            err.print(f"{name}: {percent} % {text}".rstrip(), markup=False)

    def said(self, name: str, line: str) -> None:
        err.print(line, markup=False)

    def finished(self, name: str, result: Mapping[str, Any]) -> None:
        if "object" in result:
            verdict = f", {result['verdict']}" if "verdict" in result else ""
            err.print(f"{name}: done, {result['object'][:40]}, digest {result['digest'][:12]}{verdict}")

    def failed(self, failure: Failure) -> None:
        err.print(f"{failure.step}: failed, {failure.reason} (exit code {failure.exit_code})", style="red")


class Bars(Lines):
    """A listener that draws a bar for each step that runs."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[text]}"),
            console=err,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._bars.stop()

    def started(self, name: str) -> None:
        if name not in self._tasks and not name.startswith(("resolve", "publish")):
            self._tasks[name] = self._bars.add_task(name, total=100, text="")

    def progress(self, name: str, percent: int, text: str) -> None:
        if name in self._tasks:
            self._bars.update(self._tasks[name], completed=percent, text=text)

    def finished(self, name: str, result: Mapping[str, Any]) -> None:
        if name in self._tasks:
            text = result.get("verdict") or f"digest {result['digest'][:12]}"
            self._bars.update(self._tasks[name], completed=100, text=text)
            self._bars.stop_task(self._tasks[name])


def listener() -> Lines:
    """Bars where a person watches, lines where a file does."""
    return Bars() if err.is_terminal else Lines()


def plan_line(name: str, step: Mapping[str, Any]) -> str:
    why = f"  {step['reason']}" if step["reason"] else ""
    return f"{name:<18} {_MARKS[step['state']]:<8} [dim]{(step['key'] or '')[:12]}[/]{why}"


def waited_for(resource: Mapping[str, Any]) -> list[str]:
    """What must be there before a pending resource can run, and is not: its conditions have it."""
    status = resource.get("status", {})
    if status.get("phase", "Pending") != "Pending":
        return []
    needed = [each for each in status.get("conditions", []) if each["type"] in ("DatasetReady", "Admitted")]
    unmet = [each for each in needed if each["status"] == "False"]
    return [each.get("message") or f"{each['type']}: {each.get('reason', 'not yet')}" for each in unmet]


def dataset_line(name: str, version: str, splits: Mapping[str, int]) -> str:
    counts = ", ".join(f"{count} {split}" for split, count in splits.items())
    return f"Dataset {name} is ready, version {version}: {counts}"


#: Whose metrics stand beside the surrogate's, in the order of their columns.
PEERS = ("persistence", "mean", "solver", "fno", "truth")
#: What is looked at first comes first.
FIRST = ("rollout.nrmse", "one_step.nrmse", "rel_l2")


def metrics_table(metrics: Mapping[str, float], title: str) -> Table:
    """Each metric of the surrogate with the same metric of each peer beside it."""
    rows: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        peer = next((peer for peer in PEERS if peer in name.split(".")), "surrogate")
        rows.setdefault(name.replace(f"{peer}.", ""), {})[peer] = value
    shown = [peer for peer in PEERS if any(peer in row for row in rows.values())]
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("metric")
    for column in ("surrogate", *shown):
        table.add_column(column, justify="right")
    for name in sorted(rows, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name)):
        if not name.endswith(".std"):
            spread = rows.get(f"{name}.std", {})
            table.add_row(
                name, *(_cell(rows[name].get(who), spread.get(who)) for who in ("surrogate", *shown))
            )
    return table


def _cell(value: float | None, spread: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if spread is None else f"{value:.3g} ± {spread:.1g}"
