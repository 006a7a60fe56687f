"""What a stage learns: samples in, losses out, and the figure that its best model is chosen by.

The loop knows nothing of physics. It draws indices of training samples and asks the task for their
losses, one each; from time to time it asks for the figure on the validation split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ups_core.api.stages import CodecConfig, OperatorConfig
from ups_core.data.particles import nearest
from ups_core.errors import InvalidSpec
from ups_core.evaluate.metrics import mean_defined, nrmse, rel_l2
from ups_core.models.advance import Solve
from ups_core.models.averages import Averaged, rolling
from ups_core.models.device import device_of
from ups_core.models.particles import displaced, units
from ups_core.models.problem import Problem
from ups_core.models.rollout import BATCH_VALUES, rollout
from ups_core.models.symmetry import Element, apply, group, undo
from ups_core.train import mesh, particles
from ups_core.train.augment import augmentation
from ups_core.train.data import Split
from ups_core.train.draws import integers, normal, uniform
from ups_core.train.losses import relative_h1, relative_l2
from ups_core.train.normaliser import Normaliser

#: Relative error of a frame with which a rollout of training ends: what is so far astray teaches nothing.
LOST = 10.0


class Task(Protocol):
    """One stage's learning problem."""

    #: Name of the validation figure; smaller is better.
    metric: str

    @property
    def model(self) -> nn.Module: ...

    def __len__(self) -> int:
        """How many training samples there are."""
        ...

    def losses(self, indices: Tensor, generator: torch.Generator, share: float) -> Tensor:
        """One loss for each of the training samples ``indices`` (B,): (B,).

        ``share`` of the stage's limit has elapsed. Random numbers are drawn by :mod:`~ups_core.train.draws`,
        so that several processes have those of one. Samples may lie elsewhere than the model.
        """
        ...

    def validate(self) -> float:
        """The figure on the validation split; not finite where the model diverges."""
        ...

    def describe(self, index: int) -> str:
        """A training sample as people name it."""
        ...


class Transient:
    """One frame to the next; judged by the closed-loop rollout over all validation frames."""

    metric = "rollout.nrmse"

    def __init__(
        self,
        model: nn.Module,
        problem: Problem,
        normaliser: Normaliser,
        train: Split,
        val: Split,
        config: OperatorConfig,
        judge: Callable[[np.ndarray], float] | None = None,
    ) -> None:
        """``judge`` gives the figure of validation rollouts (N, T, C, X[, Y]) in the units of the data."""
        self.model, self.normaliser, self.val = model, normaliser, val
        self.noise, self.pairs = config.noise, train.u.shape[1] - 1
        self.unroll, self.unroll_share = config.unroll, config.unroll_share
        self.horizon = max(config.unroll, config.horizon)
        self.leads = torch.tensor(config.leads)
        unrolled = config.unroll if len(config.leads) > 1 else 1
        if config.leads[-1] * unrolled > self.pairs:
            raise InvalidSpec(
                "a lead is longer than the trajectories of training",
                where="spec.stages: operator.config.leads",
                found=f"{config.leads[-1]} frames{f', {unrolled} times' if unrolled > 1 else ''}",
                expected=f"at most {self.pairs}, the frames behind the first one",
            )
        self.frames = train.u.flatten(0, 1)  # (N*T, C, X[, Y])
        self.samples, self.distinct = len(train), train.distinct
        self.parameters = normaliser.vary(problem, train.parameters)  # (N, P)
        self.val_parameters = normaliser.vary(problem, val.parameters)  # (N, P)
        shifts, images = (not getattr(model, name, False) for name in ("shift_equivariant", "symmetric"))
        images = images and not any(problem.wall)  # a mirror between walls takes nodes to where none is
        self.augment = None
        if config.augment and problem.motion is not None:
            self.augment = particles.augmentation(problem)
        elif config.augment and not problem.mesh:
            self.augment = augmentation(problem, shifts=shifts, images=images)
        self.places, self.units = train.places, units(problem)
        self.move = mesh.augmentation(problem) if config.augment and problem.mesh else None
        self.loss = _loss(config, problem)
        truth = val.u[:, 1:].numpy()
        self.judge = judge or (
            lambda u: float(mean_defined(nrmse(nearest(u, truth, problem.periods), truth)))
        )

    def __len__(self) -> int:
        return self.samples * self.pairs

    def losses(self, indices: Tensor, generator: torch.Generator, share: float) -> Tensor:
        several = len(self.leads) > 1
        chosen = integers(len(self.leads), indices.shape, generator) if several else torch.zeros_like(indices)
        lead, most = self.leads[chosen], self.pairs // int(self.leads[-1])  # (B,)
        ahead = min(self.horizon, most) if share >= 1 - self.unroll_share else 1
        sample, first = indices // self.pairs, indices % self.pairs
        first = first % (self.pairs - ahead * lead + 1)  # the last frames of a trajectory have no more behind
        row = sample * (self.pairs + 1) + first  # of the first frame among all N*T frames
        device = device_of(self.model)
        frames = [
            self.normaliser.fields.apply(self.frames[row + t * lead].to(device)) for t in range(ahead + 1)
        ]  # (B, C, X[, Y]) each
        step = {"lead": lead.float().to(device)} if several else {}
        beside = [self.parameters[sample].to(device)]  # (B, P)
        if self.places is not None:
            places = self.places[sample].to(device)  # (B, M, D)
            if self.move:
                places, frames = self.move(places, frames, generator)
            beside.append(places)
        elif self.augment:
            frames = self.augment(frames, generator)
        u, *after = frames  # (B, C, X[, Y]) each
        if self.noise and ahead <= self.unroll:  # longer rollouts bring errors of their own
            noise = mean_free_noise(u, self.noise, generator)
            u = u + noise * self.units.reshape(-1, *[1] * (u.ndim - 2)).to(device)
        begin, advance, show = rolling(self.model)
        state, total = begin(u, *beside), torch.zeros((), device=device)
        if isinstance(self.model, Averaged):
            total = self.loss(show(state, *beside), frames[0], u)  # (B,): what was averaged is to come back
        lost = torch.zeros(len(u), dtype=torch.bool, device=device)  # (B,)
        for number, truth in enumerate(after):
            if number and number % self.unroll == 0:
                state = state.detach()
            state = advance(state, *beside, **step)
            loss = self.loss(show(state, *beside), truth, u)  # (B,)
            total = total + torch.where(lost, 0, loss)
            if ahead > self.unroll and bool((loss > LOST).any()):
                lost = lost | (loss > LOST)
                state = torch.where(lost.reshape(-1, *[1] * (u.ndim - 1)), u, state)
        return total / ahead

    def validate(self) -> float:
        start = self.normaliser.fields.apply(self.val.u[:, 0])  # (N, C, X[, Y])
        steps, places = self.val.u.shape[1] - 1, self.val.places
        u = rollout(self.model, start, self.val_parameters, steps, places)  # (N, T-1, C, X[, Y])
        return self.judge(self.normaliser.fields.invert(u.flatten(0, 1)).reshape(u.shape).numpy())

    def describe(self, index: int) -> str:
        return f"{index // self.pairs % self.distinct} (frame {index % self.pairs})"


class Steady:
    """Input to solution; judged by the relative L2 error on the validation split."""

    metric = "rel_l2"

    def __init__(
        self,
        model: Solve,
        problem: Problem,
        normaliser: Normaliser,
        train: Split,
        val: Split,
        config: OperatorConfig,
    ) -> None:
        assert train.a is not None
        self.model, self.problem, self.normaliser = model, problem, normaliser
        self.u, self.a, self.val = train.u, train.a, val
        self.parameters = normaliser.vary(problem, train.parameters)  # (N, P)
        self.val_parameters = normaliser.vary(problem, val.parameters)  # (N, P)
        self.average = config.test_time_augmentation
        self.augment = (
            augmentation(problem, shifts=True, images=not model.symmetric) if config.augment else None
        )
        self.loss = _loss(config, problem)

    def __len__(self) -> int:
        return len(self.u)

    def losses(self, indices: Tensor, generator: torch.Generator, share: float) -> Tensor:
        device = device_of(self.model)
        a = self.model.close(self.normaliser.inputs.apply(self.a[indices].to(device)))  # (B, C, X+1[, Y+1])
        u = self.model.close(self.normaliser.fields.apply(self.u[indices].to(device)))  # (B, C', X+1[, Y+1])
        if self.augment:
            a, u = self.augment([a, u], generator, [self.problem.inputs, self.problem.fields])
        return self.loss(self.model.closed(a, self.parameters[indices].to(device)), u, a)

    def validate(self) -> float:
        assert self.val.a is not None
        a = self.normaliser.inputs.apply(self.val.a)  # (N, C, X[, Y])
        u = solve(self.model, a, self.val_parameters, self.problem, average=self.average)
        return float(mean_defined(rel_l2(self.normaliser.fields.invert(u).numpy(), self.val.u.numpy())))

    def describe(self, index: int) -> str:
        return str(index)


class Coding:
    """A frame to itself, through the code; judged by the error of what is decoded."""

    metric = "reconstruction.nrmse"

    def __init__(
        self,
        model: nn.Module,
        problem: Problem,
        normaliser: Normaliser,
        train: Split,
        val: Split,
        config: CodecConfig,
    ) -> None:
        self.model, self.normaliser, self.val = model, normaliser, val
        self.frames = train.u.flatten(0, 1)  # (N*T, C, X[, Y])
        self.per_sample = train.u.shape[1]
        self.parameters = normaliser.vary(problem, train.parameters)  # (N, P)
        self.val_parameters = normaliser.vary(problem, val.parameters)  # (N, P)
        images = not any(problem.wall)  # a mirror between walls takes nodes to where none is
        self.augment = augmentation(problem, shifts=True, images=images) if config.augment else None

    def __len__(self) -> int:
        return len(self.frames)

    def losses(self, indices: Tensor, generator: torch.Generator, share: float) -> Tensor:
        device = device_of(self.model)
        u = self.normaliser.fields.apply(self.frames[indices].to(device))  # (B, C, X[, Y])
        if self.augment:
            (u,) = self.augment([u], generator)
        return relative_l2(self.model(u, self.parameters[indices // self.per_sample].to(device)), u)

    @torch.inference_mode()
    def validate(self) -> float:
        scale, frames = self.normaliser.fields, self.val.u.flatten(0, 1)  # (N*T, C, X[, Y])
        size, device = max(1, BATCH_VALUES // frames[0].numel()), device_of(self.model)
        parameters = self.val_parameters.repeat_interleave(self.val.u.shape[1], 0)  # (N*T, P)
        parts = zip(frames.split(size), parameters.split(size), strict=True)
        coded = (self.model(scale.apply(part).to(device), p.to(device)).cpu() for part, p in parts)
        u = torch.cat([scale.invert(part) for part in coded])  # (N*T, C, X[, Y])
        return float(mean_defined(nrmse(u.reshape(self.val.u.shape).numpy(), self.val.u.numpy())))

    def describe(self, index: int) -> str:
        return f"{index // self.per_sample} (frame {index % self.per_sample})"


@torch.inference_mode()
def solve(model: Solve, a: Tensor, parameters: Tensor, problem: Problem, *, average: bool) -> Tensor:
    """Solutions (N, C', X[, Y]) for inputs (N, C, X[, Y]) and parameters (N, P), normalised.

    ``average``: solve every image of the input under the problem's symmetries, map the solutions
    back and take their mean, which makes the surrogate exactly as symmetric as the problem.
    """
    elements = group(problem) if average and not model.symmetric else [()]
    size = max(1, BATCH_VALUES // a[0].numel())
    parts = zip(a.split(size), parameters.split(size), strict=True)
    return torch.cat([averaged(model, part, p, problem, elements).cpu() for part, p in parts])


def averaged(
    model: Solve, a: Tensor, parameters: Tensor, problem: Problem, elements: Sequence[Element]
) -> Tensor:
    """The mean of the solutions (B, C', X[, Y]) for all images of a (B, C, X[, Y]) under ``elements``."""
    device = device_of(model)
    given, p = model.close(a.to(device)), parameters.to(device)  # (B, C, X+1[, Y+1])
    into, out = problem.inputs, problem.fields
    images = [undo(e, model.closed(apply(e, given, problem, into), p), problem, out) for e in elements]
    return model.open(torch.stack(images).mean(0))


def mean_free_noise(u: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Noise like u (B, C, X[, Y]) whose spatial mean is zero.

    Its standard deviation is drawn for each sample between ``largest``/1000 and ``largest``, evenly in
    the logarithm, so that the network sees errors of all the sizes that a rollout goes through. With a
    mean it would ask a conservative network for the impossible: to change the sum.
    """
    drawn = uniform((len(u), *[1] * (u.ndim - 1)), generator, u.device)  # (B, 1, 1[, 1])
    size = largest * 10 ** (-3 * drawn)  # (B, 1, 1[, 1])
    noise = normal(u.shape, generator, u.device)  # (B, C, X[, Y])
    return size * (noise - noise.mean(tuple(range(2, u.ndim)), keepdim=True))


def _loss(config: OperatorConfig, problem: Problem) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Of prediction, truth and what was given."""
    if problem.motion is not None:
        return lambda prediction, truth, given: relative_l2(*displaced(prediction, truth, given, problem))
    if config.loss == "h1":
        return lambda prediction, truth, _: relative_h1(prediction, truth, problem.spacing, problem.boundary)
    return lambda prediction, truth, _: relative_l2(prediction, truth)
