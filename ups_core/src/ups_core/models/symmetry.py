"""The exact discrete symmetries of a problem, as operations on fields and as a group.

A family declares generators (mirror an axis, exchange two, change the sign); close to a finite group, they
make the mirror images and rotations of a square, say: 8 elements. Element g acts on a state as
A_g u = s_g V_g P_g u: a sign, a rearrangement of the grid, and what that does to the components of vectors:
a mirror turns the one across it around, a transpose exchanges the two. Fields are on grids that are their own
mirror images: between walls, the closed ones of :class:`~ups_core.models.advance.Solve`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ups_core.data.families.base import Transform
from ups_core.models.problem import Problem

#: An element of the group: generators in the order of their application.
Element = tuple[Transform, ...]


def apply(element: Element, u: Tensor, problem: Problem, names: Sequence[str] = ()) -> Tensor:
    """A_g u for the fields ``names`` (B, C, X[, Y]); without names there are no vectors among them."""
    for transform in element:
        u = _mirror(u, transform, problem)
        u = u.transpose(2, 3) if transform.transpose else u
    return turned(element, u, problem, names)


def undo(element: Element, u: Tensor, problem: Problem, names: Sequence[str] = ()) -> Tensor:
    """The inverse of :func:`apply`."""
    u = turned(element, u, problem, names, back=True)
    for transform in reversed(element):
        u = u.transpose(2, 3) if transform.transpose else u
        u = _mirror(u, transform, problem)
    return u


def turned(
    element: Element, u: Tensor, problem: Problem, names: Sequence[str], *, back: bool = False
) -> Tensor:
    """s_g V_g u, of values (B, C, ...) that stay where they are, or its inverse."""
    if not names:
        return u if sign(element) == 1 else u * sign(element)
    order, signs = representation(element, problem, names)
    if back:  # an image is (V u)_c = s_c u_{o(c)}
        signs = [signs[order.index(c)] for c in range(len(order))]
        order = [order.index(c) for c in range(len(order))]
    if order != sorted(order):
        u = u[:, order]
    if len({*signs}) == 1:
        return u if signs[0] == 1 else u * signs[0]
    return u * u.new_tensor(signs).reshape(1, -1, *[1] * (u.ndim - 2))


def representation(element: Element, problem: Problem, names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Which channel each channel of an image is made of, and with which sign."""
    order, signs = list(range(len(names))), [1] * len(names)
    for transform in element:
        signs = [_factor(name, transform, problem) * s for name, s in zip(names, signs, strict=True)]
        if transform.transpose:
            others = [names.index(_other(name, problem)) for name in names]
            order, signs = [order[c] for c in others], [signs[c] for c in others]
    return order, signs


def scalar(elements: Sequence[Element], problem: Problem) -> list[Element]:
    """Those of the elements that do the same to all fields: a sign. Of a group they are one themselves."""
    names = list(dict.fromkeys((*problem.inputs, *problem.fields)))
    alike = [(list(range(len(names))), [s] * len(names)) for s in (1, -1)]
    return [e for e in elements if representation(e, problem, names) == alike[sign(e) < 0]]


def moved(element: Element, places: Tensor, problem: Problem) -> Tensor:
    """Where the points of a mesh, (B, M, D), lie in the image: their values go with them, :func:`turned`."""
    assert problem.box is not None
    for transform in element:
        mirror = places.new_tensor([letter in transform.flip for letter in problem.space])  # (D,)
        ends = places.new_tensor(problem.box).sum(1)  # (D,)
        places = mirror * (ends - places) + (1 - mirror) * places
        places = places.flip(-1) if transform.transpose else places
    return places


def rearrange(element: Element, u: Tensor, problem: Problem) -> Tensor:
    """P_g u."""
    return apply(element, u, problem) * sign(element)


def sign(element: Element) -> int:
    """s_g."""
    return math.prod(transform.sign for transform in element)


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


def _factor(name: str, transform: Transform, problem: Problem) -> int:
    """What a field is multiplied with: the component of a vector across a mirror turns around."""
    for components in problem.vectors:
        across = dict(zip(components, problem.space, strict=True)).get(name)
        if across in transform.flip:
            return -transform.sign
    return transform.sign


def _other(name: str, problem: Problem) -> str:
    """The component that a transpose puts in the place of this one."""
    for components in problem.vectors:
        if name in components[:2]:
            return components[1 - components.index(name)]
    return name


def _probe(problem: Problem) -> Tensor:
    """Values that no two elements rearrange alike, (1, 1, X[, Y])."""
    n = 4
    return torch.arange(1.0, 1 + n**problem.dimensions).reshape(1, 1, *[n] * problem.dimensions)


def _bytes(u: Tensor) -> bytes:
    return u.contiguous().numpy().tobytes()
