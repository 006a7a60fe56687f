"""What the peers are given, without the peers themselves: they are installed for the benchmark alone."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch
from bench import convert
from bench.fno import fit
from torch import Tensor, nn


def test_both_converters_see_the_same_bytes(tmp_path: Path) -> None:
    raw = convert.write_raw(tmp_path / "raw.hdf5", 3 * 4 * 201 * 1024)
    convert.copy(raw, tmp_path / "copy.bin")
    convert.convert(raw, tmp_path)
    copied = np.fromfile(tmp_path / "copy.bin", np.float32).reshape(3, 201, 1024)
    with h5py.File(tmp_path / "raw.h5") as file:
        np.testing.assert_array_equal(np.asarray(file["u"])[:, :, 0], copied)  # pyright: ignore
    assert copied.std() > 0.9


class Descent:
    """Plain gradient descent; torch's own optimizers take seconds to load."""

    def __init__(self, weights: list[nn.Parameter]) -> None:
        self.param_groups = [{"params": weights, "lr": 1e-3}]

    def zero_grad(self) -> None:
        for p in self.param_groups[0]["params"]:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        for p in self.param_groups[0]["params"]:
            p.sub_(p.grad, alpha=self.param_groups[0]["lr"])


class Drifting:
    """Training moves the weight from 1 down; validation likes it best where it was at the third look."""

    metric = "any"

    def __init__(self) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.model.weight)
        self.seen: list[float] = []

    def __len__(self) -> int:
        return 8

    def losses(self, indices: Tensor, generator: torch.Generator, share: float) -> Tensor:
        return self.model(torch.ones(len(indices), 1))[:, 0]

    def validate(self) -> float:
        self.seen.append(float(self.model.weight.detach()))
        return abs(len(self.seen) - 3)


def test_the_peer_keeps_its_best_validated_weights() -> None:
    task = Drifting()
    trained = fit(task, Descent([task.model.weight]), batch=4, seconds=0.2, seed=0)  # type: ignore[arg-type]
    assert trained["validation"] == 0
    assert float(task.model.weight.detach()) == task.seen[2] < task.seen[0]
    assert trained["cpu_seconds"] >= 0.2
