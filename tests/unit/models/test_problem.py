from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ups_core.data.families.base import Family, Field, Transform
from ups_core.errors import DataInvalid
from ups_core.models.problem import Problem

FAMILY = Family(
    name="f",
    title="",
    kind="grid",
    steady=False,
    space="XY",
    fields=(Field("u", "m/s"), Field("p", "Pa")),
    layouts=(),
    boundary={"X": "periodic", "Y": "dirichlet"},
    parameters=("nu", "mu"),
    conserved=("u",),
    shifts=("X",),
    symmetries=(Transform("flip", flip=("X",)), Transform("t", transpose=True)),
)
DATASET = {
    "family": "f",
    "kind": "grid",
    "steady": False,
    "space": "XY",
    "fields": [{"name": "u", "unit": "m/s"}, {"name": "p", "unit": "Pa"}],
    "inputs": [],
    "parameters": ["nu", "mu"],
    "boundary": {"X": "periodic", "Y": "dirichlet"},
    "dt": 0.5,
}
NODES = {"X": (np.arange(4) + 0.5) / 4, "Y": np.arange(8) / 8}
PARAMETERS = np.array([[0.1, 2.0], [0.2, 2.0]])


def test_reads_what_the_data_and_the_family_say():
    problem = Problem.of(DATASET, FAMILY, NODES, PARAMETERS)
    assert problem.conserved == (True, False)
    assert problem.varying == ("nu",)
    assert problem.wall == (False, True)
    assert problem.shape == (4, 8)
    assert problem.inputs == ("u", "p")
    assert [t.name for t in problem.symmetries] == ["flip"]  # 4 x 8 points cannot be transposed
    np.testing.assert_allclose(problem.spacing, (0.25, 0.125))


def test_a_code_has_the_physics_of_the_fields_but_for_ranges():
    said = replace(FAMILY, bounded=("u",))
    fields = Problem.of(DATASET, said, NODES, PARAMETERS)
    code = Problem.of({**DATASET, "latent": {"wall": False}}, said, NODES, PARAMETERS)
    assert fields.bounded == (True, False)
    assert code == replace(fields, bounded=(False, False))


def test_patches_between_walls_with_nodes_on_them_have_no_mirror_image():
    code = Problem.of({**DATASET, "latent": {"wall": True}}, FAMILY, NODES, PARAMETERS)
    assert code.symmetries == ()


def test_travels_as_json():
    problem = Problem.of(DATASET, FAMILY, NODES, PARAMETERS)
    assert Problem.from_dict(json.loads(json.dumps(problem.to_dict()))) == problem


@pytest.mark.parametrize(
    ("nodes", "wall"),
    [(np.arange(8) / 8, True), (np.linspace(0, 1, 8), False), ((np.arange(8) + 0.5) / 8, False)],
    ids=["left", "both ends", "centres"],
)
def test_wall_by_the_nodes(nodes, wall):
    assert Problem.of(DATASET, FAMILY, {**NODES, "Y": nodes}, PARAMETERS).wall[1] is wall


def test_a_mesh_has_a_box_and_no_spacing():
    mesh = replace(FAMILY, kind="mesh", box={"X": (0.0, 1.0), "Y": (0.0, 1.0)}, conserved=())
    dataset = {**DATASET, "kind": "mesh", "splits": {"train": {"shape": [5, 2, 30]}}}
    problem = Problem.of(dataset, mesh, {}, PARAMETERS)
    assert (problem.shape, problem.spacing, problem.wall) == ((30,), (), ())
    assert problem.box == ((0.0, 1.0), (0.0, 1.0))
    assert [t.name for t in problem.symmetries] == ["flip", "t"]
    oblong = replace(mesh, box={"X": (0.0, 2.0), "Y": (0.0, 1.0)})
    assert [t.name for t in Problem.of(dataset, oblong, {}, PARAMETERS).symmetries] == ["flip"]


def test_refuses_uneven_nodes():
    with pytest.raises(DataInvalid, match="equidistant"):
        Problem.of(DATASET, FAMILY, {**NODES, "X": np.array([0, 1, 3, 4.0])}, PARAMETERS)
