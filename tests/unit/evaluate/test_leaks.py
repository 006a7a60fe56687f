"""Copies of what was learned from, in every guise that a family allows, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ups_core.data.families import family as family_of
from ups_core.errors import DataInvalid
from ups_core.evaluate import leaks
from ups_core.evaluate.split import Split
from ups_core.models.problem import Problem
from ups_core.simulate.waves import draw_waves

X = (np.arange(32) + 0.5) / 32


def problem(name: str, points: int = 32) -> Problem:
    family = family_of(name)
    described = {
        "family": name,
        "kind": "grid",
        "steady": family.steady,
        "space": family.space,
        "fields": [{"name": f.name} for f in family.fields],
        "inputs": [{"name": f.name} for f in family.inputs],
        "parameters": list(family.parameters),
        "boundary": dict(family.boundary),
        "dt": None if family.steady else 0.1,
    }
    nodes = (np.arange(points) + 0.5) / points if not family.steady else np.arange(points) / points
    return Problem.of(
        described, family, dict.fromkeys(family.space, nodes), np.ones((1, len(family.parameters)))
    )


def split_of(name: str, states: np.ndarray, *, steady: bool = False) -> Split:
    n = states.shape[-1]
    nodes = np.arange(n) / n if steady else (np.arange(n) + 0.5) / n
    coordinates = dict(zip("XY", [nodes] * (states.ndim - 2), strict=False))
    sources = tuple((f"{name}.h5", i) for i in range(len(states)))
    u = states.astype(np.float32)
    return Split(
        name, u if steady else u[:, None], u if steady else None, np.ones((len(u), 1)), ("Nu",),
        coordinates if steady else {**coordinates, "T": np.zeros(1)}, sources,
    )  # fmt: skip


def scale_of(states: np.ndarray) -> dict[str, np.ndarray]:
    return {"mean": np.array([states.mean()]), "std": np.array([states.std()])}


def waves(count: int, seed: int) -> np.ndarray:
    return np.stack([draw_waves(seed, i)(X) for i in range(count)])[:, None]


@pytest.mark.parametrize(
    ("family", "guise", "caught"),
    [
        ("burgers1d", lambda u: u, True),
        ("burgers1d", lambda u: u * (1 + 1e-6), True),
        ("burgers1d", lambda u: np.roll(u, 11, axis=-1), True),
        ("burgers1d", lambda u: -np.roll(u[..., ::-1], 5, axis=-1), True),
        ("burgers1d", lambda u: -u, False),  # no symmetry of its own
        ("burgers1d", lambda u: u[..., ::-1], False),
        ("burgers1d", lambda u: u * 1.01, False),
        ("burgers1d", lambda u: u + 0.5, False),  # a moving observer is no disguise
        ("advection1d", lambda u: -np.roll(u, 3, axis=-1), True),
        ("advection1d", lambda u: u[..., ::-1], False),
    ],
)
def test_a_copy_is_found_in_every_guise_of_the_family(family: str, guise, caught: bool) -> None:
    train, test = waves(20, seed=1), waves(6, seed=2)
    test[4] = guise(train[13])
    found = leaks.find(split_of("test", test), split_of("train", train), problem(family), scale_of(train))
    assert [(t.index, t.other) for t in found] == ([(4, 13)] if caught else [])


@pytest.mark.parametrize("guise", [lambda u: np.roll(u, (3, 7), (-2, -1)), lambda u: -np.swapaxes(u, -1, -2)])
def test_two_dimensions_and_a_test_set_on_a_finer_grid(guise) -> None:
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(9, 1, 8, 8)), rng.normal(size=(3, 1, 16, 16))
    test[1] = np.kron(guise(train[5]), [[1.0, 0.3], [0.7, 2.0]])  # every other node is the state's
    known, fine = split_of("train", train), split_of("test", test)
    nodes = {axis: np.arange(8) / 8 for axis in "XY"}, {axis: np.arange(16) / 16 for axis in "XY"}
    known = replace(known, coordinates={**known.coordinates, **nodes[0]})
    fine = replace(fine, coordinates={**fine.coordinates, **nodes[1]})
    found = leaks.find(fine, known, problem("navier_stokes2d", 8), scale_of(train))
    assert [(t.index, t.other) for t in found] == [(1, 5)]
    centres = split_of("test", test)  # whose nodes are not those of the coarse grid
    assert leaks.find(centres, split_of("train", train), problem("navier_stokes2d", 8), scale_of(train)) == []


@pytest.mark.parametrize("known_on_wall", [True, False])
def test_inputs_of_a_steady_problem_are_compared_between_the_walls(known_on_wall: bool) -> None:
    rng = np.random.default_rng(0)
    train, test = rng.choice([3.0, 12.0], size=(2, 7, 1, 8, 8))
    mirrored = train[2].copy()
    mirrored[:, 1:] = mirrored[:, :0:-1]
    if not known_on_wall:  # node 0 is that of the opposite wall, where the original has none
        mirrored[:, 0] = rng.choice([3.0, 12.0], size=(1, 8))
    test[6] = mirrored
    known, new = split_of("train", train, steady=True), split_of("test", test, steady=True)
    found = leaks.find(new, known, problem("darcy2d", 8), scale_of(train))
    assert [(t.index, t.other) for t in found] == [(6, 2)]


def test_blocks_and_parts_of_the_features_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = waves(40, seed=1), waves(30, seed=2)
    test[::7] = np.roll(train[: len(test[::7])], 9, axis=-1)
    given = split_of("test", test), split_of("train", train), problem("burgers1d"), scale_of(train)
    whole = leaks.find(*given)
    assert [t.index for t in whole] == [0, 7, 14, 21, 28]
    monkeypatch.setattr(leaks, "BLOCK_VALUES", 100)
    monkeypatch.setattr(leaks, "FEATURES", 3)
    assert leaks.find(*given) == whole


def test_aligned_distance_is_the_smallest_over_all_shifts() -> None:
    u, v = np.random.default_rng(0).normal(size=(2, 2, 9))
    literal = min(np.sqrt(np.sum((np.roll(u, s, axis=-1) - v) ** 2)) for s in range(9))
    assert leaks.aligned_distance(u, v, (1,)) == pytest.approx(literal, rel=1e-12)


def test_samples_are_named() -> None:
    train, test = waves(5, seed=1), waves(3, seed=2)
    test[1] = train[4]
    with pytest.raises(DataInvalid) as refused:
        leaks.check(split_of("test", test), [split_of("train", train)], problem("burgers1d"), scale_of(train))
    assert "test 1 (test.h5 1) is train 4 (train.h5 4)" in str(refused.value)


def test_independent_draws_are_no_copies() -> None:
    train, test = waves(1000, seed=1), waves(300, seed=2)
    assert (
        leaks.find(split_of("test", test), split_of("train", train), problem("burgers1d"), scale_of(train))
        == []
    )
