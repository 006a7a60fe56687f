"""The model card says what was measured, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from synthetic import Medium, Wave, advection, darcy, trained_on
from test_report import report

from ups_core.analyze.numbers import number
from ups_core.analyze.tables import training_facts


def test_a_transient_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = advection(tmp_path / "data")
    _, _, metrics = report(data, tmp_path, Wave(gain=1.01), monkeypatch)
    card = (tmp_path / "report" / "MODEL_CARD.md").read_text()
    for name in ("rollout.nrmse", "one_step.nrmse", "persistence.rollout.nrmse", "solver.rollout.nrmse"):
        assert number(metrics[name]) in card, name
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
        assert words in card, words


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
    card = (tmp_path / "report" / "MODEL_CARD.md").read_text()
    assert "- Keeps exactly: the spatial mean of u; seen in the training data, not declared" in card
    assert "The training data keep the spatial mean of u, which nobody declared" in html


@pytest.mark.parametrize(
    ("boost", "seen", "galilean", "words"),
    [
        (0.2, None, True, "moves with the mean of each state, as declared"),
        (
            0.2,
            0.99,
            True,
            "moves with the mean of each state: a network trained on the data carries a state at 0.99",
        ),
        (None, 0.5, True, "at rest: a network trained on the data carries a state at 0.50 of a speed"),
        (0.2, None, False, None),
        (None, None, True, None),
    ],
)
def test_who_sees_the_states_and_how_that_is_known(
    boost: float | None, seen: float | None, galilean: bool, words: str | None
) -> None:
    model = {
        "stage": "operator",
        "config": {"name": "conv", "galilean": galilean},
        "training": {"steps": 1},
        "parameters": 1,
        "steps": 1,
        "validation": {"metric": "error", "value": 1.0, "step": 1},
        "problem": {"boost": boost},
    }
    if seen is not None:
        model["seen"] = {"galilean": {"speed": seen, "rest": 0.1}}
    said = dict(training_facts(model, {})).get("Observer")
    assert said == words or (said is not None and words is not None and said.startswith(words))


def test_a_steady_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, metrics = report(darcy(tmp_path / "data"), tmp_path, Medium(gain=0.98), monkeypatch)
    card = (tmp_path / "report" / "MODEL_CARD.md").read_text()
    assert number(metrics["rel_l2"]) in card
    assert number(metrics["mean.rel_l2"]) in card
    assert "surrogate.solve(a)" in card
    assert "rollout(" not in card
    assert "Keeps exactly" not in card
    limit = r"values of a \| ([\d.]+) to ([\d.]+) in training; refused below (\S+) and above ([\d.]+)"
    low, high, least, most = map(float, re.findall(limit, card)[0])
    assert least < 0.5 <= low < high <= 2.0 < most
