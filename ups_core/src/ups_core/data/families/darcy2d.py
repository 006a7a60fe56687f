"""Steady Darcy flow through a random two-valued medium in the unit square, pressure 0 on its boundary.

Two layouts: PDEBench's HDF5 files, and the dictionaries {x, y} of the Fourier neural operator's data, where
x is the medium (as a code, 0 or 1, or as the coefficient) and y the solution. The latter's node i lies at
i/n: row and column 0 are the boundary. They state no source term; theirs is 1 in the units of y.
"""

from __future__ import annotations

from ups_core.data.families.base import Family, Field, RawLayout, Transform, simulate_in, solver_in

DEFAULTS = {"beta": 1.0, "size": 128}

FAMILY = Family(
    name="darcy2d",
    title="Darcy flow, -∇·(a ∇u) = beta",
    kind="grid",
    steady=True,
    space="XY",
    fields=(Field("u", label="pressure u"),),
    inputs=(Field("a", label="permeability a"),),
    layouts=(
        RawLayout(
            name="pdebench",
            suffixes=(".hdf5", ".h5"),
            state="tensor",
            state_axes="NCXY",
            input="nu",
            input_axes="NXY",
            coordinates={"X": "x-coordinate", "Y": "y-coordinate"},
        ),
        RawLayout(
            name="neuraloperator",
            suffixes=(".pt", ".npz"),
            state="y",
            state_axes="NXY",
            input="x",
            input_axes="NXY",
            nodes="left",
            constants={"beta": 1.0},
        ),
    ),
    boundary={"X": "dirichlet", "Y": "dirichlet"},
    parameters=("beta",),
    defaults=DEFAULTS,
    elliptic=True,
    symmetries=(
        Transform("flip-x", flip=("X",)),
        Transform("flip-y", flip=("Y",)),
        Transform("transpose", transpose=True),
    ),
    simulate=simulate_in("ups_core.simulate.darcy", "darcy2d", DEFAULTS),
    solver=solver_in("ups_core.simulate.darcy"),
    reference="Li et al., Fourier neural operator, ICLR 2021; Takamoto et al., PDEBench, NeurIPS 2022",
)
