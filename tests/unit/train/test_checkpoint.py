from __future__ import annotations

import pytest
import torch

from ups_core.errors import DataInvalid
from ups_core.train.checkpoint import Checkpoints

WEIGHTS = {"lift.weight": torch.arange(6.0).reshape(2, 3), "head.bias": torch.zeros(2)}
SHAPES = {"lift.weight": [2, 3], "head.bias": [2]}
FACTS = {"shapes": SHAPES, "normaliserSha256": "abc"}


@pytest.fixture
def checkpoints(store, tmp_path):
    (tmp_path / "scratch").mkdir()
    return Checkpoints(store, "runs/x/checkpoints/k", tmp_path / "scratch", keep=3)


def save(checkpoints, step, **facts):
    weights = {name: value + step for name, value in WEIGHTS.items()}
    checkpoints.save(step, weights, {"generator": torch.tensor([step])}, {**FACTS, "loop": step, **facts})


def test_none_yet(checkpoints):
    assert checkpoints.newest(FACTS) is None


def test_newest_comes_back_and_the_last_three_are_kept(checkpoints):
    for step in (5, 10, 15, 20):
        save(checkpoints, step)
    saved = checkpoints.newest(FACTS)
    assert saved.facts["loop"] == 20
    assert torch.equal(saved.weights["lift.weight"], WEIGHTS["lift.weight"] + 20)
    assert saved.state["generator"].tolist() == [20]
    folders = {entry.path.split("/")[4] for entry in checkpoints.store.list(checkpoints.prefix)}
    assert folders == {"00000010", "00000015", "00000020"}


def break_weights(store, folder):
    data = bytearray(store.get(f"{folder}/model.safetensors"))
    data[-1] ^= 1
    store.put(f"{folder}/model.safetensors", bytes(data))


@pytest.mark.parametrize(
    "damage",
    [
        break_weights,
        lambda store, folder: store.delete(f"{folder}/checkpoint.json"),
        lambda store, folder: store.delete(f"{folder}/state.safetensors"),
        lambda store, folder: store.put(f"{folder}/state.safetensors", b""),
        lambda store, folder: store.put(f"{folder}/checkpoint.json", b'{"format": 1, "sh'),
    ],
    ids=["flipped bit", "no json", "no state", "empty state", "half a json"],
)
def test_damaged_newest_falls_back_and_says_so(checkpoints, capsys, damage):
    save(checkpoints, 5)
    save(checkpoints, 10)
    damage(checkpoints.store, f"{checkpoints.prefix}/00000010")
    assert checkpoints.newest(FACTS).facts["loop"] == 5
    assert "00000010" in capsys.readouterr().out
    save(checkpoints, 7)
    assert checkpoints.newest(FACTS).facts["loop"] == 7


@pytest.mark.parametrize(
    ("shapes", "found", "expected"),
    [
        ({**SHAPES, "lift.weight": [2, 4]}, "(2, 3)", "(2, 4)"),
        ({**SHAPES, "mid.weight": [9]}, "no such tensor", "(9)"),
        ({"lift.weight": [2, 3]}, "(2)", "no such tensor"),
    ],
)
def test_wrong_dimension_is_refused_before_tensors_are_read(checkpoints, shapes, found, expected):
    save(checkpoints, 5)
    for name in ("model", "state"):  # would fall back, were it read
        checkpoints.store.delete(f"{checkpoints.prefix}/00000005/{name}.safetensors")
    with pytest.raises(DataInvalid) as caught:
        checkpoints.newest({**FACTS, "shapes": shapes})
    assert (caught.value.details["found"], caught.value.details["expected"]) == (found, expected)


def test_other_units_of_values_are_refused(checkpoints):
    save(checkpoints, 5)
    with pytest.raises(DataInvalid, match="normaliserSha256"):
        checkpoints.newest({**FACTS, "normaliserSha256": "xyz"})
