"""Self-propelled particles in the periodic unit square that align with their neighbours."""

from __future__ import annotations

from ups_core.data.families.base import Family, Field, RawLayout, Transform, simulate_in, solver_in

DEFAULTS = {"speed": 0.2, "radius": 0.15, "coupling": 2.0, "noise": 0.0, "particles": 256, "frames": 41}

FAMILY = Family(
    name="vicsek",
    title="Vicsek model in continuous time, x_i' = s e(θ_i), θ_i' = g <sin(θ_j - θ_i)>_j",
    kind="particles",
    steady=False,
    space="XY",
    fields=(
        Field("x", label="place x"),
        Field("y", label="place y"),
        Field("vx", label="velocity vx"),
        Field("vy", label="velocity vy"),
    ),
    positions=("x", "y"),
    velocities=("vx", "vy"),
    layouts=(
        RawLayout(
            name="particles",
            suffixes=(".hdf5", ".h5", ".npz"),
            state=("position", "velocity"),
            state_axes="NTMC",
            coordinates={"T": "t"},
        ),
    ),
    boundary={"X": "periodic", "Y": "periodic"},
    box={"X": (0.0, 1.0), "Y": (0.0, 1.0)},
    parameters=("speed", "radius", "coupling", "noise"),
    defaults=DEFAULTS,
    conserved=(),
    shifts=("X", "Y"),
    symmetries=(Transform("mirror", flip=("X",)), Transform("diagonal", transpose=True)),
    simulate=simulate_in("ups_core.simulate.vicsek", "vicsek", DEFAULTS),
    solver=solver_in("ups_core.simulate.vicsek"),
    reference="Vicsek et al., Phys. Rev. Lett. 75 (1995); Peruani et al., Eur. Phys. J. ST 157 (2008)",
)
