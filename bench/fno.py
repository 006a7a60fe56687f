"""The peer that surrogates are measured against: a tuned Fourier neural operator, trained in the same run.

The network is ``neuraloperator``'s (Li et al., ICLR 2021; Kossaifi et al., 2024). It gets all that ours
gets but the architecture and Muon: the same cached arrays, normalisation, loss, augmentation by the
problem's symmetries, input noise, validations and the time they may take, schedule over the elapsed share
of the same CPU seconds, and the best of its validated states. Imports and a first step come before the
clock starts.

Run as a process of its own, on one thread, it prints its figures as JSON::

    OMP_NUM_THREADS=1 python -m bench.fno CACHE --seconds 300 --test test
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ups_core.api.stages import OperatorConfig
from ups_core.data.families import family
from ups_core.evaluate.metrics import nrmse, rel_l2
from ups_core.models.advance import Solve
from ups_core.models.problem import Problem
from ups_core.models.rollout import rollout
from ups_core.train.data import Split
from ups_core.train.normaliser import Normaliser
from ups_core.train.schedule import affordable, rate, ticks
from ups_core.train.tasks import Steady, Task, Transient, solve

VALIDATIONS = 20
WARMUP = 0.03


@dataclass(frozen=True)
class Recipe:
    """What each row chose on validation data; docs/benchmarks.md says among what."""

    modes: int = 16
    width: int = 32
    lr: float = 4e-3
    batch: int = 32
    weight_decay: float = 1e-4
    #: Largest relative standard deviation of the noise on input states.
    noise: float = 0.01
    loss: str = "l2"
    #: Coordinates as further input channels.
    grid: bool = False
    #: Train on images under the problem's symmetries too.
    augment: bool = True
    #: Solve a steady problem as the mean over these images.
    average: bool = True


class Peer(nn.Module):
    """An FNO that adds an update to the state where transient, and gives the solution where steady."""

    def __init__(self, problem: Problem, recipe: Recipe) -> None:
        super().__init__()
        from neuralop.models import FNO  # pyright: ignore[reportMissingImports]

        self.residual = not problem.steady
        self.shift_equivariant = not recipe.grid
        self.fno = FNO(
            n_modes=(recipe.modes,) * problem.dimensions,
            in_channels=len(problem.inputs),
            out_channels=len(problem.fields),
            hidden_channels=recipe.width,
            n_layers=4,
            positional_embedding="grid" if recipe.grid else None,
        )

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        out = self.fno(u)  # (B, C, X[, Y])
        return u + out if self.residual else out


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fno")
    parser.add_argument("cache", type=Path)
    parser.add_argument("--seconds", type=float, required=True, help="CPU seconds of the training loop")
    parser.add_argument("--test", nargs="*", default=[], help="splits to report on, once, after training")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order, noise and augmentation")
    parser.add_argument("--recipe", default="{}", help="fields of the recipe that are no defaults, as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe(**json.loads(asked.recipe))
    print(json.dumps(run(asked.cache, asked.seconds, asked.test, recipe, asked.seed)))


def run(folder: Path, seconds: float, test: list[str], recipe: Recipe, seed: int) -> dict[str, Any]:
    """Train on a cached dataset and report: parameters, speed, validation and test figures."""
    torch.manual_seed(seed)
    name = json.loads((folder / "dataset.json").read_text())["family"]
    problem = Problem.read(folder, family(name))
    train, val = Split.read(folder / "train"), Split.read(folder / "val")
    statistics = json.loads((folder / "normaliser.json").read_text())
    normaliser = Normaliser.of(statistics, problem, train.parameters)
    config = OperatorConfig.model_validate(
        {
            "cpuBudgetSeconds": seconds,
            "noise": recipe.noise,
            "loss": recipe.loss,
            "augment": recipe.augment,
            "testTimeAugmentation": recipe.average,
        }
    )
    network, known = Peer(problem, recipe), (problem, normaliser, train, val, config)
    model = Solve(network, problem) if problem.steady else network
    task = Steady(model, *known) if isinstance(model, Solve) else Transient(model, *known)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    task.losses(torch.arange(recipe.batch), torch.Generator(), 0.0).mean().backward()
    trained = fit(task, optimizer, recipe.batch, seconds, seed)
    figures = {split: judge(model, problem, normaliser, folder / split, recipe) for split in test}
    return {
        "recipe": asdict(recipe),
        # A complex number is two parameters.
        "parameters": sum(p.numel() * (1 + p.is_complex()) for p in model.parameters()),
        **trained,
        "test": figures,
    }


def fit(
    task: Task, optimizer: torch.optim.Optimizer, batch: int, seconds: float, seed: int
) -> dict[str, float]:
    """Train for so many CPU seconds, validation included; the best weights stay in the model."""
    weights, generator = list(task.model.parameters()), torch.Generator().manual_seed(seed)
    order, best, kept = torch.empty(0, dtype=torch.long), math.inf, weights
    peak, steps, share, spent = optimizer.param_groups[0]["lr"], 0, 0.0, 0.0
    validations, validating = 0, 0.0
    started = time.process_time()
    while share < 1:
        if len(order) < batch:
            order = torch.randperm(len(task), generator=generator)
        chosen, order = order[:batch], order[batch:]
        optimizer.param_groups[0]["lr"] = peak * rate(share, WARMUP)
        optimizer.zero_grad()
        task.losses(chosen, generator, share).mean().backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        before, spent, steps = share, time.process_time() - started, steps + 1
        share = spent / seconds
        due = ticks(before, share, VALIDATIONS)
        if due and (share >= 1 or affordable(validating, validations, spent)):
            began, figure = time.process_time(), task.validate()
            validations, validating = validations + 1, validating + time.process_time() - began
            if figure < best:
                best, kept = figure, [p.detach().clone() for p in weights]
    with torch.no_grad():
        for p, value in zip(weights, kept, strict=True):
            p.copy_(value)
    speed = {"steps": steps, "samples_per_cpu_second": steps * batch / spent}
    return {"validation": best, "cpu_seconds": spent, **speed}


def judge(
    model: nn.Module, problem: Problem, normaliser: Normaliser, folder: Path, recipe: Recipe
) -> dict[str, float]:
    """Error and speed on a split: rollouts from frame 0, or solutions on the split's own grid."""
    split = Split.read(folder)
    p = normaliser.vary(problem, split.parameters)
    if isinstance(model, Solve):
        assert split.a is not None
        a, truth = normaliser.inputs.apply(split.a), split.u.numpy()
        started = time.process_time()
        out = normaliser.fields.invert(solve(model, a, p, problem, average=recipe.average)).numpy()
        spent = time.process_time() - started
        error, frames = rel_l2(out, truth), len(truth)
    else:
        u, truth = normaliser.fields.apply(split.u[:, 0]), split.u[:, 1:].numpy()
        started = time.process_time()
        out = rollout(model, u, p, truth.shape[1]).flatten(0, 1)  # (N*T, C, X[, Y])
        out = normaliser.fields.invert(out).reshape(truth.shape).numpy()
        spent = time.process_time() - started
        error, frames = nrmse(out, truth).mean((1, 2)), truth.shape[0] * truth.shape[1]
    spread = {"median": float(np.median(error)), "worst": float(error.max())}
    return {"error": float(error.mean()), **spread, "frames_per_cpu_second": frames / spent}


if __name__ == "__main__":
    main()
