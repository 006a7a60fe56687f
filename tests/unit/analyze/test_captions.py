"""What is said of a figure follows from its numbers."""

from __future__ import annotations

from typing import Any

import pytest

from ups_core.analyze import captions

T = [0.1, 0.2, 0.3]


def over(own: list[float | None], **peers: list[float | None]) -> str:
    found = {
        "t": T,
        "rollout": {"mean": own},
        **{f"{peer}.rollout": {"mean": m} for peer, m in peers.items()},
    }
    return captions.over_time(found, 8)[0]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (over([0.01, 0.02, 0.04], persistence=[0.5, 0.6, 0.8], solver=[0.02, 0.02, 0.02]),
         "The surrogate's error begins at 0.0100 and ends at 0.0400: "
         "20 times below persistence and 2 times above the solver."),
        (over([0.01, 0.05, 0.02]),
         "The surrogate's error begins at 0.0100, is largest at t = 0.2 (0.0500) and ends at 0.0200."),
        (over([0.01, 0.05, None]), "The surrogate's mean error is finite until t = 0.2."),
        (over([None, None, None]), "The surrogate's mean error is finite at no time."),
    ],
)  # fmt: skip
def test_error_over_time(said: str, expected: str) -> None:
    assert said == expected


def test_per_sample() -> None:
    rows: list[dict[str, float | None]] = [
        {"rollout.nrmse": 0.1, "solver.rollout.nrmse": 0.2, "persistence.rollout.nrmse": 1.0},
        {"rollout.nrmse": 0.2, "solver.rollout.nrmse": 0.1, "persistence.rollout.nrmse": 1.0},
        {"rollout.nrmse": 0.8, "solver.rollout.nrmse": None, "persistence.rollout.nrmse": 1.0},
    ]
    assert captions.per_sample(rows, "test")[0] == (
        "The surrogate is below the solver on 2 of 3 and persistence on 3 of 3 samples. "
        "Its worst sample has 4 times the error of the median."
    )
    rows[2]["rollout.nrmse"] = None  # it diverged, so it is below nothing
    assert "persistence on 2 of 3" in captions.per_sample(rows, "test")[0]
    assert captions.per_sample([{"rel_l2": 0.1}], "test")[0] == ""


def spectrum(truth: list[float], error: list[float]) -> dict[str, Any]:
    mean = [9.0]  # of wavenumber 0, which is not drawn
    return {"samples": 4, "frames": [5], "truth": [[mean + truth]], "error": [[mean + error]]}


@pytest.mark.parametrize(
    ("truth", "error", "said"),
    [
        ([1.0, 0.5, 0.5], [0.02, 0.0, 0.0],
         "stays below the truth at every wavenumber, and holds 1 % of its power"),
        ([1.0, 0.1, 0.01], [0.01, 0.01, 0.02], "stays below the truth up to wavenumber 2 of 3"),
        ([1.0, 0.1, 0.0], [0.01, 0.01, 0.02], "stays below the truth at every wavenumber"),
    ],
)  # fmt: skip
def test_spectra(truth: list[float], error: list[float], said: str) -> None:
    seen = captions.spectra(spectrum(truth, error), {5: 0.5}, "u", plane=False)[0]
    assert seen.startswith("At t = 0.5 the error of u ")
    assert said in seen
    assert captions.spectra(spectrum(truth, error), {}, "u", plane=True)[0].startswith("The error of u ")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0, 0.4, 0.3, 0.1], "fell from 1 to 0.100, the best of 4, at step 40 of 40; "
         "the last quarter of the training made it 3 times smaller."),
        ([1.0, 0.1, 0.3, 0.2], "fell from 1 to 0.100, the best of 4, at step 20 of 40; "
         "the last quarter of the training made it no smaller."),
    ],
)  # fmt: skip
def test_learning_curve(values: list[float], said: str) -> None:
    rows = [{"step": 10 * (i + 1), "val.x": value} for i, value in enumerate(values)]
    best = min(rows, key=lambda row: row["val.x"])
    kept = {"metric": "val.x", "value": best["val.x"], "step": best["step"]}
    assert captions.curve(rows, kept, 40)[0] == f"val.x {said}"
    assert captions.curve([{"step": 0}], kept, 40)[0] == ""


def test_fronts_thinner_than_a_cell_show_in_the_drift_of_the_data() -> None:
    fields = ["velocity u"]
    resolved, thin = (
        captions.drift(fields, drift, declared=True, averages=False) for drift in (3e-5, 7.8e-3)
    )
    assert resolved.startswith("The equation keeps the spatial mean of velocity u.")
    assert resolved.endswith("points left out of the grid.")
    assert "0.0078, far more than rounding: probably there are fronts thinner than a cell" in thin
    carried = captions.drift(fields, 7.8e-3, declared=True, averages=True)
    assert "carries averages of cells" in carried
    assert "far more" not in carried
    seen = captions.drift(fields, 3e-5, declared=False, averages=False)
    assert seen.startswith("The training data keep the spatial mean of velocity u, which nobody declared")
