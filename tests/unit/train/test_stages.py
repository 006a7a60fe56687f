"""The chain operator, diffusion, distill, search on tiny data: what goes on, and what is dropped."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from ups_core.errors import InvalidSpec, Preempted
from ups_core.predict import predict
from ups_core.stages import corrector
from ups_core.steps import encode, train
from ups_core.surrogate import Surrogate
from ups_core.train import gate
from ups_core.train.gate import Gain

TINY = {"name": "conv", "width": 4, "dilations": [1]}
SHORT = {"batchSize": 8, "validations": 2}
DIFFUSION = {"architecture": TINY, **SHORT, "steps": 6, "members": 10, "samplerSteps": 2}
SEARCH = {"architecture": TINY, **SHORT, "steps": 4, "beam": 2, "candidates": 3}
STEADY = {"architecture": {"name": "unet", "width": 16, "levels": 2}, **SHORT, "steps": 3}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def verdicts(folder: Path) -> list[tuple[str, str, str]]:
    told = json.loads((folder / "verdicts.json").read_text())
    return [(each["stage"], each["decision"], each["why"]) for each in told]


@pytest.fixture
def operator(context, line_cache) -> Path:
    ctx = context({"architecture": TINY, **SHORT, "steps": 6}, data=line_cache)
    train.run(ctx)
    return ctx.out


@pytest.fixture
def decided(monkeypatch):
    """Let every comparison of a gate come out one way, whatever six steps have learned."""

    def decide(low: float, coverage: float = 0.8) -> None:
        monkeypatch.setattr(gate, "gain", lambda before, after, seed: Gain(1, 1 - low, low, low, low))
        whole = gate.ensemble
        monkeypatch.setattr(gate, "ensemble", lambda *a, **k: whole(*a, **{**k, "coverage": coverage}))
        ranks = np.full(4, 1.0 if low > 0 else 0.0)
        monkeypatch.setattr(gate, "rank_correlation", lambda reward, error: ranks)

    monkeypatch.setattr(corrector, "TRIALS", 1)
    return decide


def test_a_stage_without_gain_hands_on_what_it_was_given(context, line_cache, operator, decided):
    decided(0.0)
    ctx = context(DIFFUSION, stage="diffusion", key="1" * 64, data=line_cache, model=operator)
    result = train.run(ctx)
    before, after = contents(operator), contents(ctx.out)
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {"verdicts.json"}
    assert verdicts(ctx.out) == [("operator", "kept", ""), ("diffusion", "dropped", "no gain")]
    assert result["verdict"].startswith("dropped: no gain, rollout.crps")
    assert result["metrics"]["train.diffusion.kept"] == 0
    student = context({**SHORT, "steps": 4}, stage="distill", key="2" * 64, data=line_cache, model=ctx.out)
    assert train.run(student)["verdict"] == "dropped: nothing to distil"
    assert verdicts(student.out)[2] == ("distill", "dropped", "nothing to distil")
    searched = context(SEARCH, stage="search", key="3" * 64, data=line_cache, model=student.out)
    assert train.run(searched)["verdict"] == "dropped: nothing to search among"
    u0 = np.load(line_cache / "test/u.npy")[:, 0]
    expected = Surrogate.load(operator).rollout(u0, 2)
    np.testing.assert_array_equal(Surrogate.load(student.out).rollout(u0, 2), expected)


def test_around_a_small_error_no_ensemble_is_trained(context, line_cache, operator):
    config = {**DIFFUSION, "minScore": 0.99}
    ctx = context(config, stage="diffusion", key="1" * 64, data=line_cache, model=operator)
    result = train.run(ctx)
    assert result["verdict"].startswith("dropped: nothing to gain, rollout.crps")
    assert result["cpuSeconds"] == 0
    assert not Surrogate.load(ctx.out).stochastic


def test_not_calibrated(context, line_cache, operator, decided):
    decided(0.1, coverage=0.9)
    ctx = context(DIFFUSION, stage="diffusion", key="1" * 64, data=line_cache, model=operator)
    train.run(ctx)
    assert verdicts(ctx.out)[1] == ("diffusion", "dropped", "not calibrated")
    assert not Surrogate.load(ctx.out).stochastic


def test_a_chain_that_is_kept_resumes_and_predicts(context, line_cache, operator, decided, tmp_path):
    decided(0.1)
    ctx = context(DIFFUSION, stage="diffusion", key="1" * 64, data=line_cache, model=operator)
    object.__setattr__(ctx, "progress", lambda *told: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Preempted):
        train.run(ctx)
    resumed = context(DIFFUSION, stage="diffusion", key="1" * 64, data=line_cache, model=operator)
    straight = context(DIFFUSION, stage="diffusion", key="3" * 64, data=line_cache, model=operator)
    train.run(resumed)
    train.run(straight)
    assert contents(resumed.out) == contents(straight.out)
    teacher = Surrogate.load(resumed.out)
    assert (teacher.stochastic, teacher.members) == (True, 10)

    student = context(
        {**SHORT, "steps": 4}, stage="distill", key="4" * 64, data=line_cache, model=resumed.out
    )
    train.run(student)
    assert [decision for _, decision, _ in verdicts(student.out)] == ["kept", "kept", "kept"]
    kept = contents(resumed.out)
    assert {n: b for n, b in contents(student.out).items() if n in kept and n != "verdicts.json"} == {
        n: b for n, b in kept.items() if n != "verdicts.json"
    }
    both = Surrogate.load(student.out)
    assert both.sampler is both.student
    assert both.student.facts["evaluations"] == 1

    u = np.load(line_cache / "test/u.npy")
    members = both.ensemble(u[:, 0], 3, seed=1)
    assert members.shape == (4, 10, 3, 1, 16)
    np.testing.assert_allclose(
        members.mean(4), np.broadcast_to(u[:, :1, :, :].mean(3)[:, None], (4, 10, 3, 1)), atol=1e-5
    )
    np.testing.assert_array_equal(members, both.ensemble(u[:, 0], 3, seed=1))
    np.testing.assert_array_equal(both.rollout(u[:, 0], 3), both.ensemble(u[:, 0], 3).mean(1))
    assert both.ensemble(u[0, 0], 3, 12).shape == (12, 3, 1, 16)
    assert both.rollout(u[0, 0], 3).shape == both.ensemble(u[0, 0], 3).std(axis=0).shape == (3, 1, 16)
    np.save(tmp_path / "u0.npy", u[:, 0])
    assert predict(both, tmp_path / "u0.npy", tmp_path / "f.npy", 3, members=11) == (4, 3, 1, 16)
    np.testing.assert_array_equal(
        np.load(tmp_path / "f.std.npy"), both.ensemble(u[:, 0], 3, 11).std(axis=1, ddof=1)
    )


def test_a_search_that_is_kept_resumes_and_predicts(context, line_cache, operator, decided, tmp_path):
    decided(0.1)
    given = context(DIFFUSION, stage="diffusion", key="1" * 64, data=line_cache, model=operator)
    train.run(given)
    inputs = {"stage": "search", "data": line_cache, "model": given.out}
    ctx = context(SEARCH, key="2" * 64, **inputs)
    object.__setattr__(ctx, "progress", lambda *told: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Preempted):
        train.run(ctx)
    resumed, straight = context(SEARCH, key="2" * 64, **inputs), context(SEARCH, key="3" * 64, **inputs)
    results = [train.run(each) for each in (resumed, straight)]
    assert contents(resumed.out) == contents(straight.out)
    assert contents(resumed.out).keys() - contents(given.out).keys() == {
        "critic.json", "critic.safetensors", "critic-curve.jsonl"
    }  # fmt: skip
    # An ensemble of 10 with 2 evaluations, one of as many as the search costs (2 * (1 + 3 * 3)), the search.
    found = {when: results[0]["metrics"][f"train.search.evaluations.{when}"] for when in
             ("before", "equal", "after")}  # fmt: skip
    assert found == {"before": 30, "equal": 30, "after": 20}
    assert results[0]["metrics"]["train.search.cpu_seconds.after"] > 0
    assert "cpu_seconds" not in (resumed.out / "verdicts.json").read_text()

    plain, surrogate = Surrogate.load(given.out), Surrogate.load(resumed.out)
    u0 = np.load(line_cache / "test/u.npy")[:, 0]
    searched = surrogate.rollout(u0, 3)
    np.testing.assert_array_equal(searched, surrogate.rollout(u0, 3, search=True))
    np.testing.assert_array_equal(surrogate.rollout(u0, 3, search=False), plain.rollout(u0, 3))
    np.testing.assert_array_equal(surrogate.ensemble(u0, 3), plain.ensemble(u0, 3))
    assert not np.array_equal(searched, plain.rollout(u0, 3))
    np.testing.assert_allclose(searched.mean(3), np.repeat(u0.mean(2)[:, None], 3, 1), atol=1e-5)
    with pytest.raises(InvalidSpec, match="has no search"):
        plain.rollout(u0, 3, search=True)

    np.save(tmp_path / "u0.npy", u0)
    for search, expected in ((None, searched), (True, searched), (False, plain.rollout(u0, 3))):
        predict(surrogate, tmp_path / "u0.npy", tmp_path / "f.npy", 3, search=search)
        np.testing.assert_array_equal(np.load(tmp_path / "f.npy"), expected)
    with pytest.raises(InvalidSpec, match="one rollout"):
        predict(surrogate, tmp_path / "u0.npy", tmp_path / "g.npy", 3, members=11, search=True)


@pytest.mark.parametrize(("ranks", "why"), [(0.2, "reward does not rank"), (0.4, "no gain")])
def test_a_search_must_rank_and_gain(context, line_cache, operator, decided, monkeypatch, ranks, why):
    decided(0.1)
    given = context(DIFFUSION, stage="diffusion", key="1" * 64, data=line_cache, model=operator)
    train.run(given)
    decided(0.0)
    monkeypatch.setattr(gate, "rank_correlation", lambda reward, error: np.full(2, ranks))
    ctx = context(SEARCH, stage="search", key="2" * 64, data=line_cache, model=given.out)
    train.run(ctx)
    assert verdicts(ctx.out)[2] == ("search", "dropped", why)
    assert contents(ctx.out).keys() == contents(given.out).keys()
    figures = json.loads((ctx.out / "verdicts.json").read_text())[2]["figures"]
    assert figures["rank"] == ranks
    assert not Surrogate.load(ctx.out).searches


def test_an_operator_alone_has_no_ensemble(line_cache, operator):
    surrogate = Surrogate.load(operator)
    assert (surrogate.stochastic, surrogate.members) == (False, 1)
    with pytest.raises(InvalidSpec, match="deterministic"):
        surrogate.ensemble(np.zeros((1, 1, 16)), 2)


def test_a_codec_that_misses_its_target_leaves_the_fields(context, line_cache):
    small = {"steps": 4, "downsample": 4, "width": 4, **SHORT, "target": 1e-6}
    codec = context(small, stage="codec", data=line_cache)
    result = train.run(codec)
    assert list(contents(codec.out)) == ["verdicts.json"]
    assert verdicts(codec.out) == [("codec", "dropped", "misses its target")]
    assert result["metrics"]["train.codec.before"] == 1e-6
    coded = context({}, step="encode", data=line_cache, model=codec.out)
    assert encode.run(coded) == {"dropped": True}
    ctx = context(
        {"architecture": TINY, **SHORT, "steps": 4},
        key="5" * 64,
        data=line_cache,
        model=codec.out,
        latents=coded.out,
    )
    train.run(ctx)
    assert verdicts(ctx.out) == [("codec", "dropped", "misses its target"), ("operator", "kept", "")]
    assert Surrogate.load(ctx.out).codec is None
    assert Surrogate.load(ctx.out).problem.shape == (16,)


def test_diffusion_on_codes(context, line_cache, decided):
    decided(0.1)
    codec = context(
        {"steps": 4, "downsample": 2, "width": 4, **SHORT, "target": 10.0},
        stage="codec",
        data=line_cache,
    )
    train.run(codec)
    coded = context({}, step="encode", data=line_cache, model=codec.out)
    encode.run(coded)
    given, config = codec.out, {"architecture": TINY, **SHORT, "steps": 4}
    for stage, key in (("operator", "6"), ("diffusion", "7")):
        ctx = context(
            config if stage == "operator" else DIFFUSION,
            stage=stage,
            key=key * 64,
            data=line_cache,
            model=given,
            latents=coded.out,
        )
        train.run(ctx)
        given = ctx.out
    members = Surrogate.load(given).ensemble(np.zeros((2, 1, 16)), 3)
    assert members.shape == (2, 10, 3, 1, 16)
    assert members.std(1).min() > 0


def test_a_steady_prior(context, square_cache, decided):
    operator = context(STEADY, data=square_cache)
    train.run(operator)
    decided(0.1)
    prior = {"architecture": STEADY["architecture"], **SHORT, "steps": 3, "members": 10, "samplerSteps": 2}
    ctx = context(prior, stage="steady-prior", key="8" * 64, data=square_cache, model=operator.out)
    result = train.run(ctx)
    assert "train.steady-prior.rel_l2.after" in result["metrics"]
    surrogate, a = Surrogate.load(ctx.out), np.load(square_cache / "val/a.npy")
    members = surrogate.ensemble(a)
    assert members.shape == (4, 10, 1, 8, 8)
    np.testing.assert_array_equal(surrogate.solve(a), members.mean(1))
    assert surrogate.solve(a[0]).shape == surrogate.ensemble(a[0]).std(axis=0).shape == (1, 8, 8)
    assert not members[:, :, :, 0].any()


def test_one_validation_sample_cannot_judge(context, line_cache, operator):
    for path in (line_cache / "val").glob("*.npy"):
        if path.stem in ("u", "parameters"):
            np.save(path, np.load(path)[:1])
    with pytest.raises(InvalidSpec, match="has no spread"):
        train.run(context(DIFFUSION, stage="diffusion", data=line_cache, model=operator))


def test_a_student_must_be_faster(context, line_cache, operator, decided):
    decided(0.1)
    teacher = context(
        {**DIFFUSION, "samplerSteps": 1}, stage="diffusion", key="1" * 64, data=line_cache, model=operator
    )
    train.run(teacher)
    with pytest.raises(InvalidSpec, match="no faster"):
        train.run(context({**SHORT, "steps": 4}, stage="distill", data=line_cache, model=teacher.out))


def test_calibration_finds_the_factor():
    """Errors three times as large as the members' spread."""
    rng = np.random.default_rng(0)
    truth = np.ones((1, 1, 1, 4000))
    noise, error = rng.normal(size=(1, 16, 1, 1, 4000)), 3 * rng.normal(size=truth.shape)
    spread, found = corrector.calibrated(
        lambda factor: corrector.Scores.of(truth[:, None] + error[:, None] + factor * noise, truth)
    )
    assert spread == pytest.approx(3, rel=0.1)
    assert found.coverage.mean() == pytest.approx(0.8, abs=0.02)
