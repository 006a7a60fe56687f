"""What ``ups predict`` and ``ups export`` do with files they cannot read or write."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ups_core import export, predict
from ups_core.errors import DataInvalid, StorageUnavailable
from ups_core.output import whole_file
from ups_core.steps import train
from ups_core.surrogate import Surrogate


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
