"""The report of one run: one HTML file and its Markdown sibling, made of published objects alone.

Names, times and costs belong to a run and not to its results; they are left as marked places, which
:mod:`ups_core.analyze.complete` fills in.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from ups_core.analyze import captions, figures, tables
from ups_core.analyze.complete import markdown_table, place
from ups_core.analyze.numbers import number
from ups_core.analyze.particles import MOST, Particles, particles
from ups_core.analyze.samples import Sample, sample
from ups_core.analyze.verdict import verdict
from ups_core.data.families import family


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

    @property
    def declares_conserved(self) -> bool:
        """Whether somebody said which means are constant; else the training data did."""
        return family(self.dataset["family"]).conserved is not None

    @property
    def carries_averages(self) -> bool:
        """Whether rollouts carry averages of cells, and values at points are read off them."""
        return any(name.startswith("average.") for name in self.model["shapes"])

    def samples(self, most: int) -> Sequence[Sample | Particles]:
        """The samples that are drawn, at most so many."""
        count = min(most, len(self.evaluation["drawn"]))
        if self.dataset["kind"] == "particles":
            return [particles(self.fields, i, self.dataset) for i in range(count)]
        fields, inputs = self.dataset["fields"], self.dataset["inputs"]
        return [sample(self.fields, i, fields, inputs, count) for i in range(count)]


def render(material: Material, samples: int) -> dict[str, str]:
    """``report.html`` and ``report.md``; the same material gives the same bytes."""
    environment = templates()
    context = _context(material, samples)
    html = {
        **context,
        "style": Markup(_template("style.css")),
        "figures": {name: Markup(svg) for name, svg in context["figures"].items()},
        "samples": [{**s, "figure": Markup(s["figure"])} for s in context["samples"]],
    }
    return {
        "report.html": environment.get_template("report.html.j2").render(html),
        "report.md": environment.get_template("report.md.j2").render(context),
    }


def templates() -> jinja2.Environment:
    """The templates of this package, with what they share."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["place"] = lambda name, meanwhile="": Markup(place(name, str(meanwhile)))
    environment.globals["markdown_table"] = markdown_table
    environment.filters["equation"] = lambda words: Markup(
        re.sub(r"(?<=\w)_(\w+)", r"<sub>\1</sub>", str(escape(words)))
    )
    return environment


def _template(name: str) -> str:
    return resources.files("ups_core.analyze").joinpath("templates", name).read_text(encoding="utf-8")


def _context(m: Material, samples: int) -> dict[str, Any]:
    main = m.evaluation["split"]
    rows = _rows(m.per_sample, main)
    own = "rel_l2" if m.evaluation["steady"] else "rollout.nrmse"
    judged = verdict(m.metrics, m.evaluation, [row[own] for row in rows], kind=m.dataset["kind"])
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
            "spectra": figures.spectra("spectra", spectra, times, labels) if spectra else "",
            "curve": figures.learning_curve(m.curve, m.model["validation"]),
        },
        "samples": [_sample(m, i, one) for i, one in enumerate(m.samples(samples))],
        "captions": _captions(m, rows, times, labels),
        "drift": tables.drift_rows(m.metrics),
        "tables": tables.metric_tables(m.metrics, m.evaluation, m.validated, m.dataset["kind"]),
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


def _sample(m: Material, nth: int, one: Sample | Particles) -> dict[str, str]:
    drawn = m.evaluation["drawn"][nth]
    error = "diverged" if drawn["error"] is None else f"error {number(drawn['error'])}"
    varying = {
        name: value
        for name, value in drawn["parameters"].items()
        if any(d["parameters"][name] != value for d in m.evaluation["drawn"])
    }
    parameters = "".join(f", {name} = {number(value)}" for name, value in varying.items())
    return {
        "title": f"{drawn['role'].capitalize()}: sample {drawn['sample']}{parameters}, {error}",
        "figure": one.draw(),
        "seen": one.seen,
        "film": film_of(drawn) if one.t is not None else "",
    }


def _how_to_read(m: Material) -> str:
    """What is drawn of the samples."""
    fields, kind = m.dataset["fields"], m.dataset["kind"]
    if kind != "particles":
        depth = float(m.fields["z"][0]) if "z" in m.fields else None
        plane = len(m.dataset["space"]) > 1
        return captions.samples(plane, fields, m.dataset["steady"], mesh=kind == "mesh", depth=depth)
    seen, many = [*m.dataset["positions"], *m.dataset["velocities"]], m.fields["truth"].shape[-1]
    others = [field["label"] or field["name"] for field in fields if field["name"] not in seen]
    return captions.particles(min(many, MOST), many, bool(m.dataset["velocities"]), others)


def film_of(drawn: Mapping[str, Any]) -> str:
    """Where the film of a drawn sample lies beside the report."""
    return f"films/sample-{drawn['sample']}.mp4"


def _captions(
    m: Material, rows: list[dict[str, float | None]], times: Mapping[int, float], labels: Mapping[str, str]
) -> dict[str, Any]:
    main, steady, plane = m.evaluation["split"], m.evaluation["steady"], len(m.dataset["space"]) > 1
    over_time, found = m.over_time[main], m.spectra[main]
    first, problem = next(iter(labels.values())), (m.codec or m.model)["problem"]
    return {
        "scoreboard": captions.scoreboard(steady, m.dataset["kind"]),
        "over_time": captions.over_time(over_time, len(rows)) if over_time else ("", ""),
        "per_sample": captions.per_sample(rows, main),
        "samples": _how_to_read(m),
        "spectra": captions.spectra(found, times, first, plane) if found else ("", ""),
        "drift": captions.drift(
            [labels[f] for f, kept in zip(problem["fields"], problem["conserved"], strict=True) if kept],
            m.metrics.get("truth.rollout.conservation_drift", 0.0),
            declared=m.declares_conserved,
            averages=m.carries_averages,
            kind=m.dataset["kind"],
        ),
        "curve": captions.curve(m.curve, m.model["validation"], m.model["steps"]),
        "splits": captions.splits(m.validated),
    }
