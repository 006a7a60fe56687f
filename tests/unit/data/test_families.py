from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ups_core.data.families import FAMILIES, family
from ups_core.errors import InvalidSpec


def test_the_folder_is_the_registry() -> None:
    folder = Path(sys.modules["ups_core.data.families"].__path__[0])
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "base", "declared"}
    assert set(FAMILIES) == modules
    assert {"burgers1d", "advection1d", "darcy2d"} <= set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_declarations_are_consistent(name: str) -> None:
    one = family(name)
    names = {field.name for field in one.fields}
    assert set(one.conserved or ()) <= names
    assert one.conserved is not None or one.steady or one.kind != "grid"  # ours leave nothing to be seen
    assert set(one.boundary) == set(one.space)
    assert {axis for axis in one.shifts if one.boundary[axis] != "periodic"} == set()
    assert bool(one.inputs) == one.steady
    for layout in one.layouts:
        assert layout.state_axes[0] == "N"
        assert ("T" in layout.state_axes) != one.steady
        assert set(one.axes) <= set(layout.state_axes)
        assert bool(layout.coordinates) != bool(layout.nodes)
        assert set(layout.constants) <= set(one.parameters)
    assert {parameter.lower() for parameter in one.parameters} <= set(one.defaults)
    assert set(one.box) == (set() if one.kind == "grid" else set(one.space))
    assert one.kind == "grid" or (one.space, one.galilean, one.vorticity) == ("XY", None, None)
    assert one.kind != "mesh" or one.conserved is None
    assert len(one.positions) == (len(one.space) if one.kind == "particles" else 0)
    assert len(one.velocities) in (0, len(one.positions))
    assert {*one.positions, *one.velocities} <= names


def test_unknown_family_names_the_nearest() -> None:
    with pytest.raises(InvalidSpec) as error:
        family("burger1d")
    assert error.value.details["fix"] == "set spec.family to burgers1d"
    assert "darcy2d" in error.value.details["expected"]


def test_params_are_completed_and_unknown_ones_refused() -> None:
    assert family("advection1d").simulation_params({"beta": 0.1}) == {
        "beta": 0.1,
        "points": 1024,
        "frames": 201,
    }
    with pytest.raises(InvalidSpec) as error:
        family("burgers1d").simulation_params({"Nu": 0.1})
    assert error.value.details["fix"] == "rename it to nu"


def test_registry_imports_nothing_heavy() -> None:
    code = (
        "import sys, ups_core.data.families.base as _, ups_core.data.families;"
        "print([m for m in ('torch', 'h5py', 'scipy', 'zarr') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["burgers1d", "advection1d"])
def test_symmetries_and_shifts_commute_with_the_solver(name: str) -> None:
    one, rng = family(name), np.random.default_rng(0)
    x = (np.arange(48) + 0.5) / 48
    waves = np.sin(2 * np.pi * (x + rng.random((2, 1)))) + 0.3 * np.cos(4 * np.pi * (x + rng.random((2, 1))))
    u0 = 0.5 + waves[:, None]  # (N, C, X)

    def solve(u0: np.ndarray) -> np.ndarray:
        assert one.solver is not None
        parameters = {parameter: np.full(2, 0.3) for parameter in one.parameters}
        return one.solver(u0, coordinates={"X": x, "T": np.array([0.0, 0.1, 0.3])}, parameters=parameters)

    u = solve(u0)
    for transform in one.symmetries:
        axes = [one.space.index(axis) - len(one.space) for axis in transform.flip]
        turned = solve(transform.sign * np.flip(u0, tuple(axes)))
        np.testing.assert_allclose(turned, transform.sign * np.flip(u, tuple(axes)), atol=1e-10)
    np.testing.assert_allclose(solve(np.roll(u0, 5, -1)), np.roll(u, 5, -1), atol=1e-10)
    np.testing.assert_allclose(u.mean(-1), np.broadcast_to(u0.mean(-1)[:, None], u.shape[:-1]), atol=1e-12)


def test_darcy_symmetries_commute_with_the_solver() -> None:
    one, a = family("darcy2d"), 0.1 + np.random.default_rng(0).random((1, 1, 12, 12))
    x = (np.arange(12) + 0.5) / 12

    def solve(a: np.ndarray) -> np.ndarray:
        assert one.solver is not None
        return one.solver(a, coordinates={"X": x, "Y": x}, parameters={"beta": np.ones(1)}, input=a)

    u = solve(a)
    for transform in one.symmetries:
        axes = [one.space.index(axis) - len(one.space) for axis in transform.flip]

        def turn(v: np.ndarray, axes: list[int] = axes, transpose: bool = transform.transpose) -> np.ndarray:
            return np.flip(v.swapaxes(-1, -2) if transpose else v, tuple(axes))

        np.testing.assert_allclose(solve(turn(a)), turn(u), rtol=1e-9)
