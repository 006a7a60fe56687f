"""``ups predict`` and ``ups export``: files in, files out, and what is refused on the way."""

from __future__ import annotations

import json
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from ups_core import export, predict
from ups_core.errors import DataInvalid, StorageUnavailable, UpsError
from ups_core.output import whole_file
from ups_core.steps import train
from ups_core.surrogate import Surrogate
from ups_core.train import published


@pytest.fixture
def surrogate(context, line_cache) -> Surrogate:
    small = {"architecture": {"name": "conv", "width": 4, "dilations": [1]}, "batchSize": 8}
    ctx = context({**small, "steps": 2, "validations": 1}, data=line_cache)
    train.run(ctx)
    return Surrogate.load(ctx.out)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("1 2 3"),
        lambda path: path.write_bytes(b""),
        lambda path: np.savez(path.open("wb"), a=np.ones(3)),
        lambda path: np.save(path, np.array(["a", "b"])),
        lambda path: np.save(path, np.ones((1, 1, 16), complex)),
        lambda path: path.mkdir(),
    ],
    ids=["text", "empty", "npz", "strings", "complex", "a folder"],
)
def test_inputs_that_are_no_array(surrogate: Surrogate, tmp_path: Path, write) -> None:
    given = tmp_path / "u0.npy"
    write(given)
    with pytest.raises(DataInvalid, match=r"no array of numbers(.|\n)*fix:"):
        predict.predict(surrogate, given, tmp_path / "out.npy", 2)
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("shape", [(3, 1), (2, 2), (2,), (1, 1)])
def test_parameters_of_another_layout(surrogate: Surrogate, tmp_path: Path, shape) -> None:
    np.save(tmp_path / "u0.npy", np.ones((2, 1, 16)))
    np.save(tmp_path / "u0.parameters.npy", np.full(shape, 0.01))
    with pytest.raises(DataInvalid, match=r"expected: \(2, 1\): a row a sample, columns Nu"):
        predict.predict(surrogate, tmp_path / "u0.npy", tmp_path / "out.npy", 2)


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    return path


WAVE = np.sin(2 * np.pi * np.arange(16) / 16)[None, None].repeat(3, 0).astype(np.float32)  # (N, C, X)


def test_a_file_that_says_what_it_holds(surrogate: Surrogate, tmp_path: Path) -> None:
    given = npz(tmp_path / "u0.npz", u=WAVE, x=np.arange(16) / 16, t=[0.0], Nu=0.01, units=["m/s"])
    assert predict.predict(surrogate, given, tmp_path / "out.npy", 5) == (3, 5, 1, 16)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), surrogate.rollout(WAVE, 5))


def test_trajectories_in_hdf5(surrogate: Surrogate, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "test_Nu0.01.hdf5", "w") as file:  # as PDEBench has them
        file["tensor"] = np.stack([WAVE[:, 0], np.zeros_like(WAVE[:, 0])], axis=1)  # (N, T, X)
        file["x-coordinate"], file["t-coordinate"] = np.arange(16) / 16, [0.0, 0.5, 1.0]
    given = tmp_path / "test_Nu0.01.hdf5"
    assert predict.predict(surrogate, given, tmp_path / "out.npy", 5) == (3, 5, 1, 16)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), surrogate.rollout(WAVE, 5))
    given.rename(tmp_path / "test_Nu0.02.hdf5")
    with pytest.raises(DataInvalid, match=r"one value of Nu(.|\n)*found: +Nu = 0.02"):
        predict.predict(surrogate, tmp_path / "test_Nu0.02.hdf5", tmp_path / "out.npy", 5)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"units": ["km/s"]}, r"u is given in another unit(.|\n)*found: +km/s(.|\n)*expected: +m/s"),
        ({"units": ["m/s", "m/s"]}, "one unit for each channel"),
        ({"x": np.linspace(0, 1, 16)}, r"grid lies elsewhere(.|\n)*found: +nodes from 0 to 1"),
        ({"x": np.arange(8) / 8}, r"x do not fit(.|\n)*expected: +\(16,\)"),
        ({"t": [0.0, 0.5]}, r"another time(.|\n)*dt = 0.02"),
        ({"Nu": 0.5}, r"one value of Nu(.|\n)*found: +Nu = 0.5"),
        ({"Nu": [0.01, 0.01]}, r"another layout(.|\n)*found: +shape \(2,\)"),
        ({"nu": 0.01}, r"no meaning here(.|\n)*found: +nu(.|\n)*expected: +u, and of Nu, x, t, units"),
        ({"u": 1000 * WAVE}, r"u is far outside(.|\n)*standard deviations(.|\n)*--extrapolate"),
    ],
)
def test_what_does_not_fit_is_refused(surrogate: Surrogate, tmp_path: Path, arrays: dict, words: str) -> None:
    given = npz(tmp_path / "u0.npz", **({"u": WAVE} | arrays))
    with pytest.raises(DataInvalid, match=words):
        predict.predict(surrogate, given, tmp_path / "out.npy", 2)
    assert list(tmp_path.glob("*out.npy*")) == []


def test_extrapolation_is_asked_for(surrogate: Surrogate, tmp_path: Path) -> None:
    np.save(tmp_path / "u0.npy", 1000 * WAVE)
    asked = replace(surrogate, extrapolate=True)
    assert predict.predict(asked, tmp_path / "u0.npy", tmp_path / "out.npy", 2) == (3, 2, 1, 16)


def test_batches_give_what_one_batch_gives(
    surrogate: Surrogate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is wrong is told by its number among all samples."""
    u0 = np.random.default_rng(0).normal(size=(7, 1, 32)) / 2
    whole = surrogate.rollout(u0, 3)
    monkeypatch.setattr("ups_core.models.accepted.BATCH_VALUES", 64)
    np.save(tmp_path / "u0.npy", u0)
    predict.predict(surrogate, tmp_path / "u0.npy", tmp_path / "out.npy", 3)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), whole, atol=1e-6)
    u0[5, 0, 0] = np.inf
    with pytest.raises(DataInvalid, match=r"not finite\n *where: +sample 5"):
        surrogate.rollout(u0, 3)


def test_memory_holds_a_batch_only(
    surrogate: Surrogate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "u0.npy", np.repeat(WAVE[:1], 2048, axis=0))
    predict.predict(surrogate, tmp_path / "u0.npy", tmp_path / "out.npy", 1)  # what is loaded once
    monkeypatch.setattr("ups_core.models.accepted.BATCH_VALUES", 4096)
    tracemalloc.start()
    shape = predict.predict(surrogate, tmp_path / "u0.npy", tmp_path / "out.npy", 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * np.prod(shape) / 4


def test_a_steady_problem_from_files(context, square_cache: Path, tmp_path: Path) -> None:
    small = {"architecture": {"name": "unet", "width": 16, "levels": 1}, "batchSize": 8}
    ctx = context({**small, "steps": 2, "validations": 1}, data=square_cache)
    train.run(ctx)
    surrogate, a = Surrogate.load(ctx.out), np.load(square_cache / "val" / "a.npy")
    x, out = np.arange(8) / 8, tmp_path / "out.npy"
    assert predict.predict(surrogate, npz(tmp_path / "a.npz", a=a, x=x, y=x), out, None) == (4, 1, 8, 8)
    np.testing.assert_array_equal(np.load(out), surrogate.solve(a))
    for arrays, steps, words in (
        ({"a": a, "x": x, "y": x + 0.5}, None, "lies elsewhere than in training along y"),
        ({"a": a + 100}, None, "a is far outside"),
        ({"a": a}, 3, "has no steps"),
    ):
        with pytest.raises(UpsError, match=words):
            predict.predict(surrogate, npz(tmp_path / "b.npz", **arrays), tmp_path / "b.npy", steps)


def test_one_sample_has_no_axis_of_samples(surrogate: Surrogate, tmp_path: Path) -> None:
    np.save(tmp_path / "u0.npy", WAVE[0])
    assert predict.predict(surrogate, tmp_path / "u0.npy", tmp_path / "out.npy", 4) == (4, 1, 16)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), surrogate.rollout(WAVE[0], 4))


def test_a_normaliser_of_another_model_is_refused(surrogate: Surrogate, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    folder.mkdir()
    facts = json.loads(json.dumps(surrogate.operator.facts))
    weights = surrogate.operator.network.state_dict()
    published.write(folder, facts, weights)
    assert Surrogate.load(folder).operator.normaliser == surrogate.operator.normaliser
    facts["normaliser"]["fields"]["scale"][0] *= 2
    published.write(folder, facts, weights)
    with pytest.raises(
        DataInvalid, match=r"normaliser is not the one(.|\n)*found: +sha256(.|\n)*expected: +sha256"
    ):
        Surrogate.load(folder)


def _exit_code(main, *arguments: object) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ups", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
    return left.value.code


def test_places_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused before the model, which is not there, is looked for."""
    (tmp_path / "file").touch()
    new = tmp_path / "new folder" / "u.npy"
    assert _exit_code(predict.main, "none", tmp_path / "u0.npy", new) == 2
    assert f"mkdir -p '{new.parent}'" in capsys.readouterr().err
    assert _exit_code(predict.main, "none", tmp_path / "u0.npy", tmp_path) == 2
    assert _exit_code(export.main, "none", new, "--format", "torch-export") == 2
    assert _exit_code(export.main, "none", tmp_path / "file", "--format", "safetensors") == 2
    assert "a file is there" in capsys.readouterr().err


def test_a_full_disk(tmp_path: Path) -> None:
    def fill() -> None:
        with whole_file(tmp_path / "u.npy", "--out") as part:
            part.write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageUnavailable, match="No space left on device"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_export_below_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    published = SimpleNamespace(folder=lambda work: tmp_path, manifest=SimpleNamespace(files=["file"]))
    monkeypatch.setattr(export, "open_uri", lambda uri: published)
    with pytest.raises(StorageUnavailable):
        export.write("model", tmp_path / "file" / "below", "safetensors")
    export.write("model", tmp_path / "a" / "b", "safetensors")
    assert (tmp_path / "a" / "b" / "file").exists()


def test_a_surrogate_that_carries_averages(context, line_cache, tmp_path: Path) -> None:
    """Trained through its own rollouts, loaded again, rolled out; but no program of one frame."""
    network = {"name": "gconv", "width": 4, "dilations": [1], "averages": True, "characteristics": True}
    config = {"architecture": network, "batchSize": 4, "unroll": 2, "horizon": 40, "unrollShare": 0.5}
    ctx = context({**config, "steps": 4, "validations": 2}, data=line_cache)
    train.run(ctx)
    surrogate = Surrogate.load(ctx.out)
    u = np.load(line_cache / "val" / "u.npy")[:, 0]
    frames = surrogate.rollout(u, 3)
    assert frames.shape == (len(u), 3, 1, 16)
    apart = surrogate.rollout(frames[:, 0], 2)  # of a frame that was shown, not of what was carried
    assert np.abs(apart - frames[:, 1:]).max() > 1e-4 * np.abs(frames).max()
    for format_ in ("torch-export", "onnx"):
        with pytest.raises(UpsError, match=r"no form as a program(.|\n)*fix: +--format safetensors"):
            export.export(surrogate, tmp_path / "p", format_)
    assert not (tmp_path / "p").exists()
