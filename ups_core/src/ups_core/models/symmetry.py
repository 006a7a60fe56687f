"""The exact discrete symmetries of a problem, as operations on fields and as a group.

A family declares generators (mirror an axis, exchange two, change the sign); close to a finite group, they
make the mirror images and rotations of a square, say: 8 elements. Element g acts on a state as
A_g u = s_g P_g u, a sign times a rearrangement of the grid. Fields are on grids that are their own mirror
images: between walls, the closed ones of :class:`~ups_core.models.advance.Solve`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ups_core.data.families.base import Transform
from ups_core.models.problem import Problem

#: An element of the group: generators in the order of their application.
Element = tuple[Transform, ...]


def apply(element: Element, u: Tensor, problem: Problem) -> Tensor:
    """A_g u for fields (B, C, X[, Y])."""
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


def moved(element: Element, places: Tensor, problem: Problem) -> Tensor:
    """Where the points of a mesh, (B, M, D), lie in the image: their values go with them, times the sign."""
    assert problem.box is not None
    for transform in element:
        mirror = places.new_tensor([letter in transform.flip for letter in problem.space])  # (D,)
        ends = places.new_tensor(problem.box).sum(1)  # (D,)
        places = mirror * (ends - places) + (1 - mirror) * places
        places = places.flip(-1) if transform.transpose else places
    return places


def rearrange(element: Element, u: Tensor, problem: Problem) -> Tensor:
    """P_g u: the same without the sign."""
    return apply(element, u, problem) * sign(element)


def sign(element: Element) -> int:
    """s_g."""
    total = 1
    for transform in element:
        total *= transform.sign
    return total


def group(problem: Problem) -> list[Element]:
    """All elements that the problem's generators make, the identity first."""
    probe = _probe(problem)
    elements: list[Element] = [()]
    seen = {_bytes(probe)}
    for element in elements:  # grows while it is walked, until it is closed
        for generator in problem.symmetries:
            longer = (*element, generator)
            image = _bytes(apply(longer, probe, problem))
            if image not in seen:
                seen.add(image)
                elements.append(longer)
    return elements


def quotients(elements: list[Element], problem: Problem) -> list[list[int]]:
    """Entry [g][h] is the place of g⁻¹h among ``elements``, which must be a whole group."""
    probe = _probe(problem)
    place = {_bytes(apply(element, probe, problem)): i for i, element in enumerate(elements)}
    return [[place[_bytes(undo(g, apply(h, probe, problem), problem))] for h in elements] for g in elements]


def directions(element: Element, problem: Problem) -> Tensor:
    """The matrix of g⁻¹ in space, (D, D): column j is where the unit vector along axis j comes from."""
    line = torch.arange(4.0) - 1.5
    coordinates = torch.stack(torch.meshgrid(*[line] * problem.dimensions, indexing="ij"))  # (D, X[, Y])
    moved = rearrange(element, coordinates[None], problem)[0]  # entry i at x holds (g⁻¹x)_i
    return torch.stack(
        [moved.diff(dim=1 + axis).flatten(1)[:, 0] for axis in range(problem.dimensions)], dim=1
    )


def _mirror(u: Tensor, transform: Transform, problem: Problem) -> Tensor:
    axes = [2 + problem.space.index(letter) for letter in transform.flip]
    return u.flip(axes) if axes else u


def _probe(problem: Problem) -> Tensor:
    """Values that no two elements rearrange alike, (1, 1, X[, Y])."""
    n = 4
    return torch.arange(1.0, 1 + n**problem.dimensions).reshape(1, 1, *[n] * problem.dimensions)


def _bytes(u: Tensor) -> bytes:
    return u.contiguous().numpy().tobytes()
