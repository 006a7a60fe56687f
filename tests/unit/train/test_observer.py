"""The data are asked whether their field is the velocity that carries itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ups_core import Surrogate
from ups_core.api.stages import OperatorConfig
from ups_core.data.cache import normaliser as statistics
from ups_core.data.families import family
from ups_core.models.problem import Problem
from ups_core.stages.base import problem_of
from ups_core.steps import train
from ups_core.steps.evaluate import check_normaliser
from ups_core.train import observer
from ups_core.train.data import Split
from ups_core.train.group import Group
from ups_core.train.normaliser import Normaliser

POINTS, DT = 32, 0.15
LINE = Problem(
    family="mine",
    declaration={"name": "mine"},
    steady=False,
    space="X",
    fields=("u",),
    units=("1",),
    inputs=("u",),
    shape=(POINTS,),
    spacing=(1 / POINTS,),
    boundary=("periodic",),
    wall=(False,),
    conserved=(True,),
    dt=DT,
)


def solutions(carried: float, beta: float, samples: int = 60, frames: int = 9, seed: int = 0) -> np.ndarray:
    """u_t + (carried u + beta) u_x = 0.02 u_xx on the unit interval, pseudo-spectral, RK4: (N, T, 1, X)."""
    rng, fine = np.random.default_rng(seed), 2 * POINTS
    x, k = np.arange(fine) / fine, 2j * np.pi * np.fft.rfftfreq(fine, 1 / fine)
    phase, size = rng.uniform(0, 2 * np.pi, (samples, 2, 1)), rng.normal(0, 0.5, (samples, 2, 1))
    u = (size * np.sin(2 * np.pi * np.arange(1, 3)[:, None] * x + phase)).sum(1)  # (N, 2X)
    u += rng.normal(0, 0.5, (samples, 1))

    def change(u: np.ndarray) -> np.ndarray:
        flux = np.fft.rfft(carried * u**2 / 2 + beta * u)
        flux[:, fine // 3 :] = 0  # beyond what the points that are kept resolve
        return np.fft.irfft(0.02 * k**2 * np.fft.rfft(u) - k * flux, fine)

    found, steps = [u], 60
    h = DT / steps
    for _ in range((frames - 1) * steps):
        a = change(u)
        b = change(u + h / 2 * a)
        c = change(u + h / 2 * b)
        u = u + h / 6 * (a + 2 * b + 2 * c + change(u + h * c))
        found.append(u)
    return np.stack(found[::steps], axis=1)[:, :, None, ::2].astype(np.float32)


def ask(u: np.ndarray, problem: Problem = LINE) -> observer.Trial | None:
    none, val = np.zeros((len(u), 0)), 12
    learned, held = (Split(torch.tensor(part), None, none[: len(part)]) for part in (u[:-val], u[-val:]))
    scale = {"fields": {"u": {"mean": float(u.mean()), "std": float(u.std())}}, "inputs": {}}
    return observer.trial(problem, Normaliser.of(scale, problem, none), learned, held)


@pytest.mark.parametrize(
    ("carried", "beta", "found"),
    [(1.0, 0.0, True), (1.0, 0.4, True), (0.95, 0.0, False), (0.5, 0.0, False), (0.0, 0.4, False)],
    ids=["Burgers", "Burgers in a wind", "nearly Burgers", "half of Burgers", "advection and diffusion"],
)
def test_the_speed_at_which_a_field_carries_itself_is_found(carried: float, beta: float, found: bool):
    answer = ask(solutions(carried, beta))
    assert answer is not None
    assert answer.speed == pytest.approx(carried, abs=0.1)
    assert answer.found == found, answer


def test_a_trial_leaves_the_random_numbers_of_training_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(observer, "TRAINING", OperatorConfig(steps=20))
    u = solutions(1.0, 0.0, samples=24, frames=3)
    torch.manual_seed(1)
    first, untouched = ask(u), torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), untouched)
    assert ask(u) == first


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        ([[0.5, 0.25, 0.125]], observer.Trial(0.5, 0.25, 0.125, None)),
        ([[1.0, 0.25, 0.125], 0.0625], observer.Trial(1.0, 0.25, 0.125, 0.0625)),
    ],
)
def test_processes_that_train_together_take_the_answers_of_the_first(
    told: list[Any], answer: observer.Trial, monkeypatch: pytest.MonkeyPatch
):
    class Follower(Group):
        def follow_first(self, tensors):
            for tensor in tensors:
                tensor.copy_(torch.tensor(told.pop(0)))

    monkeypatch.setattr(observer, "TRAINING", OperatorConfig(steps=2))
    monkeypatch.setattr(observer.Group, "joined", Follower)
    assert ask(solutions(1.0, 0.0, samples=24, frames=3)) == answer
    assert not told


def test_frames_so_close_that_a_cell_is_a_jump_are_not_tried():
    assert ask(solutions(1.0, 0.0, samples=24, frames=3), replace(LINE, dt=DT / 100)) is None


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Burgers' equation as a dataset that declares no more than what its arrays are; its mean is not zero."""
    folder = tmp_path / "data"
    x, t, u = np.arange(POINTS) / POINTS, DT * np.arange(9), solutions(1.0, 2.0) + 2
    for split, rows in (("train", u[:48]), ("val", u[48:])):
        (folder / split).mkdir(parents=True)
        for name, values in {"u": rows, "parameters": np.zeros((len(rows), 0)), "x": x, "t": t}.items():
            np.save(folder / split / f"{name}.npy", values)
    declaration = {
        "name": "mine",
        "space": "X",
        "fields": [{"name": "u"}],
        "layout": {"state": "u", "axes": "NTX", "coordinates": {"x": "x", "t": "t"}},
        "boundary": {"x": "periodic"},
    }
    (folder / "normaliser.json").write_text(json.dumps(statistics(folder / "train", family(declaration))))
    described = {"family": declaration, "kind": "grid", "steady": False, "space": "X", "inputs": []}
    described |= {"fields": [{"name": "u"}], "parameters": [], "boundary": {"X": "periodic"}, "dt": DT}
    described["splits"] = {"train": {"samples": 48}, "val": {"samples": 12}}
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


@pytest.mark.parametrize("galilean", [True, False])
def test_a_surrogate_of_undeclared_data_moves_with_their_states(
    context: Callable[..., Any], cache: Path, galilean: bool
):
    architecture = {"name": "conv", "width": 4, "dilations": [1], "galilean": galilean}
    ctx = context({"steps": 4, "validations": 1, "architecture": architecture}, data=cache)
    train.run(ctx)
    surrogate = Surrogate.load(ctx.out, extrapolate=True)
    model = json.loads((ctx.out / "model.json").read_text())
    assert (surrogate.problem.boost is not None) == ("seen" in model) == galilean
    u0 = np.load(cache / "val" / "u.npy")[:, 0]  # (N, 1, X)
    still, faster = surrogate.rollout(u0, 2)[:, 1], surrogate.rollout(u0 + 3 / POINTS / DT, 2)[:, 1]
    # Three cells a frame, for two frames.
    assert np.allclose(faster - 3 / POINTS / DT, np.roll(still, 6, -1), atol=1e-4) == galilean
    # A velocity that carries is not centred, and evaluation takes that for the train split's own normaliser.
    assert (model["normaliser"]["fields"]["shift"] == [0.0]) == galilean
    published: Any = SimpleNamespace(manifest=SimpleNamespace(files=["model.json"]), json=lambda _: model)
    problem, _ = problem_of(cache)
    check_normaliser(
        published, problem, json.loads((cache / "normaliser.json").read_text()), np.zeros((48, 0))
    )


@pytest.mark.parametrize(
    ("other", "asks"),
    [
        ({}, True),
        ({"declaration": None}, False),  # a family of ours says all there is to say
        ({"declaration": {"galilean": "u"}}, False),
        ({"conserved": (False,)}, False),
        ({"fields": ("u", "v"), "conserved": (True, True)}, False),
        ({"boundary": ("dirichlet",)}, False),
        ({"linear": True}, False),
    ],
)
def test_only_what_nobody_said_is_asked(other: dict[str, Any], asks: bool):
    assert observer.unsaid(replace(LINE, **other)) == asks
