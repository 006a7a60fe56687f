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
from synthetic import (
    BETA,
    DT,
    Medium,
    Noisy,
    Wave,
    advection,
    context,
    darcy,
    trained_on,
    use_model,
)

from ups_core.data.cache import normaliser as statistics
from ups_core.data.families import family as family_of
from ups_core.errors import DataInvalid, InvalidSpec
from ups_core.evaluate import split as splits
from ups_core.evaluate.metrics import BANDS
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
    peer = {"fno": data.parent / "fno"} if "fno" in asked["peers"] else {}
    return evaluate.run(context(out, {"evaluation": asked}, data=data, model=data, **peer))


def rewrite(folder: Path, **arrays: Any) -> None:
    """Replace arrays of a split: name to a function of the array that is there."""
    for name, change in arrays.items():
        np.save(folder / f"{name}.npy", change(np.load(folder / f"{name}.npy")))


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


def test_steps_of_several_frames_are_judged_on_the_frames_that_they_reach(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, Wave(gain=1.01, leads=(1, 5, 20)))  # wrong by a factor at each step
    found = judge(waves, tmp_path)["metrics"]
    assert found["every5.rollout.nrmse"] == pytest.approx(np.mean(1.01 ** np.array([1, 2]) - 1), rel=1e-4)
    single = np.mean(1.01 ** np.array([5, 10]) - 1)
    assert found["every5.single.rollout.nrmse"] == pytest.approx(single, rel=1e-4)
    assert "every20.rollout.nrmse" not in found  # the data end before
    assert "far.every5.rollout.nrmse" in found


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
    assert notes == {
        "mean": "the training mean, interpolated linearly from 16x16 onto 32x32",
        "grid": "32 x 32 points, 16 x 16 in training",
    }
    fields = {path.stem: np.load(path) for path in (tmp_path / "fields").glob("*.npy")}
    assert fields["input"].shape == (5, 1, 16, 16)
    assert fields["truth"].shape == fields["prediction"].shape == (5, 1, 1, 16, 16)


def test_what_a_solver_assumed_stands_beside_its_figures(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, SimpleNamespace(solve=lambda a, parameters=None: a, stochastic=False))
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


def test_the_horizon_is_where_a_growing_error_passes_the_threshold(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, Wave(gain=1.01))
    found = judge(waves, tmp_path, rollout={"from": 1, "threshold": 0.055})["metrics"]
    # 1.01^5 - 1 = 0.0510 and 1.01^6 - 1 = 0.0615: five frames of 0.05 time units each.
    assert found["rollout.horizon.median"] == found["rollout.horizon.p10"] == 5
    assert found["rollout.horizon.time"] == pytest.approx(5 * DT)
    assert found["rollout.horizon.held"] == 0
    assert found["solver.rollout.horizon.p10"] == 12
    assert "rollout.past_training.nrmse" not in found
    # The default threshold is never reached, and all frames count.
    assert judge(waves, tmp_path / "b")["metrics"]["rollout.horizon.held"] == 1


def test_a_rollout_past_the_data_ends_where_its_energy_is_no_state_s(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, Wave(gain=1.1))
    found = judge(waves, tmp_path, rollout={"from": 1, "beyond": 30})["metrics"]
    train, test = (np.load(waves / name / "u.npy").astype(float) for name in ("train", "test"))
    bound = 4 * np.square(train).mean(axis=-1).max()
    start = np.square(test[:, 0, 0]).mean(axis=-1)
    frames = sorted(sum(e * 1.1 ** (2 * t) <= bound for t in range(1, 43)) for e in start)
    assert found["rollout.beyond.p10"] == frames[0]
    assert found["rollout.beyond.median"] == frames[2]
    assert found["rollout.beyond.bounded"] == np.mean([f == 42 for f in frames])
    use_model(monkeypatch, Wave(nan_after=20))
    found = judge(waves, tmp_path / "b", rollout={"from": 1, "beyond": 30})["metrics"]
    assert found["rollout.beyond.median"] == found["rollout.beyond.p10"] == 20


def test_frames_later_than_training_are_judged_apart(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = shutil.copytree(waves, tmp_path / "short")
    for name in ("train", "val"):
        rewrite(short / name, u=lambda u: u[:, :9], t=lambda t: t[:9])
    (short / "normaliser.json").write_text(json.dumps(statistics(short / "train", family_of("advection1d"))))
    (short / "model.json").write_text(json.dumps(trained_on(short)))
    use_model(monkeypatch, Wave(gain=1.01))
    found = judge(short, tmp_path / "out")["metrics"]
    # Training has frames 0 to 8, so frames 9 to 12 are the ninth to the twelfth that are predicted.
    expected = np.mean(1.01 ** np.arange(9, 13) - 1)
    assert found["rollout.past_training.nrmse"] == pytest.approx(expected, rel=1e-4)
    sets = json.loads((tmp_path / "out" / "evaluation.json").read_text())["sets"]
    assert sets["test"]["notes"]["frames"] == "13, 9 in training"


def test_a_surrogate_that_is_wrong_by_a_factor_is_so_in_every_band(
    waves: Path, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, Wave(gain=1.01))
    found = judge(waves, tmp_path / "a", rollout={"from": 1, "steps": 1})["metrics"]
    assert found["rollout.spectrum.low"] == pytest.approx(1e-4, rel=1e-3)
    assert found["rollout.spectrum.middle"] == pytest.approx(1e-4, rel=1e-3)
    assert found["solver.rollout.spectrum.low"] < 1e-10
    use_model(monkeypatch, Medium(gain=0.98))
    found = judge(media, tmp_path / "b")["metrics"]
    assert [found[f"spectrum.{band}"] for band in BANDS] == pytest.approx([4e-4] * 3, rel=1e-3)


def test_the_trained_peer_is_judged_like_the_surrogate(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(waves, tmp_path / "data")
    (tmp_path / "fno").mkdir()
    shutil.copy(data / "model.json", tmp_path / "fno")
    use_model(monkeypatch, Wave(gain=1.01), fno=Wave(gain=1.02))
    result = judge(data, tmp_path / "out", peers=["fno"], rollout={"from": 1, "beyond": 5})
    found, steps = result["metrics"], np.arange(1, 13)
    assert found["fno.rollout.nrmse"] == pytest.approx(np.mean(1.02**steps - 1), rel=1e-4)
    assert found["fno.one_step.nrmse"] == pytest.approx(0.02, rel=1e-4)
    assert found["far.fno.rollout.nrmse"] == pytest.approx(found["fno.rollout.nrmse"], rel=1e-4)
    assert not any("solver" in name or "persistence" in name for name in found)
    own = {name for name in found if name.startswith("rollout.")} - {
        "rollout.horizon.held",
        "rollout.horizon.time",
    }
    assert {f"fno.{name}" for name in own} <= set(found)
    assert result["cost"]["fno"]["frames"] == 6 * 12
    assert result["cost"]["fno"]["error"] == pytest.approx(found["fno.rollout.nrmse"])
    over_time = json.loads((tmp_path / "out" / "over_time.json").read_text())["test"]
    assert over_time["fno.rollout"]["mean"] == pytest.approx(1.02**steps - 1, rel=1e-3)
    with (tmp_path / "out" / "per_sample.csv").open() as file:
        assert float(next(csv.DictReader(file))["fno.rollout.nrmse"]) > 0


def test_an_ensemble_is_judged_by_what_its_spread_tells(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(waves, tmp_path / "data")
    rng = np.random.default_rng(3)
    rewrite(data / "test", u=lambda u: np.concatenate(
        [u[:, :1], u[:, 1:] + 0.1 * rng.normal(size=u[:, 1:].shape)], axis=1).astype(np.float32))  # fmt: skip
    use_model(monkeypatch, Noisy(noise=0.1))
    calibrated = judge(data, tmp_path / "a")["metrics"]
    assert calibrated["rollout.coverage"] == pytest.approx(0.8, abs=0.03)
    use_model(monkeypatch, Noisy(noise=0.03))
    sure = judge(data, tmp_path / "b")["metrics"]
    assert sure["rollout.coverage"] < 0.5
    assert sure["rollout.crps"] > calibrated["rollout.crps"]


def test_the_solver_is_run_on_coarser_grids_until_it_is_as_wrong_as_the_surrogate(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_model(monkeypatch, Wave(gain=1.01))
    result = judge(waves, tmp_path)
    found, equal = result["metrics"], result["cost"]["equal"]
    # The waves have wavenumbers up to 4, so that 16 points hold them and 8 do not.
    assert found["solver.at16.rollout.nrmse"] < 1e-6
    assert found["solver.at8.rollout.nrmse"] > found["rollout.nrmse"]
    assert [setting["points"] for setting in equal["settings"]] == [8, 16, 32]
    assert equal["error"] == pytest.approx(found["rollout.nrmse"])
    assert equal["settings"][0]["frames"] == 6 * 12


def test_what_has_leaked_is_never_scored(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(waves, tmp_path / "data")
    known = np.load(data / "val" / "u.npy")[1, 0]
    rewrite(data / "far", u=lambda u: np.concatenate([u[:2], -np.roll(known, 5, -1) * np.ones_like(u[2:])]))
    use_model(monkeypatch, SimpleNamespace())  # nothing is asked of it
    with pytest.raises(DataInvalid) as refused:
        judge(data, tmp_path / "out")
    assert refused.value.exit_code == 3
    assert "far 2 (far.h5 2) is val 1 (val.h5 1)" in str(refused.value)


@pytest.mark.parametrize("what", ["scale", "hash"])
def test_a_normaliser_of_other_data_is_refused(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    data = shutil.copytree(waves, tmp_path / "data")
    use_model(monkeypatch, Wave())
    if what == "scale":
        rewrite(data / "train", u=lambda u: u * np.float32(1.001))
    else:
        facts = json.loads((data / "model.json").read_text())
        (data / "model.json").write_text(json.dumps({**facts, "normaliserSha256": "0" * 64}))
    with pytest.raises(DataInvalid) as refused:
        judge(data, tmp_path / "out")
    assert "normaliser" in refused.value.details["where"]


def test_parameters_that_training_has_not_seen_are_told(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(waves, tmp_path / "data")
    rewrite(data / "far", parameters=lambda p: p + 0.05)
    use_model(monkeypatch, Wave())
    found = judge(data, tmp_path / "out")["metrics"]
    assert found["far.regimes.unseen"] == found["far.regimes.missing"] == 1
    assert "regimes.unseen" not in found  # one value everywhere: nothing to tell
    sets = json.loads((tmp_path / "out" / "evaluation.json").read_text())["sets"]
    assert (
        sets["far"]["notes"]["parameters"]
        == "not in training: beta 0.15, in training, but not here: beta 0.1"
    )
