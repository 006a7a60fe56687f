"""Completing a report with what no published object may hold: names, times, costs, addresses.

The object of ``analyze`` has the same bytes whoever made it, wherever and whenever, so it leaves
marked places for the rest. ``publish`` fills them in, also when all else was cached; this module
therefore imports nothing but the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ups_core.analyze.numbers import duration, number
from ups_core.analyze.payoff import payoff_words

#: The marked places. Each stands in a report as ``<!--ups:NAME-->...<!--/ups:NAME-->``.
PLACES = ("title", "run", "cost", "resources", "steps", "commands")
_PLACE = re.compile(rf"<!--ups:(?P<name>{'|'.join(PLACES)})-->.*?<!--/ups:(?P=name)-->", re.DOTALL)

Rows = Sequence[Sequence[str]]


def place(name: str, meanwhile: str = "") -> str:
    """A place to be filled in, and what stands there until then."""
    return f"<!--ups:{name}-->{meanwhile}<!--/ups:{name}-->"


def complete(text: str, facts: Mapping[str, Any]) -> str:
    """The report ``text``, HTML or Markdown, with every place filled in that ``facts`` know of.

    ``facts``: ``run`` {name, namespace, uid, attempt}, ``resources`` (YAML of what was asked),
    ``steps`` [{name, key, digest, cached, reason, seconds, cpuSeconds}], ``cost`` {surrogate, fno, solver:
    {frames, cpu_seconds, frames_per_cpu_second, error}, equal, spent} (see :mod:`.payoff`), ``store`` (its
    URI), ``commands``. All of it is escaped. ValueError where the text is not a report of this version.
    """
    write = _Html() if text.lstrip().lower().startswith("<!doctype html") else _Markdown()
    if missing := set(PLACES) - {found["name"] for found in _PLACE.finditer(text)}:
        raise ValueError(f"this report has no place for {', '.join(sorted(missing))}")
    # One pass, so that what is filled in is never searched for places itself.
    return _PLACE.sub(lambda found: getattr(write, found["name"])(facts) or found.group(0), text)


def run_rows(facts: Mapping[str, Any]) -> list[list[str]]:
    run = facts.get("run", {})
    words = {"name": "Run", "namespace": "Namespace", "uid": "UID", "attempt": "Attempt", "seeds": "Seeds"}
    rows = [[words[key], str(run[key])] for key in words if run.get(key) is not None]
    return [*rows, ["Store", str(facts["store"])]] if facts.get("store") else rows


def step_rows(facts: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            str(step["name"]),
            "cached" if step.get("cached") else str(step.get("reason") or "ran"),
            duration(step.get("seconds")),
            duration(step.get("cpuSeconds")),
            str(step.get("key") or "")[:16],
            str(step.get("digest") or "")[:16],
        ]
        for step in facts.get("steps", [])
    ]


STEP_COLUMNS = ("Step", "This time", "Made in", "CPU", "Key", "Digest")


def cost_rows(facts: Mapping[str, Any]) -> list[list[str]]:
    """Who predicted how much for how much; below, the solver on coarser and finer grids."""
    cost = facts.get("cost") or {}
    training = {"surrogate": "training", "fno": "fno"}
    rows = [
        [
            {"solver": "classical solver", "fno": "tuned FNO"}.get(who, who),
            number(cost[who].get("error")),
            duration(cost.get("spent", {}).get(training.get(who))),
            *_speed(cost[who]),
        ]
        for who in ("surrogate", "fno", "solver")
        if who in cost
    ]
    settings = cost.get("equal", {}).get("settings", [])
    return rows + [
        [f"classical solver, {s['points']} points a side", number(s["error"]), "–", *_speed(s)]
        for s in settings
        if len(settings) > 1
    ]


def _speed(measured: Mapping[str, Any]) -> list[str]:
    frames, seconds = measured.get("frames"), measured.get("cpu_seconds")
    rate = frames / seconds if frames and seconds else None
    return [number(frames), duration(seconds), number(rate)]


COST_COLUMNS = ("Who", "Error", "Training", "Fields predicted", "CPU time", "Fields per CPU-second")


def cost_words(facts: Mapping[str, Any]) -> str:
    """What both speeds are to each other, and when the surrogate pays off; nothing where one is missing."""
    cost = facts.get("cost") or {}
    speeds = [cost.get(who, {}).get("frames_per_cpu_second") for who in ("surrogate", "solver")]
    if not all(speeds):
        return ""
    who = ["surrogate", "classical solver"]
    first, second = who if speeds[0] >= speeds[1] else reversed(who)
    ratio = number(max(speeds) / min(speeds), 2)
    said = f"The {first} gave {ratio} times as many fields per CPU-second as the {second}."
    return f"{said} {payoff_words(cost)}".strip()


class _Html:
    def title(self, facts: Mapping[str, Any]) -> str:
        name = facts.get("run", {}).get("name")
        return f"<title>{escape(str(name))} · UPS report</title>" if name else ""

    def run(self, facts: Mapping[str, Any]) -> str:
        run = facts.get("run", {})
        if not run.get("name"):
            return ""
        attempt = f", attempt {escape(str(run['attempt']))}" if run.get("attempt") is not None else ""
        where = escape(str(run.get("namespace", "")))
        return f'<p class="run">Run <b>{escape(str(run["name"]))}</b> in {where}{attempt}</p>'

    def resources(self, facts: Mapping[str, Any]) -> str:
        asked = facts.get("resources")
        return f"<pre><code>{escape(str(asked).strip())}</code></pre>" if asked else ""

    def cost(self, facts: Mapping[str, Any]) -> str:
        rows = cost_rows(facts)
        return f"<p>{escape(cost_words(facts))}</p>{self._table(COST_COLUMNS, rows, 1)}" if rows else ""

    def steps(self, facts: Mapping[str, Any]) -> str:
        rows = step_rows(facts)
        about = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in run_rows(facts))
        return f"<dl>{about}</dl>{self._table(STEP_COLUMNS, rows, 2, code=4)}" if rows else ""

    def commands(self, facts: Mapping[str, Any]) -> str:
        commands = "\n".join(map(str, facts.get("commands", [])))
        return f"<pre><code>{escape(commands)}</code></pre>" if commands else ""

    def _table(self, columns: Sequence[str], rows: Rows, figures: int, code: int = 99) -> str:
        """A table whose columns from ``figures`` on are numbers, and from ``code`` on hashes."""

        def cell(tag: str, i: int, value: str) -> str:
            kind = ' class="hash"' if i >= code else ' class="num"' if i >= figures else ""
            return f"<{tag}{kind}>{escape(value)}</{tag}>"

        head = "".join(cell("th", i, c) for i, c in enumerate(columns))
        body = "".join(f"<tr>{''.join(cell('td', i, v) for i, v in enumerate(row))}</tr>" for row in rows)
        return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


class _Markdown:
    def title(self, facts: Mapping[str, Any]) -> str:
        name = facts.get("run", {}).get("name")
        return f"# {_inline(str(name))}" if name else ""

    def run(self, facts: Mapping[str, Any]) -> str:
        return "\n".join(f"- {key}: `{value.replace('`', '')}`" for key, value in run_rows(facts))

    def resources(self, facts: Mapping[str, Any]) -> str:
        return _fenced(str(facts.get("resources") or "").strip(), "yaml")

    def cost(self, facts: Mapping[str, Any]) -> str:
        rows = cost_rows(facts)
        return f"{cost_words(facts)}\n\n{markdown_table(COST_COLUMNS, rows)}".strip() if rows else ""

    def steps(self, facts: Mapping[str, Any]) -> str:
        rows = step_rows(facts)
        return markdown_table(STEP_COLUMNS, rows) if rows else ""

    def commands(self, facts: Mapping[str, Any]) -> str:
        return _fenced("\n".join(map(str, facts.get("commands", []))), "sh")


def markdown_table(columns: Sequence[str], rows: Rows) -> str:
    """A pipe table; what would break a cell is escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(_inline(c) if c != "---" else c for c in line) + " |" for line in lines
    )


def _inline(words: str) -> str:
    for sign in ("\\", "|", "<", "`", "*", "_", "["):
        words = words.replace(sign, "\\" + sign)
    return " ".join(words.split())


def _fenced(block: str, language: str) -> str:
    if not block:
        return ""
    longest = max((len(ticks) for ticks in re.findall(r"`+", block)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{block}\n{fence}"
