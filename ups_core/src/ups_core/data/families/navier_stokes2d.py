"""Two-dimensional incompressible flow on a periodic square: eddies that merge and decay."""

from __future__ import annotations

from ups_core.data.families.base import Family, Field, RawLayout, Transform, simulate_in, solver_in

DEFAULTS = {"nu": 5e-4, "size": 64, "frames": 41}

FAMILY = Family(
    name="navier_stokes2d",
    title="Navier-Stokes equations, ω_t + (u·∇) ω = Nu Δω",
    kind="grid",
    steady=False,
    space="XY",
    fields=(Field("w", label="vorticity ω"),),
    layouts=(
        RawLayout(
            name="pdebench",
            suffixes=(".hdf5", ".h5"),
            state="tensor",
            state_axes="NTXY",
            coordinates={"X": "x-coordinate", "Y": "y-coordinate", "T": "t-coordinate"},
        ),
    ),
    boundary={"X": "periodic", "Y": "periodic"},
    parameters=("Nu",),
    defaults=DEFAULTS,
    conserved=("w",),
    bounded=("w",),
    vorticity="w",
    diffusion=("Nu", 1.0),
    shifts=("X", "Y"),
    # Vorticity is a pseudoscalar: a mirror turns every eddy around.
    symmetries=(
        Transform("flip-x", flip=("X",), sign=-1),
        Transform("transpose", transpose=True, sign=-1),
    ),
    simulate=simulate_in("ups_core.simulate.navier_stokes", "navier_stokes2d", DEFAULTS),
    solver=solver_in("ups_core.simulate.navier_stokes"),
    reference="McWilliams, J. Fluid Mech. 146, 1984; Li et al., Fourier neural operator, ICLR 2021",
)
