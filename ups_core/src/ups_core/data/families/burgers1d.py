"""The viscous Burgers equation in one periodic dimension: waves that steepen into fronts and decay."""

from __future__ import annotations

import math

from ups_core.data.families.base import Family, Field, RawLayout, Transform, simulate_in, solver_in

DEFAULTS = {"nu": 0.01, "points": 1024, "frames": 201, "observationNoise": 0.0}

FAMILY = Family(
    name="burgers1d",
    title="Burgers equation, u_t + u u_x = (Nu/π) u_xx",
    kind="grid",
    steady=False,
    space="X",
    fields=(Field("u", label="velocity u"),),
    layouts=(
        RawLayout(
            name="pdebench",
            suffixes=(".hdf5", ".h5"),
            state="tensor",
            state_axes="NTX",
            coordinates={"X": "x-coordinate", "T": "t-coordinate"},
        ),
    ),
    boundary={"X": "periodic"},
    parameters=("Nu",),
    defaults=DEFAULTS,
    conserved=("u",),
    bounded=("u",),
    diffusion=("Nu", 1 / math.pi),
    shifts=("X",),
    galilean="u",
    symmetries=(Transform("reflection", flip=("X",), sign=-1),),
    simulate=simulate_in("ups_core.simulate.burgers", "burgers1d", DEFAULTS),
    solver=solver_in("ups_core.simulate.burgers"),
    reference="Takamoto et al., PDEBench, NeurIPS 2022",
)
