"""What a corrector and its student learn, and a critic of theirs from: the residuals of a frozen operator.

See :mod:`ups_core.models.corrector` for what is done with them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ups_core.models.advance import Solve
from ups_core.models.corrector import Corrector
from ups_core.models.critic import Critic
from ups_core.models.device import device_of
from ups_core.models.problem import Problem
from ups_core.models.rollout import BATCH_VALUES
from ups_core.train.augment import Transformation, augmentation
from ups_core.train.data import Split
from ups_core.train.draws import normal
from ups_core.train.published import Model
from ups_core.train.tasks import solve

#: Noise levels in training are log-normal around the size of the residual (Karras et al. 2022, table 1,
#: where the mean is lower: there images are sought behind noise, here much of what is sought is noise).
LEVEL_MEAN, LEVEL_STD = 0.0, 1.4
#: Residuals that a validation looks at.
VALIDATED = 4096
#: Stands for the seed of validation, which is the same at every one.
VALIDATION_SEED = 1

Net = TypeVar("Net", Corrector, Critic)


@dataclass(frozen=True)
class Residuals:
    """What an operator leaves out of a split, normalised: one row a frame, or a sample where steady.

    Attributes
    ----------
    given: what the operator was given, (R, C, X[, Y]).
    prediction, residual: what it made of that, and what the truth has besides, (R, C', X[, Y]).
    parameters: (R, P).
    per_sample, distinct: rows of each sample, and how many samples there are but for copies.
    """

    given: Tensor
    prediction: Tensor
    residual: Tensor
    parameters: Tensor
    per_sample: int
    distinct: int

    @classmethod
    @torch.no_grad()
    def of(cls, model: Model, split: Split) -> Residuals:
        """One step from every frame of the data; the solution of every input where steady."""
        normaliser, problem, device = model.normaliser, model.problem, device_of(model.network)
        parameters = normaliser.vary(problem, split.parameters)  # (N, P)
        if problem.steady:
            assert split.a is not None
            a = normaliser.inputs.apply(split.a).cpu()  # (N, C, X[, Y])
            u = normaliser.fields.apply(split.u).cpu()  # (N, C', X[, Y])
            average = model.facts["testTimeAugmentation"]
            assert isinstance(model.network, Solve)
            solved = solve(model.network, a, parameters, problem, average=average)
            prediction = solved.clone()  # which can be trained on
            return cls(a, prediction, u - solved, parameters, 1, split.distinct)
        pairs = split.u.shape[1] - 1
        parameters = parameters.repeat_interleave(pairs, 0)  # (R, P), R = N*(T-1)
        given = normaliser.fields.apply(split.u[:, :-1].flatten(0, 1)).cpu()  # (R, C, X[, Y])
        truth = normaliser.fields.apply(split.u[:, 1:].flatten(0, 1)).cpu()
        size = max(1, BATCH_VALUES // given[0].numel())
        chunks = zip(given.split(size), parameters.split(size), strict=True)
        prediction = torch.cat([model.network(u.to(device), p.to(device)).cpu() for u, p in chunks])
        return cls(given, prediction, truth - prediction, parameters, pairs, split.distinct)

    def scale(self, problem: Problem) -> Tensor:
        """The root mean square of each field's residual, (C,), no smaller than rounding."""
        axes = (0, *range(2, self.residual.ndim))
        sizes = self.residual.double().square().mean(axes).sqrt().tolist()
        return torch.tensor(problem.shared(dict(zip(problem.fields, sizes, strict=True)))).clamp(min=1e-7)

    def in_units_of(self, scale: Tensor) -> Residuals:
        """The same with the residual divided by ``scale`` (C,)."""
        unit = scale.reshape(-1, *[1] * (self.residual.ndim - 2))  # (C, 1[, 1])
        return replace(self, residual=self.residual / unit)

    def rows(self, which: Tensor | slice, device: torch.device | str = "cpu") -> Residuals:
        """Some of them, on a device."""
        parts = (self.given, self.prediction, self.residual, self.parameters)
        given, prediction, residual, parameters = (part[which].to(device) for part in parts)
        return Residuals(given, prediction, residual, parameters, self.per_sample, self.distinct)

    def thinned(self, count: int) -> Residuals:
        """At most ``count`` of them, evenly over all."""
        return self.rows(slice(None, None, -(-len(self) // count)))

    def __len__(self) -> int:
        return len(self.residual)


def mixed(residual: Tensor, noise: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """The mixture of residual and noise (B, C, X[, Y]) at ``angle`` (B,), and its velocity."""
    t = angle.reshape(-1, *[1] * (residual.ndim - 1))  # (B, 1, 1[, 1])
    return t.cos() * residual + t.sin() * noise, t.cos() * noise - t.sin() * residual


class OnResiduals(ABC, Generic[Net]):
    """What all tasks on residuals share: rows, symmetries, names."""

    def __init__(
        self,
        model: Net,
        problem: Problem,
        train: Residuals,
        val: Residuals,
        *,
        augment: bool,
    ) -> None:
        self.model, self.problem, self.train = model, problem, train
        self.val = val.thinned(VALIDATED)
        self.augment: Transformation | None = (
            augmentation(problem, shifts=not model.shift_equivariant, images=not any(problem.wall))
            if augment  # between walls, images of what is known are not on the nodes
            else None
        )

    def __len__(self) -> int:
        return len(self.train)

    def batch(self, indices: Tensor, generator: torch.Generator) -> Residuals:
        """Rows of the training split, transformed alike."""
        batch = self.train.rows(indices, device_of(self.model))
        if self.augment is None:
            return batch
        fields = [batch.given, batch.prediction, batch.residual]
        names = [self.problem.inputs, self.problem.fields, self.problem.fields]
        given, prediction, residual = self.augment(fields, generator, names)
        return replace(batch, given=given, prediction=prediction, residual=residual)

    @staticmethod
    def noise_like(corrector: Corrector, residual: Tensor, generator: torch.Generator) -> Tensor:
        """White noise that a residual can be, (B, C, X[, Y])."""
        return corrector.admissible(normal(residual.shape, generator, residual.device))

    @torch.inference_mode()
    def validate(self) -> float:
        generator = torch.Generator().manual_seed(VALIDATION_SEED)
        val, device, losses = self.val, device_of(self.model), []
        size = max(1, BATCH_VALUES // (4 * val.residual[0].numel()))
        for rows in torch.arange(len(val)).split(size):
            losses.append(self.loss(val.rows(rows, device), generator).cpu())
        return float(torch.cat(losses).mean())

    def losses(self, indices: Tensor, generator: torch.Generator, share: float) -> Tensor:
        return self.loss(self.batch(indices, generator), generator)

    @abstractmethod
    def loss(self, batch: Residuals, generator: torch.Generator) -> Tensor:
        """One loss for each row, (B,)."""

    def describe(self, index: int) -> str:
        sample, frame = divmod(index, self.train.per_sample)
        name = str(sample % self.train.distinct)
        return f"{name} (frame {frame})" if self.train.per_sample > 1 else name


class Denoising(OnResiduals[Corrector]):
    """The velocity of mixtures at random angles; judged by its mean square error on validation residuals."""

    metric = "velocity.mse"

    def loss(self, batch: Residuals, generator: torch.Generator) -> Tensor:
        level = torch.exp(
            LEVEL_MEAN + LEVEL_STD * normal((len(batch),), generator, batch.residual.device)
        )  # (B,)
        noise = self.noise_like(self.model, batch.residual, generator)  # (B, C, X[, Y])
        angle = torch.atan(level)
        z, velocity = mixed(batch.residual, noise, angle)
        error = self.model(z, angle, batch.given, batch.prediction, batch.parameters) - velocity
        return error.square().flatten(1).mean(1)


class Matching(OnResiduals[Corrector]):
    """A teacher's sample from the same noise; judged by the mean square distance on validation frames.

    Knowledge distillation of a deterministic sampler (Luhman & Luhman 2021, arXiv:2101.02388), with fresh
    noise in every batch.
    """

    metric = "distance.mse"

    def __init__(
        self,
        model: Corrector,
        problem: Problem,
        train: Residuals,
        val: Residuals,
        *,
        augment: bool,
        teacher: Corrector,
        evaluations: tuple[int, int],
    ) -> None:
        """``evaluations`` of teacher and student for one sample."""
        super().__init__(model, problem, train, val, augment=augment)
        self.teacher, self.evaluations = teacher, evaluations

    def loss(self, batch: Residuals, generator: torch.Generator) -> Tensor:
        noise = self.noise_like(self.model, batch.residual, generator)  # (B, C, X[, Y])
        known = batch.given, batch.prediction, batch.parameters
        with torch.no_grad():
            wanted = self.teacher.sample(noise, *known, self.evaluations[0])
        own = self.model.sample(noise, *known, self.evaluations[1])
        return (own - wanted).square().flatten(1).mean(1)
