"""Samples made from samples: the exact symmetries that a family declares.

A symmetry turns one solution into another, so applying one at random costs no accuracy of the data
and spares the network from learning what is already known. Generators close to a finite group (the
mirror images and rotations of a square: 8 elements), of which one is drawn for each sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ups_core.models.problem import Problem
from ups_core.models.symmetry import apply, group
from ups_core.train.draws import integers


class Transformation(Protocol):
    def __call__(
        self,
        batch: Sequence[Tensor],
        generator: torch.Generator,
        names: Sequence[Sequence[str]] | None = None,
    ) -> list[Tensor]: ...


def augmentation(problem: Problem, *, shifts: bool, images: bool = True) -> Transformation:
    """A function that transforms each sample of a batch, alike in all its tensors (B, C, X[, Y]).

    They are states, where it is not told the ``names`` of their fields.
    ``images``: draw an element of the problem's group; ``shifts``: shift cyclically. Either is useless for
    networks that commute with it anyway.
    """
    elements = group(problem) if images else [()]
    axes = [2 + problem.space.index(letter) for letter in problem.shifts] if shifts else []

    def transform(
        batch: Sequence[Tensor], generator: torch.Generator, names: Sequence[Sequence[str]] | None = None
    ) -> list[Tensor]:
        out = list(batch)
        if len(elements) > 1:
            drawn = integers(len(elements), (len(out[0]),), generator)  # (B,)
            chosen = [torch.nonzero(drawn == e)[:, 0] for e in range(1, len(elements))]
            out = [u.clone() for u in out]
            for u, fields in zip(out, names or [problem.fields] * len(out), strict=True):
                for element, rows in zip(elements[1:], chosen, strict=True):
                    u[rows] = apply(element, u[rows], problem, fields)
        for axis in axes:
            n = out[0].shape[axis]
            start = integers(n, (len(out[0]), 1), generator)  # (B, 1)
            index = (torch.arange(n) + start) % n  # (B, n)
            shape = [len(index), *[1] * (axis - 1), n, *[1] * (out[0].ndim - 1 - axis)]
            out = [u.gather(axis, index.reshape(shape).to(u.device).expand_as(u)) for u in out]
        return out

    return transform
