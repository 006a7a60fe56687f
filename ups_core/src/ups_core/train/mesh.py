"""Learning on scattered points, where symmetries move the points and leave the values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from ups_core.api.stages import OperatorConfig
from ups_core.evaluate.metrics import mean_defined, rel_l2
from ups_core.models.device import device_of
from ups_core.models.problem import Problem
from ups_core.models.rollout import BATCH_VALUES
from ups_core.models.symmetry import Element, group, moved, representation, turned
from ups_core.train.data import Split
from ups_core.train.draws import integers, uniform
from ups_core.train.losses import relative_l2
from ups_core.train.normaliser import Normaliser


class Move(Protocol):
    def __call__(
        self,
        places: Tensor,
        values: Sequence[Tensor],
        generator: torch.Generator,
        names: Sequence[Sequence[str]] | None = None,
    ) -> tuple[Tensor, list[Tensor]]: ...


def augmentation(problem: Problem) -> Move:
    """A function of places (B, M, D), values (B, C, M) of each, and a generator: of moved samples, both.

    Values are states, where it is not told the names of their fields.

    Each sample is an image under an element of the problem's group, shifted by any distance along the axes
    that the family declares.
    """
    assert problem.box is not None
    elements = group(problem)
    free = torch.tensor([float(letter in problem.shifts) for letter in problem.space])
    length = torch.tensor(problem.box).diff(dim=1)[:, 0] * free  # (D,)

    def move(
        places: Tensor,
        values: Sequence[Tensor],
        generator: torch.Generator,
        names: Sequence[Sequence[str]] | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        values = list(values)
        if len(elements) > 1:
            drawn = integers(len(elements), (len(places),), generator, places.device)  # (B,)
            images = torch.stack([moved(e, places, problem) for e in elements])  # (E, B, M, D)
            places = images[drawn, torch.arange(len(places), device=places.device)]
            fields = names or [problem.fields] * len(values)
            values = [_images(u, drawn, elements, problem, of) for u, of in zip(values, fields, strict=True)]
        if bool(free.any()):
            shift = uniform((len(places), 1, problem.dimensions), generator, places.device)  # (B, 1, D)
            places = places + shift * length.to(places.device)
        return places, values

    return move


def _images(
    u: Tensor, drawn: Tensor, elements: Sequence[Element], problem: Problem, names: Sequence[str]
) -> Tensor:
    """The values u (B, C, M) under the elements number ``drawn`` (B,), each sample under its own."""
    orders, signs = zip(*(representation(e, problem, names) for e in elements), strict=True)
    order = torch.tensor(orders, device=u.device)[drawn, :, None]  # (B, C, 1), of (E, C)
    return u.gather(1, order.expand_as(u)) * u.new_tensor(signs)[drawn, :, None]


class SteadyMesh:
    """Input to solution at the same points; judged by the relative L2 error on the validation split."""

    metric = "rel_l2"

    def __init__(
        self,
        model: nn.Module,
        problem: Problem,
        normaliser: Normaliser,
        train: Split,
        val: Split,
        config: OperatorConfig,
    ) -> None:
        assert train.a is not None
        assert train.places is not None
        self.model, self.problem, self.normaliser = model, problem, normaliser
        self.u, self.a, self.places, self.val = train.u, train.a, train.places, val
        self.parameters = normaliser.vary(problem, train.parameters)  # (N, P)
        self.val_parameters = normaliser.vary(problem, val.parameters)  # (N, P)
        self.average = config.test_time_augmentation
        self.move = augmentation(problem) if config.augment else None

    def __len__(self) -> int:
        return len(self.u)

    def losses(self, indices: Tensor, generator: torch.Generator, share: float) -> Tensor:
        device = device_of(self.model)
        a = self.normaliser.inputs.apply(self.a[indices].to(device))  # (B, C, M)
        u = self.normaliser.fields.apply(self.u[indices].to(device))  # (B, C', M)
        places = self.places[indices].to(device)  # (B, M, D)
        if self.move:
            names = [self.problem.inputs, self.problem.fields]
            places, (a, u) = self.move(places, [a, u], generator, names)
        return relative_l2(self.model(a, self.parameters[indices].to(device), places), u)

    def validate(self) -> float:
        assert self.val.a is not None
        assert self.val.places is not None
        a, p = self.normaliser.inputs.apply(self.val.a), self.val_parameters
        u = solve(self.model, a, p, self.val.places, self.problem, average=self.average)  # (N, C', M)
        return float(mean_defined(rel_l2(self.normaliser.fields.invert(u).numpy(), self.val.u.numpy())))

    def describe(self, index: int) -> str:
        return str(index)


@torch.inference_mode()
def solve(
    model: nn.Module, a: Tensor, parameters: Tensor, places: Tensor, problem: Problem, *, average: bool
) -> Tensor:
    """Solutions (N, C', M) for inputs (N, C, M) at ``places`` (N, M, D), with parameters (N, P); normalised.

    ``average``: the mean over all images under the problem's symmetries.
    """
    elements = group(problem) if average else [()]
    size, device, out = max(1, BATCH_VALUES // a[0].numel()), device_of(model), []
    for given in zip(a.split(size), parameters.split(size), places.split(size), strict=True):
        values, p, where = (part.to(device) for part in given)
        images = []
        for e in elements:
            image = model(turned(e, values, problem, problem.inputs), p, moved(e, where, problem))
            images.append(turned(e, image, problem, problem.fields, back=True))
        out.append(torch.stack(images).mean(0).cpu())  # (B, C', M)
    return torch.cat(out)
