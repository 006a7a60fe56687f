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
err = Console(file=sys.stderr, highlight=False, soft_wrap=True)

_MARKS = {"cached": "[green]cached[/]", "runs": "[yellow]runs[/]", "unneeded": "[dim]unneeded[/]"}


class Lines(Listener):
    """A listener that writes a line for each thing that happens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None: ...

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
            err.print(f"{name}: done, {result['object'][:40]}, digest {result['digest'][:12]}")

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
            self._bars.update(self._tasks[name], completed=100, text=f"digest {result['digest'][:12]}")
            self._bars.stop_task(self._tasks[name])


def listener() -> Lines:
    """Bars where a person watches, lines where a file does."""
    return Bars() if err.is_terminal else Lines()


def plan_line(name: str, step: Mapping[str, Any]) -> str:
    why = f"  {step['reason']}" if step["reason"] else ""
    return f"{name:<18} {_MARKS[step['state']]:<8} [dim]{(step['key'] or '')[:12]}[/]{why}"


def metrics_table(metrics: Mapping[str, float], title: str) -> Table:
    """Each metric of the surrogate with the same metric of each peer beside it."""
    peers = [peer for peer in ("persistence", "mean", "solver") if any(_of(peer, name) for name in metrics)]
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("metric")
    for column in ("surrogate", *peers):
        table.add_column(column, justify="right")
    for name, value in metrics.items():
        if any(_of(peer, name) for peer in peers) or name.endswith(".std"):
            continue
        spread = metrics.get(f"{name}.std")
        cells = [f"{value:.3g}" + (f" ± {spread:.1g}" if spread is not None else "")]
        cells += [number(metrics.get(_with(peer, name))) for peer in peers]
        table.add_row(name, *cells)
    return table


def _with(peer: str, name: str) -> str:
    """The peer's name for a metric: ``test32.rel_l2`` of ``solver`` is ``test32.solver.rel_l2``."""
    for metric in ("rollout.", "one_step.", "rel_l2"):
        at = name.find(metric)
        if at >= 0:
            return f"{name[:at]}{peer}.{name[at:]}"
    return f"{peer}.{name}"


def _of(peer: str, name: str) -> bool:
    return peer in name.split(".")


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
