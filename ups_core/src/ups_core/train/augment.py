"""Samples made from samples: the exact symmetries that a family declares.

A symmetry turns one solution into another, so applying one at random costs no accuracy of the data
and spares the network from learning what is already known. Generators close to a finite group (the
mirror images and rotations of a square: 8 elements), of which one is drawn for each sample.

Where node 0 of an axis lies on a wall (``Problem.wall``), mirroring maps node i to n - i, which leaves
node 0 in place and reverses the nodes from 1 on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ups_core.data.families.base import Transform
from ups_core.models.problem import Problem
from ups_core.train.draws import integers

#: An element of the group: generators in the order of their application.
Element = tuple[Transform, ...]


def apply(element: Element, u: Tensor, problem: Problem) -> Tensor:
    """The element applied to fields (B, C, X[, Y])."""
    for transform in element:
        u = _mirror(u, transform, problem)
        if transform.transpose:
            u = u.transpose(-1, -2)
        u = u * transform.sign if transform.sign != 1 else u
    return u


def undo(element: Element, u: Tensor, problem: Problem) -> Tensor:
    """The inverse of :func:`apply`; mirroring, exchanging axes and changing signs undo themselves."""
    for transform in reversed(element):
        if transform.transpose:
            u = u.transpose(-1, -2)
        u = _mirror(u, transform, problem)
        u = u * transform.sign if transform.sign != 1 else u
    return u


def _mirror(u: Tensor, transform: Transform, problem: Problem) -> Tensor:
    for letter in transform.flip:
        axis = 2 + problem.space.index(letter)
        wall = int(problem.wall[axis - 2])
        interior = u.narrow(axis, wall, u.shape[axis] - wall).flip(axis)
        u = torch.cat([u.narrow(axis, 0, wall), interior], dim=axis) if wall else interior
    return u


def group(problem: Problem) -> list[Element]:
    """All elements that the problem's generators make, the identity first."""
    n = 4
    probe = torch.arange(1.0, 1 + n**problem.dimensions).reshape(1, 1, *[n] * problem.dimensions)
    elements: list[Element] = [()]
    seen = {probe.numpy().tobytes()}
    for element in elements:  # grows while it is walked, until it is closed
        for generator in problem.symmetries:
            longer = (*element, generator)
            image = apply(longer, probe, problem).contiguous().numpy().tobytes()
            if image not in seen:
                seen.add(image)
                elements.append(longer)
    return elements


def augmentation(
    problem: Problem, *, shifts: bool
) -> Callable[[Sequence[Tensor], torch.Generator], list[Tensor]]:
    """A function that transforms each sample of a batch, alike in all its tensors (B, C, X[, Y]).

    ``shifts``: shift cyclically, too; useless for networks that commute with shifts anyway.
    """
    elements = group(problem)
    axes = [2 + problem.space.index(letter) for letter in problem.shifts] if shifts else []

    def transform(batch: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
        out = list(batch)
        if len(elements) > 1:
            drawn = integers(len(elements), (len(out[0]),), generator)  # (B,)
            chosen = [torch.nonzero(drawn == e)[:, 0] for e in range(1, len(elements))]
            out = [u.clone() for u in out]
            for u in out:
                for element, rows in zip(elements[1:], chosen, strict=True):
                    u[rows] = apply(element, u[rows], problem)
        for axis in axes:
            n = out[0].shape[axis]
            start = integers(n, (len(out[0]), 1), generator)  # (B, 1)
            index = (torch.arange(n) + start) % n  # (B, n)
            shape = [len(index), *[1] * (axis - 1), n, *[1] * (out[0].ndim - 1 - axis)]
            out = [u.gather(axis, index.reshape(shape).to(u.device).expand_as(u)) for u in out]
        return out

    return transform
