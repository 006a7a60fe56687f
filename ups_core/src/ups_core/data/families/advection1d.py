"""Linear advection in one periodic dimension: the starting state travels unchanged at the speed beta."""

from __future__ import annotations

from ups_core.data.families.base import Family, Field, RawLayout, Transform, simulate_in, solver_in

DEFAULTS = {"beta": 0.1, "points": 1024, "frames": 201}

FAMILY = Family(
    name="advection1d",
    title="Advection equation, u_t + beta u_x = 0",
    kind="grid",
    steady=False,
    space="X",
    fields=(Field("u", label="concentration u"),),
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
    parameters=("beta",),
    defaults=DEFAULTS,
    conserved=("u",),
    bounded=("u",),
    shifts=("X",),
    linear=True,
    # The reflection of space would need beta -> -beta as well.
    symmetries=(Transform("sign", sign=-1),),
    simulate=simulate_in("ups_core.simulate.advection", "advection1d", DEFAULTS),
    solver=solver_in("ups_core.simulate.advection"),
    reference="Takamoto et al., PDEBench, NeurIPS 2022",
)
