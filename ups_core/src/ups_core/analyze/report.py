"""The report of one run: one HTML file and its Markdown sibling, made of published objects alone.

Names, times and costs belong to a run and not to its results; they are left as marked places, which
:mod:`ups_core.analyze.complete` fills in.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from ups_core.analyze import figures, tables
from ups_core.analyze.complete import markdown_table, place
from ups_core.analyze.numbers import number, whole
from ups_core.analyze.samples import draw
from ups_core.analyze.verdict import verdict


@dataclass(frozen=True)
class Material:
    """Everything that a report is drawn from, parsed: the files of the objects that ``analyze`` reads.

    ``fields`` holds the arrays of ``fields/*.npy``; ``per_sample`` the text of ``per_sample.csv``;
    ``provenance`` rows of (role, key, digest); ``codec`` the description of
    the model's codec, where it has one; ``reference`` names equation and data.
    """

    metrics: Mapping[str, float]
    evaluation: Mapping[str, Any]
    over_time: Mapping[str, Any]
    spectra: Mapping[str, Any]
    per_sample: str
    fields: Mapping[str, np.ndarray]
    model: Mapping[str, Any]
    model_recipe: Mapping[str, Any]
    verdicts: list[dict[str, Any]]
    curve: list[dict[str, Any]]
    dataset: Mapping[str, Any]
    described: Mapping[str, Any]
    validated: Mapping[str, Any]
    provenance: list[list[str]]
    codec: Mapping[str, Any] | None = None
    reference: str = ""


def render(material: Material, samples: int) -> dict[str, str]:
    """``report.html`` and ``report.md``; the same material gives the same bytes."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    safe = Markup
    environment.globals["place"] = lambda name, meanwhile="": safe(place(name, str(meanwhile)))
    environment.globals["markdown_table"] = markdown_table
    environment.filters["equation"] = lambda words: Markup(
        re.sub(r"(?<=\w)_(\w+)", r"<sub>\1</sub>", str(escape(words)))
    )
    context = _context(material, samples)
    html = {
        **context,
        "style": safe(_template("style.css")),
        "figures": {name: safe(svg) for name, svg in context["figures"].items()},
        "samples": [{**s, "figure": safe(s["figure"])} for s in context["samples"]],
    }
    return {
        "report.html": environment.get_template("report.html.j2").render(html),
        "report.md": environment.get_template("report.md.j2").render(context),
    }


def _template(name: str) -> str:
    return resources.files("ups_core.analyze").joinpath("templates", name).read_text(encoding="utf-8")


def _context(m: Material, samples: int) -> dict[str, Any]:
    main = m.evaluation["split"]
    rows = _rows(m.per_sample, main)
    own = "rel_l2" if m.evaluation["steady"] else "rollout.nrmse"
    judged = verdict(m.metrics, m.evaluation, [row[own] for row in rows])
    labels = {f["name"]: f["label"] or f["name"] for f in m.dataset["fields"]}
    over_time, spectra = m.over_time[main], m.spectra[main]
    times = dict(zip(over_time.get("frame", []), over_time.get("t", []), strict=True))
    metric = "relative L2 error" if m.evaluation["steady"] else "nRMSE"
    return {
        "title": m.described["title"],
        "verdict": judged,
        "figures": {
            "scoreboard": figures.scoreboard("scoreboard", judged.scores, metric),
            "over_time": figures.error_over_time("over-time", over_time) if over_time else "",
            "per_sample": figures.per_sample(rows, metric),
            "spectra": figures.spectra("spectra", spectra, times, labels),
            "curve": figures.learning_curve(m.curve, m.model["validation"]),
        },
        "samples": [_sample(m, i) for i in range(min(samples, len(m.evaluation["drawn"])))],
        "captions": _captions(m),
        "drift": tables.drift_rows(m.metrics),
        "tables": tables.metric_tables(m.metrics, m.evaluation),
        "training": tables.training_facts(m.model, m.model_recipe, m.codec),
        "stages": tables.stage_table(m.verdicts),
        "data": tables.data_facts(m.described, m.dataset, m.validated),
        "splits": tables.split_table(m.validated, m.dataset),
        "provenance": m.provenance,
        "reference": m.reference,
    }


def _rows(text: str, split: str) -> list[dict[str, float | None]]:
    """The rows of one split in ``per_sample.csv``; an empty cell is None."""
    rows = csv.DictReader(io.StringIO(text))
    return [
        {key: float(value) if value else None for key, value in row.items() if key != "split"}
        for row in rows
        if row["split"] == split
    ]


def _sample(m: Material, nth: int) -> dict[str, str]:
    drawn = m.evaluation["drawn"][nth]
    error = "diverged" if drawn["error"] is None else f"error {number(drawn['error'])}"
    varying = {
        name: value
        for name, value in drawn["parameters"].items()
        if any(d["parameters"][name] != value for d in m.evaluation["drawn"])
    }
    parameters = "".join(f", {name} = {number(value)}" for name, value in varying.items())
    truth = m.fields["truth"][nth]
    difference = np.abs(m.fields["prediction"][nth].astype(np.float64) - truth)
    largest = float(difference.max()) if np.isfinite(difference).all() else None
    span = float(truth.max() - truth.min())
    relative = (
        f" ({number(100 * largest / span, 2)} % of the range of the truth)"
        if largest is not None and span
        else ""
    )
    said = (
        f"Largest error shown: {number(largest)}{relative}." if largest is not None else "Blank: not finite."
    )
    return {
        "title": f"{drawn['role'].capitalize()}: sample {drawn['sample']}{parameters}, {error}",
        "figure": draw(m.fields, nth, f"sample-{nth}", m.dataset["fields"], m.dataset["inputs"]),
        "caption": f"{said} The error has a colour scale of its own.",
    }


def _captions(m: Material) -> dict[str, str]:
    sets, main = m.evaluation["sets"], m.evaluation["split"]
    steady, count = m.evaluation["steady"], whole(sets[main]["samples"])
    peers = "Left is better; the axis is logarithmic. All figures are means over the same test samples."
    dropped = sum(split["dropped"] for split in m.validated["splits"].values())
    states = "No initial state of a test set is in train or val; "
    return {
        "scoreboard": peers
        + (" The solver runs on the same grid as the data that the surrogate sees." if not steady else ""),
        "over_time": f"Mean over {count} samples. The band holds the middle 80 % of the samples of the "
        "surrogate's rollout; where the mean lies above it, few samples make most of the error. "
        "“One step” starts every frame from the true frame before it.",
        "per_sample": f"Each sample of the split {main}, in order of the surrogate's error; "
        "peers are drawn at the same place as the surrogate's dot for that sample.",
        "samples": "Samples are chosen by their error: "
        + ("x to the right, y up." if m.dataset["space"] == "XY" else "x to the right, t up.")
        + " Truth and surrogate share one colour scale"
        + (
            "."
            if m.dataset["space"] == "XY"
            else "; below, profiles of the truth (wide, pale) and the surrogate (thin)."
        ),
        "spectra": f"Mean square by integer wavenumber (cycles per domain), averaged over {count} samples"
        + ("; in two dimensions summed over rings." if m.dataset["space"] == "XY" else "."),
        "drift": "The equation keeps the spatial mean of "
        + ", ".join(f["label"] or f["name"] for f in m.dataset["fields"])
        + ". The largest change of that mean over a rollout, in standard deviations of the initial state, "
        "averaged over samples. What the data themselves show is the floor: it comes from rounding and from "
        "points left out of the grid.",
        "curve": "Relative error of the training batches and, on the validation split, of what the stage is "
        "judged by; the dashed line marks the state that was kept, the best on validation. Values above the "
        "axis are drawn on its upper edge.",
        "splits": states
        + (f"{dropped} states were dropped for that." if dropped else "none had to be dropped."),
    }
