"""The figures of the report, each from the published numbers to one inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ups_core.analyze.numbers import coordinate, number
from ups_core.analyze.svg import Panel, Scale, figure, text

WIDTH = 760.0
#: Room for the tick labels on the left and the names of the lines on the right.
LEFT, RIGHT = 62.0, 116.0

#: Who is who, in every figure: name of the metrics' prefix to words and style class.
NAMES = {
    "rollout": ("surrogate", "surrogate"),
    "one_step": ("one step", "one-step"),
    "fno.rollout": ("tuned FNO", "fno"),
    "solver.rollout": ("solver", "solver"),
    "persistence.rollout": ("persistence", "persistence"),
    "rel_l2": ("surrogate", "surrogate"),
    "fno.rel_l2": ("tuned FNO", "fno"),
    "solver.rel_l2": ("solver", "solver"),
    "mean.rel_l2": ("training mean", "persistence"),
}


def scoreboard(name: str, scores: Sequence[tuple[str, str, float | None]], metric: str) -> str:
    """Errors beside each other on one logarithmic axis; ``scores`` are (words, style class, value)."""
    values = [value for _, _, value in scores]
    left, row = 160.0, 30.0
    height = 26 + row * len(scores) + 28
    x = Scale.over(values, log=True, pad=0.06)
    panel = Panel(left, 10, WIDTH - left - 110, row * len(scores), x, Scale(len(scores), 0), metric)
    bottom = panel.top + panel.height
    ticks = [(panel.at(v, 0)[0], label) for v, label in x.ticks()]
    parts = [f'<path class="grid" d="{"".join(f"M{at:.1f} {panel.top}V{bottom}" for at, _ in ticks)}"/>']
    parts += [text(at, bottom + 15, label, "tick", "middle") for at, label in ticks]
    parts.append(text(panel.left + panel.width / 2, bottom + 33, metric, "label", "middle"))
    for i, (words, css, value) in enumerate(scores):
        y = panel.top + row * (i + 0.5)
        parts.append(text(left - 14, y + 4.5, words, f"name {css}", "end"))
        if value is None or value <= 0:
            parts.append(text(left + 6, y + 4.5, "0" if value == 0 else "not finite", "note"))
            continue
        at = panel.at(value, i)[0]
        parts.append(f'<path class="line {css}" d="M{panel.left:.1f} {y:.1f}H{at:.1f}"/>')
        parts.append(f'<circle class="point {css}" cx="{at:.1f}" cy="{y:.1f}" r="5.5"/>')
        parts.append(text(at + 13, y + 4.5, number(value), "value"))
    said = "; ".join(f"{words} {number(value)}" for words, _, value in scores)
    return figure(name, f"{metric} beside its peers", said, WIDTH, height + 14, parts)


def learning_curve(rows: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> str:
    """Training loss and validation error against optimizer steps; the state that was kept is marked."""
    metric = next((key for row in rows for key in row if key.startswith("val.")), "val")
    steps = [row["step"] for row in rows]
    loss, validated = (
        [row.get("train.loss") for row in rows],
        [row for row in rows if row.get(metric) is not None],
    )
    # An untrained model's rollout can be off by orders of magnitude; that must not flatten the rest.
    top = 2 * max([1.0, *(v for v in loss if v is not None)])
    at, figures = [row["step"] for row in validated], [min(row[metric], top) for row in validated]
    values = [*loss, *figures]
    panel = Panel(
        LEFT, 14, WIDTH - LEFT - RIGHT, 210, Scale.over([0, *steps], pad=0), Scale.over(values, log=True)
    )
    panel.x_label, panel.y_label = "optimizer step", "relative error"
    panel.rule(chosen["step"], f"kept: step {chosen['step']}")
    panel.line(steps, loss, "truth thin", "training loss")
    panel.line(at, figures, "surrogate", "validation")
    panel.dots(at, figures, "surrogate")
    said = (
        f"{metric} falls from {number(figures[0])} to {number(min(figures))}."
        if figures
        else "No validation."
    )
    return figure("curve", "Learning curve", said, WIDTH, 268, [panel.render()])


def error_over_time(name: str, over_time: Mapping[str, Any]) -> str:
    """nRMSE against time, logarithmic: the surrogate with its spread over samples, beside its peers."""
    present = [key for key in NAMES if key in over_time]
    t = over_time["t"]
    values = [v for key in present for v in over_time[key]["mean"]]
    values += [v for side in ("p10", "p90") for v in over_time["rollout"][side]]
    panel = Panel(LEFT, 14, WIDTH - LEFT - RIGHT, 250, Scale.over(t, pad=0.01), Scale.over(values, log=True))
    panel.x_label, panel.y_label = "time t", "nRMSE"
    spread = over_time["rollout"]
    panel.band(t, spread["p10"], spread["p90"], "surrogate")
    for key in reversed(present):
        words, css = NAMES[key]
        panel.line(t, over_time[key]["mean"], css, words)
    said = ", ".join(f"{NAMES[key][0]} {number(over_time[key]['mean'][-1])}" for key in present)
    return figure(
        name, "Error over rollout time", f"At the last frame: {said}.", WIDTH, 310, [panel.render()]
    )


def spectra(
    name: str, found: Mapping[str, Any], times: Mapping[int, float], labels: Mapping[str, str]
) -> str:
    """Power against wavenumber at the first and the last kept frame, for each field."""
    if not found["samples"]:
        return ""
    frames, fields, k = found["frames"], found["fields"], np.array(found["wavenumber"])
    shown = [(f, c) for c in range(len(fields)) for f in sorted({0, len(frames) - 1})]
    values = [v for kind in ("truth", "prediction", "error") for f, c in shown for v in found[kind][f][c][1:]]
    # Rounding fills the tail of every spectrum; below that floor there is nothing to see.
    y = Scale.over([v for v in values if v > max(values) * 1e-18], log=True)
    columns = min(2, len(shown))
    gap, right = 58.0, 84.0
    width = (WIDTH - LEFT - right - gap * (columns - 1)) / columns
    parts = []
    for i, (f, c) in enumerate(shown):
        panel = Panel(
            LEFT + (i % columns) * (width + gap), 26 + (i // columns) * 262, width, 190,
            Scale(1, float(k[-1]), log=True), y, "wavenumber k",
        )  # fmt: skip
        panel.y_label = "mean square" if i % columns == 0 else ""
        when = f"t = {coordinate(times[frames[f]])}" if frames[f] in times else "solution"
        panel.title = f"{labels.get(fields[c], fields[c])}, {when}"
        named = i % columns == columns - 1
        for kind, css in (("error", "error"), ("truth", "truth wide"), ("prediction", "surrogate")):
            line = [v if v >= y.low else None for v in found[kind][f][c][1:]]
            panel.line(
                k[1:].tolist(), line, css, {"prediction": "surrogate"}.get(kind, kind) if named else ""
            )
        parts.append(panel.render())
    height = 26 + -(-len(shown) // columns) * 262 - 20
    said = f"Power by wavenumber from 1 to {k[-1]}, averaged over {found['samples']} samples."
    return figure(name, "Power spectra of truth, surrogate and error", said, WIDTH, height, parts)


def columns_of(rows: Sequence[Mapping[str, float | None]]) -> list[str]:
    """The columns of ``per_sample.csv`` that are drawn: the surrogate's error, then its peers'."""
    keys = [key for key in NAMES if key != "one_step"]
    return [column for key in keys for column in (f"{key}.nrmse", key) if rows and column in rows[0]]


def name_of(column: str) -> tuple[str, str]:
    """Words and style class of a column of ``per_sample.csv``."""
    return NAMES[column.removesuffix(".nrmse")]


def per_sample(rows: Sequence[Mapping[str, float | None]], metric: str, most: int = 400) -> str:
    """Every sample's error in order of size, its peers' on the same sample above it.

    ``rows`` map a column of ``per_sample.csv`` to its value, None where the prediction diverged.
    """
    columns = columns_of(rows)
    main = columns[0]
    ordered = sorted(rows, key=lambda row: np.inf if (error := row[main]) is None else error)
    if len(ordered) > most:
        ordered = [ordered[i] for i in np.linspace(0, len(ordered) - 1, most).round().astype(int)]
    values = [row[key] for row in ordered for key in columns]
    share = [(i + 0.5) / len(ordered) * 100 for i in range(len(ordered))]
    panel = Panel(LEFT, 14, WIDTH - LEFT - RIGHT, 210, Scale(0, 100), Scale.over(values, log=True))
    panel.x_label, panel.y_label = "share of samples with a smaller error, %", metric
    for key in reversed(columns):
        words, css = name_of(key)
        ys = [row[key] for row in ordered]
        panel.dots(share, ys, css, 2.6 if key == main else 1.9)
        # The name of a cloud of dots stands where a line of its median would end.
        median = (
            float(np.median([v for v in ys if v is not None])) if any(v is not None for v in ys) else None
        )
        if median:
            panel.line([100.0], [median], f"{css} hidden", words)
    errors = [error for row in ordered if (error := row[main]) is not None]
    said = f"From {number(min(errors))} to {number(max(errors))}." if errors else "No finite error."
    return figure("per-sample", f"{metric} of each sample", said, WIDTH, 268, [panel.render()])
