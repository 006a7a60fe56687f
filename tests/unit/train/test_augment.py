from __future__ import annotations

import pytest
import torch

from ups_core.data.families.base import Transform
from ups_core.models.problem import Problem
from ups_core.models.symmetry import apply, group, undo
from ups_core.train.augment import augmentation

X, Y = Transform("x", flip=("X",)), Transform("y", flip=("Y",))
TURN = Transform("turn", flip=("X",), transpose=True)
SWAP = Transform("swap", transpose=True)
NEGATE = Transform("reflection", flip=("X",), sign=-1)


def problem(space, symmetries, wall=False, shifts=()):
    d = len(space)
    return Problem(
        family="f",
        steady=True,
        space=space,
        fields=("u",),
        units=("1",),
        inputs=("a",),
        shape=(6,) * d,
        spacing=(1 / 6,) * d,
        boundary=("dirichlet" if wall else "periodic",) * d,
        wall=(wall,) * d,
        conserved=(False,),
        shifts=shifts,
        symmetries=symmetries,
    )


@pytest.mark.parametrize(
    ("space", "symmetries", "size"),
    [
        ("X", (), 1),
        ("X", (NEGATE,), 2),
        ("X", (NEGATE, X), 4),
        ("XY", (X, Y), 4),
        ("XY", (X, SWAP), 8),
        ("XY", (X, Y, SWAP), 8),
        ("XY", (TURN,), 4),
    ],
)
def test_generators_close_to_the_group(space, symmetries, size):
    one = problem(space, symmetries)
    elements = group(one)
    u = torch.randn(2, 1, *one.shape)
    images = {apply(e, u, one).contiguous().numpy().tobytes() for e in elements}
    assert len(elements) == len(images) == size
    for element in elements:
        assert torch.equal(undo(element, apply(element, u, one), one), u)


def test_an_exact_solution_stays_one():
    """u = sin(pi x) sin(2 pi y) on the closed nodes i/n: mirrored, it is +-u there."""
    x = torch.arange(7) / 6
    u = (torch.sin(torch.pi * x)[:, None] * torch.sin(2 * torch.pi * x))[None, None]
    one = problem("XY", (X, Y), wall=True)
    torch.testing.assert_close(apply((X,), u, one), u, atol=1e-6, rtol=0)
    torch.testing.assert_close(apply((Y,), u, one), -u, atol=1e-6, rtol=0)


def test_input_and_solution_are_transformed_alike():
    one = problem("XY", (X, Y, SWAP), shifts=("X", "Y"))
    transform = augmentation(one, shifts=True)
    a = torch.randn(64, 1, 6, 6)
    images, doubles = transform([a, 2 * a], torch.Generator().manual_seed(0))
    assert torch.equal(2 * images, doubles)
    assert torch.equal(images.flatten(1).sort().values, a.flatten(1).sort().values)
    assert (images != a).flatten(1).any(1).float().mean() > 0.9


def test_every_element_is_drawn():
    one = problem("X", (NEGATE,))
    u = torch.randn(1, 1, 6).expand(400, 1, 6)
    (images,) = augmentation(one, shifts=False)([u], torch.Generator().manual_seed(0))
    same = (images == u).flatten(1).all(1)
    assert 150 < int(same.sum()) < 250
    assert torch.equal(images[~same][0], -u[0].flip(1))
