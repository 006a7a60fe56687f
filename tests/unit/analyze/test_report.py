"""The report as a whole: what it says is what was measured, and its viewer's policy allows all of it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import Medium, Wave, advection, context, darcy, use_model

from ups_core.analyze import samples
from ups_core.analyze.complete import complete
from ups_core.analyze.numbers import number
from ups_core.data.families import family
from ups_core.models.domain import Domain
from ups_core.models.problem import Problem
from ups_core.steps import analyze, evaluate

#: Elements that the report may consist of; the policy allows no script, image, frame, font or form.
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "h1", "h2", "h3", "p", "b",
    "sub", "figure", "figcaption", "div", "table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd",
    "pre", "code", "a", "svg", "desc", "g", "path", "rect", "circle", "text",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "name", "content", "class", "id", "role", "aria-labelledby", "viewbox", "d", "x", "y",
    "width", "height", "cx", "cy", "r", "stroke", "stroke-width", "transform", "text-anchor",
    "preserveaspectratio", "href",
}  # fmt: skip


class Allowed(HTMLParser):
    """Collects every element and attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}


def assert_allowed(html: str) -> None:
    """``sandbox; default-src 'none'; img-src 'self'; style-src 'self' 'unsafe-inline'``, and offline."""
    seen = Allowed(html)
    assert seen.elements <= ELEMENTS
    assert seen.attributes <= ATTRIBUTES
    lowered = html.lower()
    for forbidden in (
        "<script",
        "src=",
        "url(",
        "data:",
        "@import",
        "@font-face",
        "javascript:",
        "<base",
    ):
        assert forbidden not in lowered, forbidden
    for figure in re.findall(r"<figure>(.*?)\n<figcaption>", html, re.DOTALL):
        root = ET.fromstring(figure)
        assert root.find("title") is not None
        assert root.find("desc") is not None
    assert all(re.fullmatch(r"films/sample-\d+\.mp4", link) for link in re.findall(r'href="([^"]*)"', html))
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    for names in re.findall(r'aria-labelledby="([^"]+)"', html):
        assert set(names.split()) <= set(ids)


def report(
    data: Path, work: Path, model: Any, monkeypatch: pytest.MonkeyPatch, count: int = 3
) -> tuple[str, str, Any]:
    """Evaluate, analyze; returns HTML, Markdown and the metrics."""
    use_model(monkeypatch, model)
    asked = {"split": "test", "rollout": {"from": 1}, "peers": ["persistence", "solver"]}
    judged = evaluate.run(context(work / "evaluation", {"evaluation": asked}, data=data, model=data))
    dataset = json.loads((data / "dataset.json").read_text())
    trained, splits = work / "model", work / "splits"
    trained.mkdir(exist_ok=True)
    splits.mkdir(exist_ok=True)
    problem = Problem.read(data, family(dataset["family"]))
    (trained / "model.json").write_text(
        json.dumps(
            {"problem": problem.to_dict(),
             "domain": Domain.read(data, problem, "2" * 64, at_rest=False).to_dict(),
             "stage": "operator", "config": {"name": "conv", "width": 32}, "parameters": 20833, "steps": 100,
             "shapes": {"network.lift.weight": [32, 1, 5]},
             "training": {"steps": 100},
             "validation": {"metric": "val.rollout.nrmse", "value": 0.02, "step": 90}}
        )
    )  # fmt: skip
    rows = [{"step": s, "lr": 1e-3, "train.loss": 1 / (s + 1)} for s in range(0, 100, 10)]
    rows[5]["val.rollout.nrmse"] = None
    rows[9]["val.rollout.nrmse"] = 0.02
    (trained / "curve.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    verdict = {"stage": "operator", "decision": "kept", "why": "", "metric": "error", "before": None,
               "after": 0.02, "interval": None, "figures": {}}  # fmt: skip
    dropped = {**verdict, "stage": "diffusion", "decision": "dropped", "why": "no gain", "before": 0.01,
               "metric": "crps", "interval": [-0.013, -0.007]}  # fmt: skip
    searched = {**dropped, "stage": "search", "why": "reward does not rank", "metric": "nrmse",
                "figures": {"evaluations.before": 80, "evaluations.after": 164,
                            "gain_per_cost": -0.02}}  # fmt: skip
    (trained / "verdicts.json").write_text(json.dumps([verdict, dropped, searched]))
    (splits / "dataset.json").write_text(
        json.dumps({**dataset, "title": "Test <i>equation</i>, u_t + u u_xx = 0"})
    )
    validated = {
        "files": {"a.h5": {"arrays": {"u": {"min": -1.5, "max": 2.5}}, "parameters": {"beta": [0.1, 0.1]}}},
        "splits": {name: {"samples": 3, "states": 3, "dropped": 1} for name in dataset["splits"]},
    }
    if "far" in validated["splits"]:
        extreme = {"largest": "rms", "here": [3.0, 4.0, 6.0], "train": [0.5, 1.0, 2.0]}
        validated["splits"]["far"]["extreme"] = extreme
    (splits / "report.json").write_text(json.dumps(validated))
    inputs = {"evaluation": work / "evaluation", "model": trained, "data": data, "splits": splits}
    out = work / "report"
    analyze.run(context(out, {"analysis": {"samples": count}}, **inputs))
    return (out / "report.html").read_text(), (out / "report.md").read_text(), judged["metrics"]


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return advection(tmp_path_factory.mktemp("waves") / "data")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return darcy(tmp_path_factory.mktemp("media") / "data")


def test_a_transient_report(waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    html, markdown, metrics = report(waves, tmp_path, Wave(gain=1.01), monkeypatch)
    done = complete(html, {"run": {"name": "demo"}, "steps": [], "commands": ["ups run demo.yaml"]})
    assert_allowed(html)
    assert_allowed(done)
    interval = f"{number(-0.013, 2)} to {number(-0.007, 2)}"
    cells = ["diffusion", "dropped: no gain", "crps", number(0.01), number(0.02), interval, "–"]
    assert f"| {' | '.join(cells)} |" in markdown
    assert f"| 80 to 164 a frame; relative gain for each time the cost: {number(-0.02, 2)} |" in markdown
    for name in ("rollout.nrmse", "one_step.nrmse", "persistence.rollout.nrmse", "far.rollout.nrmse"):
        assert number(metrics[name]) in html, name
        assert number(metrics[name]) in markdown, name
    assert html.count("Truth, surrogate and error over space and time") == 3
    assert "u<sub>t</sub> + u u<sub>xx</sub>" in html
    assert "<title>Test &lt;i&gt;equation" in html
    assert "4 states were dropped" in html
    said = (
        "largest root mean square of their values, 1.50 to 3 times the largest in training; their median is 4"
    )
    assert said in html
    assert said in markdown
    assert "1" * 64 in html
    assert len(html) < 400_000
    films = {str(path.relative_to(tmp_path / "report")) for path in (tmp_path / "report").rglob("*.mp4")}
    assert films == set(re.findall(r'href="([^"]*)"', html))
    assert len(films) == 3


def test_a_steady_report(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    html, markdown, metrics = report(media, tmp_path, Medium(gain=0.98), monkeypatch)
    assert_allowed(html)
    assert number(metrics["mean.rel_l2"]) in markdown
    assert "interpolated linearly from 16x16 onto 32x32" in html
    assert html.count("Input, truth, surrogate and error") == 3
    assert "rollout" not in re.sub(r"val\.rollout\.nrmse", "", html).split("<main>")[1]


def test_a_diverged_model_is_reported_as_such(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    html, markdown, _ = report(waves, tmp_path, Wave(nan_after=5), monkeypatch)
    assert_allowed(html)
    for text in (html, markdown):
        assert "Diverged on 6 of 6 samples" in text
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", html.lower().split("<main>")[1])


def test_a_perfect_model_has_a_report_too(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[tuple[float, int], np.ndarray] = {}
    for name in ("test", "test32"):
        pairs = zip(np.load(media / name / "a.npy"), np.load(media / name / "u.npy"), strict=True)
        known |= {(a.flat[0], a.shape[-1]): u for a, u in pairs}

    class Exact:
        stochastic = False

        def solve(self, a: np.ndarray, parameters: np.ndarray | None = None) -> np.ndarray:
            return np.stack([known[one.flat[0], one.shape[-1]] for one in a])

    html, _, metrics = report(media, tmp_path, Exact(), monkeypatch)
    assert metrics["rel_l2"] == 0
    assert_allowed(html)


def test_the_same_numbers_give_the_same_bytes(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = report(waves, tmp_path / "a", Wave(gain=1.01), monkeypatch)
    assert report(waves, tmp_path / "b", Wave(gain=1.01), monkeypatch) == first


def test_as_many_samples_as_asked_for(waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    html, _, _ = report(waves, tmp_path, Wave(gain=1.01), monkeypatch, count=12)
    assert html.count("<h3>Median") == html.count("<h3>Worst") == html.count("<h3>Best") == 1
    assert html.count("Truth, surrogate and error over space and time") == 6  # all there are


def test_fields_that_move_in_the_plane_are_drawn_and_stay_small() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(12, 9, 1, 96, 96)).astype(np.float32)
    arrays = {"truth": noise, "prediction": noise + 0.1, "t": np.arange(9.0)}
    arrays |= {"x": np.arange(96.0), "y": np.arange(96.0)}
    fields = [{"name": "w", "unit": "1/s", "label": "vorticity"}]
    drawn = [samples.sample(arrays, i, fields, [], 12).draw() for i in range(12)]
    assert all("vorticity [1/s]" in one for one in drawn)
    assert all(ET.fromstring(one).tag == "svg" for one in drawn)
    assert sum(map(len, drawn)) < 2_000_000  # noise is the worst case: no two cells are alike
