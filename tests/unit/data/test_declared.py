"""Problems that a Dataset declares itself: what they become, and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import math

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from ups_core.api.declaration import Declaration
from ups_core.data.cache import write_split
from ups_core.data.convert import ConvertOptions, convert_file
from ups_core.data.families import check_own, family
from ups_core.errors import DataInvalid, InvalidSpec
from ups_core.given import read
from ups_core.models.problem import Problem

LINE = {
    "space": "X",
    "fields": [{"name": "u"}],
    "layout": {"state": "u", "axes": "NTX", "coordinates": {"t": "t", "x": "x"}},
    "boundary": {"x": "periodic"},
    "parameters": ["nu"],
}
STEADY = {
    "steady": True,
    "space": "XY",
    "fields": [{"name": "p"}],
    "inputs": [{"name": "k"}],
    "layout": {"state": "p", "axes": "NXY", "input": "k", "inputAxes": "NXY", "nodes": "left"},
    "boundary": {"x": "dirichlet", "y": "dirichlet"},
}
MESH = {
    "kind": "mesh",
    "space": "XY",
    "fields": [{"name": "u"}, {"name": "v"}],
    "layout": {"state": "w", "axes": "NTMC", "coordinates": {"t": "t", "x": "places", "y": "places"}},
    "boundary": {"x": "periodic", "y": "periodic"},
    "box": {"x": [0.0, 1.0], "y": [0.0, 1.0]},
}
PARTICLES = {
    "kind": "particles",
    "space": "XY",
    "fields": [{"name": name} for name in ("vx", "vy", "x", "y", "q")],
    "positions": ["x", "y"],
    "velocities": ["vx", "vy"],
    "layout": {"state": "u", "axes": "NTMC", "coordinates": {"t": "t"}},
    "boundary": {"x": "periodic", "y": "neumann"},
    "box": {"x": [0.0, 1.0], "y": [0.0, 1.0]},
}


def at(given: dict, **changes) -> dict:
    """A copy in which ``a__b=value`` is set at a.b."""
    changed = copy.deepcopy(given)
    for path, value in changes.items():
        *parts, last = path.split("__")
        place = changed
        for part in parts:
            place = place[part]
        place[last] = value
    return changed


# Each field in an array of its own; or, with an axis C, some of them in each.
APART = at(MESH, fields=[{"name": name} for name in "uvw"], layout__state=["u", "v", "w"], layout__axes="NTM")
TOGETHER = at(APART, layout__state=["uv", "w"], layout__axes="NTMC")


@pytest.mark.parametrize(
    "good",
    [LINE, STEADY, MESH, PARTICLES, APART, TOGETHER],
    ids=["line", "steady", "mesh", "particles", "apart", "together"],
)
def test_little_need_be_said(good):
    one = family({"name": "mine", **good})
    assert (one.name, one.title, one.solver, one.simulate) == ("mine", "mine", None, None)
    assert (one.conserved, one.shifts, one.symmetries) == (None, (), ())


def test_arrays_of_the_state_are_in_recipes_as_they_were_given():
    for given, whole in ((LINE, "u"), (APART, "u+v+w"), (at(LINE, layout__state=["u"]), "u")):
        said = Declaration.model_validate(given)
        assert said.named("mine")["layout"]["state"] == given["layout"]["state"]
        assert family(said.named("mine")).layouts[0].whole == whole


def test_what_a_module_says_can_be_declared():
    everything = {
        **LINE,
        "title": "Burgers equation, u_t + u u_x = (Nu/π) u_xx",
        "fields": [{"name": "u", "label": "velocity u"}],
        "layout": {
            "state": "tensor",
            "axes": "NTX",
            "coordinates": {"x": "x-coordinate", "t": "t-coordinate"},
            "suffixes": [".hdf5", ".h5"],
        },
        "parameters": ["Nu"],
        "conserved": ["u"],
        "bounded": ["u"],
        "shifts": ["x"],
        "symmetries": [{"name": "reflection", "flip": ["x"], "sign": -1}],
        "diffusion": {"parameter": "Nu", "factor": 1 / math.pi},
        "galilean": "u",
        "reference": "Takamoto et al., PDEBench, NeurIPS 2022",
    }
    module = family("burgers1d")
    (layout,) = module.layouts
    code = {"simulate": None, "solver": None, "defaults": {}}
    layouts = (dataclasses.replace(layout, name="burgers"),)
    assert family({"name": "burgers", **everything}) == dataclasses.replace(
        module, name="burgers", layouts=layouts, **code
    )


MISTAKES = {
    "conserved names w; fields are u": at(LINE, conserved=["w"]),
    "bounded names w; fields are u": at(LINE, bounded=["w"]),
    "the vector u, w is made of neither fields nor inputs": at(MESH, vectors=[["u", "w"]]),
    "the vector p, k is made of neither": at(STEADY, vectors=[["p", "k"]]),
    "vectors names u twice": at(MESH, vectors=[["u", "u"]]),
    "fields names u twice": at(MESH, fields=[{"name": "u"}, {"name": "u"}]),
    "no parameter can be called u": at(LINE, parameters=["u", "nu"]),
    "box gives the lower end": at(MESH, box={"x": [0.0, 1.0], "y": [1.0, 0.0]}),
    "kind mesh needs a plane": at(MESH, space="X", boundary={"x": "periodic"}, box={"x": [0.0, 1.0]}),
    "a mirror along a periodic axis needs x in shifts": at(LINE, symmetries=[{"name": "m", "flip": ["x"]}]),
    "a transpose needs axes x and y with the same boundary": at(
        STEADY,
        symmetries=[{"name": "t", "transpose": True}],
        boundary={"x": "dirichlet", "y": "neumann"},
    ),
    "conserved is for transient problems": at(STEADY, conserved=["p"]),
    "elliptic is for steady problems": at(LINE, elliptic=True),
    "diffusion is for periodic boundaries": at(
        LINE, boundary={"x": "neumann"}, diffusion={"parameter": "nu"}
    ),
    "a steady problem has none": at(STEADY, layout__frameInterval=0.1),
    "layout.coordinates names y": at(LINE, layout__coordinates={"t": "t", "x": "x", "y": "y"}),
    "each of vectors needs a component along x and y": at(MESH, vectors=[["u"]]),
    "galilean names w": at(LINE, galilean="w"),
    "diffusion.parameter names D; parameters are nu": at(LINE, diffusion={"parameter": "D"}),
    "layout.constants names D; parameters are nu": at(LINE, layout__constants={"D": 1.0}),
    "shifts names x; periodic axes are none": at(LINE, shifts=["x"], boundary={"x": "neumann"}),
    "symmetries names y; axes of space are x": at(LINE, symmetries=[{"name": "m", "flip": ["y"]}]),
    "a transpose needs axes x and y": at(LINE, symmetries=[{"name": "m", "transpose": True}]),
    "boundary needs x and y, found x": at(STEADY, boundary={"x": "dirichlet"}),
    "layout.axes is NTXX; it needs each of N, T, X once": at(LINE, layout__axes="NTXX"),
    "layout.axes is NX; it needs each of N, T, X once": at(LINE, layout__axes="NX"),
    "layout.axes is NTM; it needs each of N, T, M, C once": at(MESH, layout__axes="NTM"),
    "layout.inputAxes is NX": at(STEADY, layout__inputAxes="NX"),
    "has inputs and layout.input": at(STEADY, inputs=[]),
    "go together": at(STEADY, layout={k: v for k, v in STEADY["layout"].items() if k != "inputAxes"}),
    "a transient problem needs layout.coordinates.t or layout.frameInterval": at(
        LINE, layout__coordinates={"x": "x"}
    ),
    "layout.coordinates lacks x": at(LINE, layout__coordinates={"t": "t"}),
    "layout.coordinates lacks y": at(MESH, layout__coordinates={"t": "t", "x": "x"}, layout__nodes="left"),
    "box is for kinds mesh and particles": at(LINE, box={"x": [0.0, 1.0]}),
    "conserved is for transient problems on grids": at(MESH, conserved=["u"]),
    "vorticity needs a plane": at(LINE, vorticity="u"),
    "layout.state names u twice": at(APART, layout__state=["u", "v", "u"]),
    "layout.state names 2 arrays for 3 fields; each holds one": at(APART, layout__state=["u", "v"]),
    "layout.state names 2 arrays for 1 fields": at(LINE, layout__state=["u", "v"]),
    "layout.state names 4 arrays for 3 fields; each holds at least one": at(
        APART, layout__state=["u", "v", "w", "p"], layout__axes="NTMC"
    ),
    "layout.axes is NTC; it needs each of N, T, M, C once": at(APART, layout__axes="NTC"),
    "layout.axes is NTX; it needs each of N, T, M once": at(APART, layout__axes="NTX"),
    "kind particles needs a plane": at(PARTICLES, space="XYZ", boundary=dict.fromkeys("xyz", "periodic")),
    "positions is for kind particles, which needs a field for every axis": at(PARTICLES, positions=["x"]),
    "velocities is for kind particles, and has a field for every axis": at(MESH, velocities=["u", "v"]),
    "positions names z; fields are": at(PARTICLES, positions=["x", "z"]),
    "positions, velocities and vectors name vx twice": at(PARTICLES, vectors=[["vx", "vy"]]),
    "conserved names y, which is where particles are": at(PARTICLES, conserved=["q", "y"]),
    "layout.nodes is for grids": at(PARTICLES, layout={**PARTICLES["layout"], "nodes": "left"}),
    "kind particles is for transient problems": at(PARTICLES, steady=True, inputs=[{"name": "k"}]),
    "symmetries with sign -1 turn velocities": at(PARTICLES, symmetries=[{"name": "odd", "sign": -1}]),
    "layout.coordinates names x; axes are t": at(PARTICLES, layout__coordinates={"t": "t", "x": "x"}),
    "at least 1 item": at(APART, layout__state=[]),
}


@pytest.mark.parametrize("said", MISTAKES)
def test_what_does_not_fit_together_is_refused(said):
    with pytest.raises(ValidationError) as error:
        Declaration.model_validate(MISTAKES[said])
    assert said in str(error.value)


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(InvalidSpec) as error:
        check_own({"name": "burgers1d", **LINE})
    assert error.value.details["fix"] == "set spec.family to a name of your own"


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_raw_file_is_predicted_from_whatever_its_array_is_called(tmp_path, suffix):
    u, nodes = np.random.default_rng(0).standard_normal((3, 4, 8)), np.arange(8) / 8
    file = tmp_path / f"raw{suffix}"
    if suffix == ".npz":
        np.savez(file, u=u, x=nodes, t=np.arange(4) / 4, nu=np.full(3, 0.1))
    else:
        with h5py.File(file, "w") as raw:
            raw["u"], raw["x"], raw["t"], raw["nu"] = u, nodes, np.arange(4) / 4, np.full(3, 0.1)
    dataset = {"family": {"name": "mine", **LINE}, "space": "X", "steady": False, "dt": 0.25}
    dataset |= {"fields": [{"name": "u"}], "inputs": [], "parameters": ["nu"], "boundary": {"X": "periodic"}}
    problem = Problem.of(dataset, family(dataset["family"]), {"X": nodes}, np.full((2, 1), 0.1))
    found = read(file, problem)
    assert np.array_equal(found.values, u[:, :1])
    assert np.array_equal(found.parameters["nu"], np.full(3, 0.1))


def test_times_that_no_file_holds(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, 4, 8)).astype(np.float32)
    np.savez(tmp_path / "raw.npz", u=values, nu=np.array([0.1, 0.2, 0.3]))
    layout = {"state": "u", "axes": "NTX", "nodes": "centre", "frameInterval": 0.25}
    mine = family({"name": "mine", **at(LINE, layout=layout)})
    options = ConvertOptions(stride={"t": 2, "x": 1})
    entry, _ = convert_file(tmp_path / "raw.npz", "raw.npz", mine, options, tmp_path, lambda *_: None)
    chosen = [{"file": entry["name"], "indices": [0, 2]}]
    facts = write_split(tmp_path, {"files": [entry]}, chosen, mine, tmp_path / "train")
    assert facts["dt"] == 0.5
    assert np.array_equal(np.load(tmp_path / "train" / "x.npy"), (np.arange(8) + 0.5) / 8)
    assert np.array_equal(np.load(tmp_path / "train" / "u.npy")[:, :, 0], values[[0, 2], ::2])
    assert np.load(tmp_path / "train" / "parameters.npy").tolist() == [[0.1], [0.3]]


def test_a_published_declaration_of_another_version_is_told_as_what_it_is():
    old = {**LINE, "boundary": {"x": "reflecting"}}
    with pytest.raises(
        DataInvalid, match=r"declaration of mine\n(.|\n)*boundary.x: (.|\n)*fix: +make its Dataset"
    ):
        family({"name": "mine", **old})
