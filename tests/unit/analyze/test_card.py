"""The model card says what was measured, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from synthetic import Medium, Wave, advection, darcy, trained_on
from test_report import report

from ups_core.analyze import card
from ups_core.analyze.numbers import number
from ups_core.analyze.tables import training_facts


def test_a_transient_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = advection(tmp_path / "data")
    _, _, metrics = report(data, tmp_path, Wave(gain=1.01), monkeypatch)
    text = (tmp_path / "report" / "MODEL_CARD.md").read_text()
    for name in ("rollout.nrmse", "one_step.nrmse", "persistence.rollout.nrmse", "solver.rollout.nrmse"):
        assert number(metrics[name]) in text, name
    for words in (
        "Time between frames: 0.05",
        "Grid along x: 32 nodes, 0.03125 apart, periodic",
        "float32, (N, 1, X) to (N, T, 1, X)",
        "| beta | 0.1 in training; any other is refused |",
        f"`{'2' * 64}`",
        "20833 parameters".replace("20833", "20\u202f833"),
        "steps=10)",
        "- Keeps exactly: the spatial mean of u; declared",
    ):
        assert words in text, words


def test_a_mean_that_nobody_declared_is_said_to_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = advection(tmp_path / "data")
    dataset = json.loads((data / "dataset.json").read_text())
    dataset["family"] = {
        "name": "mine",
        "space": "X",
        "fields": [{"name": "u"}],
        "layout": {"state": "u", "axes": "NTX", "coordinates": {"x": "x", "t": "t"}},
        "boundary": {"x": "periodic"},
        "parameters": ["beta"],
    }
    (data / "dataset.json").write_text(json.dumps(dataset))
    (data / "model.json").write_text(json.dumps(trained_on(data)))
    html, _, _ = report(data, tmp_path, Wave(), monkeypatch)
    text = (tmp_path / "report" / "MODEL_CARD.md").read_text()
    assert "- Keeps exactly: the spatial mean of u; seen in the training data, not declared" in text
    assert "The training data keep the spatial mean of u, which nobody declared" in html


def test_times_need_not_be_equidistant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = advection(tmp_path / "data")
    dataset = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps(dataset | {"dt": None}))
    (data / "model.json").write_text(json.dumps(trained_on(data)))
    report(data, tmp_path, Wave(), monkeypatch)
    assert "Time between frames: not always the same" in (tmp_path / "report" / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize(
    ("boost", "seen", "words"),
    [
        (0.2, {}, "moves with the mean of each state, as declared"),
        (
            0.2,
            {"speed": 0.993, "rest": 0.06, "error": 2e-4, "moving": 1e-4},
            "moves with the mean of each state: of a speed that was added to states, a network trained on "
            "the data carries them along at 0.99, which leaves 0.060 of its answers unexplained; seen "
            "moving, the error of a frame is 1.0×10⁻⁴ instead of 2.0×10⁻⁴",
        ),
        (
            None,
            {"speed": 0.97, "rest": 0.5, "error": 2e-4, "moving": None},
            "at rest: of a speed that was added to states, a network trained on the data carries them along "
            "at 0.97, which leaves 0.50 of its answers unexplained",
        ),
        (None, None, "at rest: frames are too close to each other to tell whether the field carries itself"),
        (None, {}, None),
    ],
)
def test_who_sees_the_states_and_how_that_is_known(
    boost: float | None, seen: dict[str, Any] | None, words: str | None
) -> None:
    model = {
        "stage": "operator",
        "config": {"name": "conv"},
        "training": {"steps": 1},
        "parameters": 1,
        "steps": 1,
        "validation": {"metric": "error", "value": 1.0, "step": 1},
        "problem": {"boost": boost},
        **({} if seen == {} else {"seen": {"galilean": seen}}),
    }
    assert dict(training_facts(model, {})).get("Observer") == words
    switched_off = {**model, "config": {"name": "conv", "galilean": False}}
    assert boost is None or seen or "Observer" not in dict(training_facts(switched_off, {}))


@pytest.mark.parametrize(
    ("leads", "stages", "said"),
    [
        ([1], ["operator"], None),
        ([1, 2, 4], ["operator"], "1, or every=2 or 4"),
        ([1, 2, 4], ["operator", "diffusion"], None),
    ],
)
def test_steps_that_samples_are_not_drawn_in_are_not_offered(
    leads: list[int], stages: list[str], said: str | None
) -> None:
    verdicts = [{"stage": stage, "decision": "kept"} for stage in stages]
    material: Any = SimpleNamespace(verdicts=verdicts, model={"problem": {"leads": leads}})
    assert card.frames_in_a_step(material) == said


def test_a_steady_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, metrics = report(darcy(tmp_path / "data"), tmp_path, Medium(gain=0.98), monkeypatch)
    text = (tmp_path / "report" / "MODEL_CARD.md").read_text()
    assert number(metrics["rel_l2"]) in text
    assert number(metrics["mean.rel_l2"]) in text
    assert "surrogate.solve(a)" in text
    assert "rollout(" not in text
    assert "Keeps exactly" not in text
    limit = r"values of a \| ([\d.]+) to ([\d.]+) in training; refused below (\S+) and above ([\d.]+)"
    low, high, least, most = map(float, re.findall(limit, text)[0])
    assert least < 0.5 <= low < high <= 2.0 < most
