"""The ``train`` and ``encode`` steps and the surrogates that they make, on tiny data."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from ups_core.errors import DataInvalid, InvalidSpec, NotFound, Preempted
from ups_core.steps import encode, train
from ups_core.store import open_store, publish
from ups_core.surrogate import Surrogate

SMALL = {"architecture": {"name": "conv", "width": 4, "dilations": [1]}, "batchSize": 8, "validations": 4}
UNET = {"architecture": {"name": "unet", "width": 16, "levels": 2}, "batchSize": 8, "validations": 2}


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def trained(context, line_cache):
    """The folder of an operator trained on the line."""
    ctx = context({**SMALL, "steps": 12}, data=line_cache)
    train.run(ctx)
    return ctx.out


def test_object_holds_what_a_reader_needs(context, line_cache):
    ctx = context({**SMALL, "steps": 12}, data=line_cache)
    result = train.run(ctx)
    facts = json.loads((ctx.out / "model.json").read_text())
    assert sorted(contents(ctx.out)) == ["curve.jsonl", "model.json", "model.safetensors", "verdicts.json"]
    assert facts["shapes"]["network.lift.weight"] == [4, 2, 5]  # the state, and what diffusion makes of it
    assert facts["domain"]["data"] == ctx.inputs["data"].digest
    u = np.load(line_cache / "train/u.npy")
    seen = u - u.mean(-1, keepdims=True)  # the network does not see the mean: it moves along
    (channel,) = facts["domain"]["channels"]
    assert (channel["low"], channel["high"]) == (float(seen.min()), float(seen.max()))
    assert facts["domain"]["parameters"][0]["low"] == facts["domain"]["parameters"][0]["high"] == 0.01
    assert facts["domain"]["samples"] == {"train": 12, "val": 4}
    assert facts["units"] == {"u": "1"} or facts["units"] == {"u": "m/s"}
    assert facts["validation"]["metric"] == "val.rollout.nrmse"
    assert result["metrics"]["train.val.rollout.nrmse"] == facts["validation"]["value"]
    rows = [json.loads(line) for line in (ctx.out / "curve.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 12
    assert not any("time" in row for row in rows)
    live = list(ctx.record.rows("metrics"))
    assert [row["step"] for row in live] == [row["step"] for row in rows]
    assert all("time" in row for row in live)


def test_same_seed_same_bytes(context, line_cache, trained):
    ctx = context({**SMALL, "steps": 12}, key="e" * 64, data=line_cache)
    train.run(ctx)
    assert contents(ctx.out) == contents(trained)


def test_sigterm_then_resume_gives_the_same_object(context, line_cache, trained):
    ctx = context({**SMALL, "steps": 12}, key="d" * 64, data=line_cache)

    def kill(done, total, text):
        if done >= 40:
            signal.raise_signal(signal.SIGTERM)

    object.__setattr__(ctx, "progress", kill)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted):
        train.run(ctx)
    assert signal.getsignal(signal.SIGTERM) is before
    assert contents(ctx.out) == {}
    resumed = context({**SMALL, "steps": 12}, key="d" * 64, data=line_cache)
    train.run(resumed)
    assert contents(resumed.out) == contents(trained)


def test_checkpoint_of_another_shape_is_refused(context, line_cache):
    train.run(context({**SMALL, "steps": 2}, data=line_cache))
    wider = {**SMALL, "architecture": {"name": "conv", "width": 6, "dilations": [1]}}
    with pytest.raises(DataInvalid) as caught:
        train.run(context({**wider, "steps": 2}, data=line_cache))
    assert "blocks.0.bias" in str(caught.value)
    assert (caught.value.details["found"], caught.value.details["expected"]) == ("(4)", "(6)")


def test_resume_from_a_model(context, line_cache, trained):
    ctx = context(
        {**SMALL, "steps": 1, "lr": 1e-12, "muonLr": 1e-12}, key="c" * 64, data=line_cache, resume=trained
    )
    train.run(ctx)
    start, end = (load_file(folder / "model.safetensors") for folder in (trained, ctx.out))
    assert all(np.allclose(start[name], end[name], atol=1e-6) for name in start)


def test_rollout(trained, line_cache):
    surrogate = Surrogate.load(trained)
    u0 = np.load(line_cache / "test/u.npy")[:, 0]
    frames = surrogate.rollout(u0, 5)
    assert frames.shape == (4, 5, 1, 16)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(surrogate.rollout(u0[1], 5), frames[1], atol=1e-6)
    np.testing.assert_allclose(surrogate.rollout(frames[:, 1], 3), frames[:, 2:], atol=1e-6)
    np.testing.assert_allclose(frames.mean(3), np.repeat(u0.mean(2)[:, None], 5, 1), atol=1e-6)
    np.testing.assert_array_equal(surrogate.rollout(u0, 5, {"Nu": 0.01}), frames)


def test_finer_periodic_grid_is_interpolated_through_the_nodes(trained):
    surrogate = Surrogate.load(trained)
    x = np.arange(64) / 64
    u0 = np.sin(2 * np.pi * x)[None, None].astype(np.float32)
    fine, coarse = surrogate.rollout(u0, 3), surrogate.rollout(u0[..., ::4], 3)
    assert fine.shape == (1, 3, 1, 64)
    np.testing.assert_allclose(fine[..., ::4], coarse, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda s: s.rollout(np.zeros((2, 1, 24)), 1), DataInvalid, "on this grid"),
        (lambda s: s.rollout(np.zeros((2, 3, 16)), 1), DataInvalid, "layout"),
        (lambda s: s.rollout(np.full((2, 1, 16), np.nan), 1), DataInvalid, "not finite"),
        (lambda s: s.rollout(np.zeros((2, 1, 16)), 1, {"Nu": 0.5}), DataInvalid, "one value of Nu"),
        (lambda s: s.rollout(np.zeros((2, 1, 16)), 1, {"nu": 0.01}), DataInvalid, "no parameter nu"),
        (lambda s: s.rollout(np.zeros((2, 1, 16)), 1, {"Nu": [0.01]}), DataInvalid, "Nu of another layout"),
        (lambda s: s.rollout(np.zeros((2, 1, 16)), 1, np.zeros((2, 2))), DataInvalid, "of another layout"),
        (lambda s: s.rollout(np.zeros((0, 1, 16)), 1), DataInvalid, "layout"),
        (lambda s: s.solve(np.zeros((2, 1, 16))), InvalidSpec, "transient"),
    ],
)
def test_what_the_surrogate_refuses(trained, call, error, words):
    with pytest.raises(error, match=words):
        call(Surrogate.load(trained))


def test_loads_from_a_store(trained, tmp_path):
    store = open_store(str(tmp_path / "other"))
    expected = Surrogate.load(trained).rollout(np.ones((1, 1, 16)), 2)
    published = publish(
        store,
        step="train",
        key="b" * 64,
        folder=trained,
        inputs={},
        recipe={},
        deterministic=True,
        provenance={},
    )
    np.testing.assert_array_equal(Surrogate.load(published.uri).rollout(np.ones((1, 1, 16)), 2), expected)
    with pytest.raises(NotFound):
        Surrogate.load(f"{store.uri}/objects/train/{'a' * 64}")
    with pytest.raises(NotFound):
        Surrogate.load(tmp_path)


def test_weights_that_do_not_fit_are_refused(trained):
    tensors = load_file(trained / "model.safetensors")
    save_file(
        {**tensors, "network.lift.weight": tensors["network.lift.weight"][:, :, :3].contiguous()},
        trained / "model.safetensors",
    )
    with pytest.raises(DataInvalid, match=r"network\.lift\.weight") as caught:
        Surrogate.load(trained)
    assert (caught.value.details["found"], caught.value.details["expected"]) == ("(4, 2, 3)", "(4, 2, 5)")


def test_varying_parameters_are_needed(context, line_cache):
    for split in ("train", "val"):
        samples = len(np.load(line_cache / split / "parameters.npy"))
        np.save(line_cache / split / "parameters.npy", np.linspace(0.01, 0.1, samples)[:, None])
    ctx = context({**SMALL, "steps": 2}, data=line_cache)
    train.run(ctx)
    surrogate, u0 = Surrogate.load(ctx.out), np.random.default_rng(0).normal(size=(2, 1, 16))
    with pytest.raises(DataInvalid, match="Nu is needed"):
        surrogate.rollout(u0, 1)
    low, high = (surrogate.rollout(u0, 1, np.full((2, 1), nu)) for nu in (0.01, 0.1))
    assert not np.array_equal(low, high)
    with pytest.raises(DataInvalid, match=r"Nu is outside(.|\n)*found: +Nu = 0.2(.|\n)*--extrapolate"):
        surrogate.rollout(u0, 1, {"Nu": 0.2})
    assert np.isfinite(Surrogate.load(ctx.out, extrapolate=True).rollout(u0, 1, {"Nu": 0.2})).all()


def test_steady(context, square_cache):
    ctx = context({**UNET, "steps": 6}, data=square_cache)
    result = train.run(ctx)
    assert result["metrics"]["train.val.rel_l2"] < 1.5
    surrogate = Surrogate.load(ctx.out)
    a = np.load(square_cache / "val/a.npy")
    u = surrogate.solve(a)
    assert u.shape == (4, 1, 8, 8)
    np.testing.assert_allclose(surrogate.solve(a.swapaxes(2, 3)), u.swapaxes(2, 3), atol=1e-6)
    fine = surrogate.solve(np.repeat(np.repeat(a, 2, 2), 2, 3))
    np.testing.assert_allclose(fine[:, :, ::2, ::2], u, atol=1e-6)
    np.testing.assert_allclose(surrogate.solve(a[0]), u[0], atol=1e-6)
    with pytest.raises(InvalidSpec, match="steady"):
        surrogate.rollout(a, 2)


def test_codec_then_operator_on_its_codes(context, line_cache):
    codec = context(
        {"steps": 20, "downsample": 2, "width": 8, "batchSize": 8, "target": 2.0},
        stage="codec",
        data=line_cache,
    )
    result = train.run(codec)
    assert result["metrics"]["train.val.reconstruction.nrmse"] < 2
    coded = context({}, step="encode", data=line_cache, model=codec.out)
    encode.run(coded)
    z = np.load(coded.out / "val/u.npy")
    assert z.shape == (4, 4, 1, 8)
    np.testing.assert_allclose(np.load(coded.out / "val/x.npy"), (np.arange(8) + 0.5) / 8)
    dataset = json.loads((coded.out / "dataset.json").read_text())
    assert dataset["splits"]["val"] == {"samples": 4, "copies": 1, "shape": [4, 1, 8]}
    # Averages of the fields, in their units; of the training split with patches that begin at either point.
    u, z = np.load(line_cache / "train/u.npy"), np.load(coded.out / "train/u.npy")
    for start in (0, 1):
        averages = np.roll(u, -start, -1).reshape(len(u), 4, 1, 8, 2).mean(-1)
        own = slice(start * len(u), (start + 1) * len(u))
        np.testing.assert_allclose(z[own], averages, rtol=1e-5, atol=1e-6)
    parameters = np.load(line_cache / "train/parameters.npy")
    np.testing.assert_array_equal(np.load(coded.out / "train/parameters.npy"), np.tile(parameters, (2, 1)))
    assert dataset["splits"]["train"] == {"samples": 2 * len(u), "copies": 2, "shape": [4, 1, 8]}
    operator = context(
        {**SMALL, "steps": 8}, key="a" * 64, data=line_cache, model=codec.out, latents=coded.out
    )
    train.run(operator)
    surrogate = Surrogate.load(operator.out)
    u = np.load(line_cache / "test/u.npy")
    frames = surrogate.rollout(u[:, 0], 3)
    assert frames.shape == (4, 3, 1, 16)
    # The validation figure is one of decoded fields, not of codes.
    val = np.load(line_cache / "val/u.npy")
    error = surrogate.rollout(val[:, 0], 3) - val[:, 1:]
    nrmse = np.mean(np.sqrt((error**2).mean((2, 3)) / (val[:, 1:] ** 2).mean((2, 3))))
    figure = json.loads((operator.out / "model.json").read_text())["validation"]["value"]
    assert figure == pytest.approx(nrmse, rel=1e-3)
    with pytest.raises(InvalidSpec, match="codec alone"):
        Surrogate.load(codec.out)


@pytest.mark.parametrize("change", [{"format": 1}, {"config": {"name": "conv", "gone": 1}}])
def test_a_model_of_another_version_is_refused(context, line_cache, change):
    ctx = context({**SMALL, "steps": 1}, data=line_cache)
    train.run(ctx)
    facts = json.loads((ctx.out / "model.json").read_text()) | change
    (ctx.out / "model.json").write_text(json.dumps(facts))
    with pytest.raises(DataInvalid, match="another version"):
        Surrogate.load(ctx.out)


def test_codec_of_a_steady_problem_is_refused(context, square_cache):
    with pytest.raises(InvalidSpec, match="evolve"):
        train.run(context({"steps": 1}, stage="codec", data=square_cache))


def test_a_rollout_in_steps_of_several_frames(context, line_cache):
    ctx = context({**SMALL, "leads": [1, 3], "steps": 4}, data=line_cache)
    train.run(ctx)
    surrogate = Surrogate.load(ctx.out)
    u0 = np.load(line_cache / "val/u.npy")[:, 0]
    assert surrogate.leads == (1, 3)
    assert surrogate.rollout(u0, 2, every=3).shape == (4, 2, 1, 16)
    assert not np.array_equal(surrogate.rollout(u0, 2, every=3), surrogate.rollout(u0, 2))
    with pytest.raises(InvalidSpec, match=r"found: +every = 2(.|\n)*expected: +1 or 3"):
        surrogate.rollout(u0, 2, every=2)
    dt = surrogate.problem.dt
    assert dt is not None
    for frames in (1, 3):  # a file of training's frames, or of the steps that are asked for
        surrogate.rollout(u0, 2, every=3, coordinates={"t": np.arange(2) * frames * dt})
    for every, frames in ((3, 2), (1, 3)):
        with pytest.raises(DataInvalid, match="another time"):
            surrogate.rollout(u0, 2, every=every, coordinates={"t": np.arange(2) * frames * dt})
