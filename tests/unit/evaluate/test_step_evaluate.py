"""The step as a whole, on data whose errors are known in closed form."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from synthetic import BETA, DT, Medium, Wave, advection, context, darcy, use_model

from ups_core.errors import InvalidSpec
from ups_core.evaluate import split as splits
from ups_core.steps import evaluate

PEERS = ["persistence", "solver"]


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return advection(tmp_path_factory.mktemp("waves") / "data")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return darcy(tmp_path_factory.mktemp("media") / "data")


def judge(data: Path, out: Path, **evaluation: Any) -> dict[str, Any]:
    asked = {"split": "test", "rollout": {"from": 1}, "peers": PEERS, **evaluation}
    return evaluate.run(context(out, {"evaluation": asked}, data=data, model=data))


def test_errors_of_a_known_surrogate(waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_model(monkeypatch, Wave(gain=1.01))
    result = judge(waves, tmp_path)
    found, steps = result["metrics"], np.arange(1, 13)
    assert found["rollout.nrmse"] == pytest.approx(np.mean(1.01**steps - 1), rel=1e-4)
    assert found["rollout.last_frame.nrmse"] == pytest.approx(1.01**12 - 1, rel=1e-4)
    assert found["one_step.nrmse"] == pytest.approx(0.01, rel=1e-4)
    assert found["solver.rollout.nrmse"] < 1e-6
    assert (
        found["solver.rollout.nrmse"]
        < found["persistence.one_step.nrmse"]
        < found["persistence.rollout.nrmse"]
    )
    assert found["rollout.diverged"] == 0
    assert found["truth.rollout.conservation_drift"] < 1e-6 < found["rollout.conservation_drift"]
    assert found["far.rollout.nrmse"] == pytest.approx(found["rollout.nrmse"], rel=1e-4)
    assert "val.rollout.nrmse" not in found
    assert json.loads((tmp_path / "metrics.json").read_text()) == found
    assert result["cost"]["surrogate"]["frames"] == 6 * 12


def test_persistence_is_the_last_given_frame(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, Wave())
    found = judge(waves, tmp_path, rollout={"from": 3, "steps": 4})["metrics"]
    u = np.load(waves / "test" / "u.npy").astype(float)
    error = np.sqrt(np.mean((u[:, 2:3] - u[:, 3:7]) ** 2, axis=-1)) / np.sqrt(
        np.mean(u[:, 3:7] ** 2, axis=-1)
    )
    assert found["persistence.rollout.nrmse"] == pytest.approx(error.mean(), rel=1e-9)
    error = np.sqrt(np.mean((u[:, 2:6] - u[:, 3:7]) ** 2, axis=-1)) / np.sqrt(
        np.mean(u[:, 3:7] ** 2, axis=-1)
    )
    assert found["persistence.one_step.nrmse"] == pytest.approx(error.mean(), rel=1e-9)


def test_files_tell_the_same_and_hold_no_cost(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, Wave(gain=1.01))
    found = judge(waves, tmp_path / "a")["metrics"]
    over_time = json.loads((tmp_path / "a" / "over_time.json").read_text())["test"]
    assert np.mean(over_time["rollout"]["mean"]) == pytest.approx(found["rollout.nrmse"])
    assert over_time["t"] == pytest.approx([DT * i for i in range(1, 13)])
    with (tmp_path / "a" / "per_sample.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["test"] * 6 + ["far"] * 3
    assert float(rows[0]["beta"]) == pytest.approx(BETA)
    mine = [float(row["rollout.nrmse"]) for row in rows if row["split"] == "test"]
    assert np.mean(mine) == pytest.approx(found["rollout.nrmse"])
    fields = {path.stem: np.load(path) for path in (tmp_path / "a" / "fields").glob("*.npy")}
    drawn = json.loads((tmp_path / "a" / "evaluation.json").read_text())["drawn"]
    assert [d["role"] for d in drawn[:3]] == ["median", "worst", "best"]
    assert drawn[1]["sample"] == int(np.argmax(mine))
    assert drawn[2]["sample"] == int(np.argmin(mine))
    assert sorted(d["sample"] for d in drawn) == list(range(6))
    assert fields["truth"].shape == fields["prediction"].shape == (6, 13, 1, 32)
    assert (fields["truth"][:, 0] == fields["prediction"][:, 0]).all()
    spectra = json.loads((tmp_path / "a" / "spectra.json").read_text())["test"]
    last = np.array(spectra["truth"])[-1, 0]
    u = np.load(waves / "test" / "u.npy")[:, -1, 0].astype(float)
    assert last.sum() == pytest.approx(np.mean(u**2))
    text = "".join(p.read_text() for p in (tmp_path / "a").glob("*.json"))
    assert "second" not in text
    judge(waves, tmp_path / "b")
    for path in sorted((tmp_path / "a").rglob("*.*")):
        again = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == again.read_bytes(), path.name


def test_divergence_is_said_and_never_averaged_away(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, Wave(nan_after=5))
    found = judge(waves, tmp_path)["metrics"]
    assert "rollout.nrmse" not in found
    assert found["rollout.diverged"] == 6
    assert found["one_step.nrmse"] < 1e-5
    over_time = json.loads((tmp_path / "over_time.json").read_text())["test"]["rollout"]["mean"]
    assert [value is None for value in over_time] == [False] * 5 + [True] * 7


def test_batches_change_no_metric(waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_model(monkeypatch, Wave(gain=0.99))
    whole = judge(waves, tmp_path / "whole")["metrics"]
    monkeypatch.setattr(splits, "BATCH_VALUES", 2 * 13 * 32)
    assert judge(waves, tmp_path / "pairs")["metrics"] == pytest.approx(whole, rel=1e-9)


def test_steady_beside_the_mean_and_on_another_grid(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, Medium(gain=0.98))
    found = judge(media, tmp_path)["metrics"]
    assert found["rel_l2"] == pytest.approx(0.02, rel=1e-4)
    assert found["test32.rel_l2"] == pytest.approx(0.02, rel=1e-4)
    mean = np.load(media / "train" / "u.npy").astype(float).mean(axis=0)
    u = np.load(media / "test" / "u.npy").astype(float)
    expected = np.mean([np.linalg.norm(mean - one) / np.linalg.norm(one) for one in u])
    assert found["mean.rel_l2"] == pytest.approx(expected, rel=1e-9)
    # The finer grid sees the same mean, up to what linear interpolation of a sine costs.
    assert 0 < found["test32.mean.rel_l2"] < 2
    notes = json.loads((tmp_path / "evaluation.json").read_text())["sets"]["test32"]["notes"]
    assert notes == {"mean": "the training mean, interpolated linearly from 16x16 onto 32x32"}
    fields = {path.stem: np.load(path) for path in (tmp_path / "fields").glob("*.npy")}
    assert fields["input"].shape == (5, 1, 16, 16)
    assert fields["truth"].shape == fields["prediction"].shape == (5, 1, 1, 16, 16)


def test_what_a_solver_assumed_stands_beside_its_figures(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, SimpleNamespace(stochastic=False, solve=lambda a, parameters=None: a))
    shutil.copytree(media, tmp_path / "codes")
    codes = np.load(media / "test" / "a.npy") * 0
    codes[..., ::2] = 1
    np.save(tmp_path / "codes" / "test" / "a.npy", codes)
    judge(tmp_path / "codes", tmp_path / "out")
    sets = json.loads((tmp_path / "out" / "evaluation.json").read_text())["sets"]
    for words in ("0.02052", "0.3849", "darcy_train_16.pt"):
        assert words in sets["test"]["notes"]["solver"]
    assert sets["test"]["notes"]["solver"].count("darcy_train_16.pt") == 1
    assert "solver" not in sets["test32"]["notes"]  # its coefficients are stated


@pytest.mark.parametrize(
    ("evaluation", "where"),
    [
        ({"rollout": {"from": 1, "steps": 13}}, "spec.evaluation.rollout"),
        ({"rollout": {"from": 13}}, "spec.evaluation.rollout"),
        ({"split": "tset"}, "spec.evaluation.split"),
    ],
)
def test_what_the_data_cannot_give_is_refused(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluation: dict[str, Any], where: str
) -> None:
    use_model(monkeypatch, Wave())
    with pytest.raises(InvalidSpec) as refused:
        judge(waves, tmp_path, **evaluation)
    assert refused.value.details["where"] == where
    assert refused.value.details["fix"]
