"""Advection and diffusion in the periodic unit square, at scattered points: each sample has its own."""

from __future__ import annotations

from ups_core.data.families.base import Family, Field, RawLayout, simulate_in, solver_in

DEFAULTS = {"vx": 0.5, "vy": 0.25, "kappa": 2e-3, "points": 512, "frames": 21}

FAMILY = Family(
    name="advection_mesh2d",
    title="Advection-diffusion equation at scattered points, u_t + v·∇u = kappa Δu",
    kind="mesh",
    steady=False,
    space="XY",
    fields=(Field("u", label="concentration u"),),
    layouts=(
        RawLayout(
            name="points",
            suffixes=(".hdf5", ".h5", ".npz"),
            state="u",
            state_axes="NTM",
            coordinates={"X": "places", "Y": "places", "T": "t"},
        ),
    ),
    boundary={"X": "periodic", "Y": "periodic"},
    box={"X": (0.0, 1.0), "Y": (0.0, 1.0)},
    parameters=("vx", "vy", "kappa"),
    defaults=DEFAULTS,
    shifts=("X", "Y"),
    simulate=simulate_in("ups_core.simulate.advection_mesh", "advection_mesh2d", DEFAULTS),
    solver=solver_in("ups_core.simulate.advection_mesh"),
    reference="Zienkiewicz, Taylor & Zhu, The Finite Element Method (the classical peer)",
)
