"""The plan: its steps, and which edit changes which key."""

from __future__ import annotations

from typing import Any

import pytest

from ups_core.api import Dataset, TrainingRun
from ups_core.api.load import parse
from ups_core.api.templates import template_text
from ups_core.errors import InvalidSpec
from ups_core.steps import STEPS
from ups_core.steps.resolve import dealt, with_keys
from ups_workflows.plan import Plan, RegisteredDataset, plan


def resources(*overrides: str) -> tuple[TrainingRun, Dataset]:
    loaded, findings = parse(template_text("burgers1d"), "quickstart.yaml", overrides)
    assert findings == []
    return next(iter(loaded.runs.values())), next(iter(loaded.datasets.values()))


def keys_of(the_plan: Plan) -> dict[str, str | None]:
    keyed = with_keys(dealt([step.to_dict() for step in the_plan.steps]), {}, {})
    return {name: step["key"] for name, step in keyed.items()}


BASE = keys_of(plan(*resources()))
ALL = {name for name, key in BASE.items() if key}
LEARNED = {"train-operator", "evaluate", "analyze"}

#: An edit, and the steps whose keys it changes.
EDITS = [
    ("dataset.spec.source.simulate.params.nu=0.02", ALL),
    ("dataset.spec.source.simulate.seed=1", ALL),
    ("dataset.spec.convert.stride.x=4", ALL - {"simulate"}),
    ("dataset.spec.seed=1", ALL - {"simulate", "convert"}),
    ("dataset.spec.splits.val=11", ALL - {"simulate", "convert"}),
    ("spec.stages.operator.config.lr=0.0005", LEARNED),
    ("spec.seed=1", LEARNED),
    ("spec.evaluation.rollout.steps=20", {"evaluate", "analyze"}),
    ("spec.analysis.samples=1", {"analyze"}),
    # A number of another spelling, a default written out, and what changes no result:
    ("spec.stages.operator.config.steps=1500", set()),
    ("spec.stages.operator.config.batchSize=32", set()),
    ("spec.stages.operator.config.architecture=gconv", set()),
    ("spec.evaluation.gates=[{metric: rollout.nrmse, max: 1}]", set()),
    ("spec.threads=2", set()),
    ("spec.budget.usd=10", set()),
    ("spec.tracking.wandb.mode=offline", set()),
    ("spec.stages.operator.checkpoint.intervalSeconds=5", set()),
    ("spec.stages.operator.timeoutSeconds=900", set()),
    ("spec.artifacts.store=s3://bucket/x", set()),
    ("spec.codeRevision=abc", set()),
    ("dataset.spec.version=v2", set()),
]


@pytest.mark.parametrize(("edit", "changed"), EDITS, ids=[edit for edit, _ in EDITS])
def test_an_edit_changes_the_keys_of_what_reads_it(edit, changed):
    run, dataset = resources(edit) if "artifacts" not in edit else resources(edit, f"dataset.{edit}")
    keys = keys_of(plan(run, dataset))
    assert {name for name in ALL if keys[name] != BASE[name]} == changed


DECLARED = """\
apiVersion: ups.dev/v1alpha1
kind: Dataset
metadata: {name: demo}
spec:
  family: mine
  declaration:
    space: X
    fields: [{name: u}]
    layout: {state: u, axes: NTX, nodes: left, frameInterval: 0.1}
    boundary: {x: periodic}
  source: {simulate: {samples: 8}}
"""


@pytest.mark.parametrize(
    ("edit", "reconverts"),
    [
        ("declaration.layout.frameInterval=0.2", True),
        ("declaration.conserved=[u]", True),  # with a stride, the converter keeps the means
        ("declaration.conserved=[]", False),  # which is what the converter keeps where nothing is said
        ("family=yours", True),
        ("declaration.shifts=[x]", False),
        ("declaration.linear=true", False),
        ("declaration.title=Mine", False),
        ("declaration.fields=[{name: u, unit: m}]", False),
    ],
)
def test_what_is_known_of_an_equation_is_not_in_the_key_of_its_arrays(edit, reconverts):
    def recipes(*overrides: str) -> dict[str, Any]:
        loaded, findings = parse(DECLARED, "mine.yaml", overrides)
        assert findings == []
        spec = loaded.datasets["demo"].spec
        return {"convert": spec.of_arrays, "validate": spec.described}

    before, after = recipes(), recipes(f"dataset.spec.{edit}")
    assert (before["convert"] != after["convert"]) == reconverts
    assert before["validate"] != after["validate"]


def test_comments_and_names_change_no_key():
    text = "# another comment\n" + template_text("burgers1d").replace("burgers-demo", "other")
    loaded, findings = parse(text, "x.yaml")
    assert findings == []
    assert keys_of(plan(loaded.runs["other"], loaded.datasets["other"])) == BASE


def test_steps_come_after_what_they_take():
    run, dataset = resources("spec.evaluation.seeds=3")
    seen: set[str] = set()
    for step in plan(run, dataset).steps:
        assert set(step.inputs.values()) <= seen
        assert step.step in STEPS
        seen.add(step.name)


def test_a_codec_comes_before_what_is_trained_on_its_latents():
    run, dataset = resources(
        "spec.stages=[{name: codec, config: {steps: 3}}, {name: operator, config: {steps: 3}}]"
    )
    steps = {step.name: step for step in plan(run, dataset).steps}
    assert steps["encode"].inputs == {"data": "cache", "model": "train-codec"}
    assert steps["train-operator"].inputs == {"data": "cache", "model": "train-codec", "latents": "encode"}
    assert steps["evaluate"].inputs["model"] == "train-operator"


def test_seeds_make_chains_of_their_own():
    run, dataset = resources("spec.evaluation.seeds=2")
    steps = {step.name: step for step in plan(run, dataset).steps}
    assert [steps[n].recipe["seed"] for n in ("train-operator", "train-operator-seed1")] == [0, 1]
    assert steps["evaluate-seed1"].inputs["model"] == "train-operator-seed1"
    # The first chain's keys are those of a run with one seed: adding seeds repeats no work.
    assert {n: k for n, k in keys_of(plan(run, dataset)).items() if n in BASE} == BASE


@pytest.mark.parametrize(
    ("limit", "seconds", "rivals"),
    [("cpuBudgetSeconds: 90", 90.0, set()), ("steps: 10", None, {"train-operator"})],
)
def test_the_trained_peer_has_the_cpu_seconds_of_what_it_stands_beside(limit, seconds, rivals):
    run, dataset = resources(
        "spec.evaluation.peers=[fno]", f"spec.stages.operator.config={{architecture: conv, {limit}}}"
    )
    steps = {step.name: step for step in plan(run, dataset).steps}
    peer = steps["train-fno"]
    config = peer.recipe["stages"]["operator"]["config"]
    assert config["architecture"]["name"] == "fno"
    assert config.get("cpuBudgetSeconds") == seconds
    assert set(peer.inputs.values()) == {"cache"} | rivals
    assert steps["evaluate"].inputs["fno"] == "train-fno"


@pytest.mark.parametrize("limit", ["cpuBudgetSeconds: 90", "steps: 10"])
def test_each_seed_has_a_trained_peer_of_its_own(limit: str):
    config = f"spec.stages.operator.config={{architecture: conv, {limit}}}"
    alone, run = (
        plan(*resources("spec.evaluation.peers=[fno]", config, f"spec.evaluation.seeds={seeds}"))
        for seeds in (1, 3)
    )
    steps = {step.name: step for step in run.steps}
    for nth, suffix in enumerate(("", "-seed1", "-seed2")):
        peer = steps[f"train-fno{suffix}"]
        assert peer.recipe["seed"] == steps[f"train-operator{suffix}"].recipe["seed"] == nth
        assert steps[f"evaluate{suffix}"].inputs["fno"] == peer.name
        # For as long as the stages of its own seed took, where that is not known before.
        rivals = {f"train-operator{suffix}"} if "steps" in limit else set()
        assert set(peer.inputs.values()) == {"cache"} | rivals
    keys = keys_of(run)
    assert len({keys[f"train-fno{suffix}"] for suffix in ("", "-seed1", "-seed2")}) == 3
    assert {name: keys[name] for name in keys_of(alone)} == keys_of(alone)


def test_shards_are_steps_of_their_own():
    run, dataset = resources("dataset.spec.source.simulate.shards=3")
    steps = {step["name"]: step for step in dealt([step.to_dict() for step in plan(run, dataset).steps])}
    shards = ["simulate-0", "simulate-1", "simulate-2"]
    assert [name for name, step in steps.items() if step["group"] == "simulate"] == shards
    assert steps["convert"]["inputs"] == {f"raw-{i}": f"simulate-{i}" for i in range(3)}


def test_a_registered_dataset_gives_the_same_keys_as_its_plan():
    run, _ = resources()
    entry = RegisteredDataset(
        "burgers1d", f"objects/convert/{BASE['convert']}", f"objects/validate/{BASE['validate']}"
    )
    keys = keys_of(plan(run, entry))
    assert keys == {name: BASE[name] for name in keys}
    assert "simulate" not in keys


def test_the_plan_refuses_a_config_that_is_not_valid():
    run, dataset = resources()
    stage = run.spec.stages[0].model_copy(update={"config": {"lr": 1.0}})
    spec = run.spec.model_copy(update={"stages": [stage]})
    with pytest.raises(InvalidSpec, match="config"):
        plan(run.model_copy(update={"spec": spec}), dataset)


CHAIN = (
    "["
    + ", ".join(
        f"{{name: {n}, config: {{steps: 3}}}}" for n in ("operator", "diffusion", "distill", "search")
    )
    + "]"
)


def test_each_stage_takes_the_object_of_the_one_before():
    run, dataset = resources(f"spec.stages={CHAIN}")
    steps = {step.name: step for step in plan(run, dataset).steps}
    assert steps["train-operator"].inputs == {"data": "cache"}
    assert steps["train-diffusion"].inputs == {"data": "cache", "model": "train-operator"}
    assert steps["train-distill"].inputs == {"data": "cache", "model": "train-diffusion"}
    assert steps["train-search"].inputs == {"data": "cache", "model": "train-distill"}
    assert steps["evaluate"].inputs["model"] == steps["analyze"].inputs["model"] == "train-search"
    config = steps["train-diffusion"].recipe["stages"]["diffusion"]["config"]
    assert config["architecture"]["name"] == "gconv"


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ("[{name: diffusion, config: {steps: 3}}]", "diffusion builds on stage operator"),
        (
            "[{name: operator, config: {steps: 3}}, {name: distill, config: {steps: 3}}]",
            "distill builds on stage diffusion",
        ),
        (
            "[{name: operator, config: {steps: 3}}, {name: search, config: {steps: 3}}]",
            "search builds on stage diffusion",
        ),
        (
            "[{name: operator, config: {steps: 3}}, {name: codec, config: {steps: 3}}]",
            "stages run in the order codec, operator",
        ),
        ("[{name: codec, config: {steps: 3}}]", "needs the stage operator"),
    ],
)
def test_stages_that_make_no_surrogate(stages, words):
    _, findings = parse(template_text("burgers1d"), "quickstart.yaml", (f"spec.stages={stages}",))
    assert any(words in finding.what for finding in findings)


@pytest.mark.parametrize(
    ("template", "stage"),
    [("burgers1d", "steady-prior"), ("darcy2d", "diffusion"), ("darcy2d", "codec")],
)
def test_a_stage_of_the_other_kind_of_problem(template, stage):
    names = ("codec", "operator") if stage == "codec" else ("operator", stage)
    stages = ", ".join(f"{{name: {name}, config: {{steps: 3}}}}" for name in names)
    loaded, findings = parse(template_text(template), "x.yaml", (f"spec.stages=[{stages}]",))
    assert findings == []
    with pytest.raises(InvalidSpec, match=f"stage {stage} is for"):
        plan(next(iter(loaded.runs.values())), next(iter(loaded.datasets.values())))


@pytest.mark.parametrize(
    ("family", "override", "said"),
    [
        (
            "advection_mesh2d",
            "spec.stages.operator.config.architecture=unet",
            "unet is not for scattered points",
        ),
        ("advection_mesh2d", "spec.stages.operator.config.loss=h1", "loss h1 needs a grid"),
        ("advection_mesh2d", "spec.evaluation.peers=[persistence, fno]", "the peer fno needs a grid"),
        (
            "advection_mesh2d",
            "spec.stages=[{name: operator, config: {steps: 1}}, {name: diffusion, config: {steps: 1}}]",
            "stage diffusion needs a grid",
        ),
        ("burgers1d", "spec.stages.operator.config.architecture=points", "points is not for a grid"),
    ],
)
def test_what_needs_a_grid_is_refused_without_one(family, override, said):
    run, _ = resources("spec.stages.operator.config.architecture=default", override)
    entry = RegisteredDataset(family, f"objects/convert/{'a' * 64}", f"objects/validate/{'b' * 64}")
    with pytest.raises(InvalidSpec, match=said):
        plan(run, entry)


@pytest.mark.parametrize(
    "architecture", ["{name: gconv, averages: true}", "{name: conv, characteristics: true}"]
)
def test_steps_of_several_frames_are_refused_where_frames_go_one_by_one(architecture):
    entry = RegisteredDataset("burgers1d", f"objects/convert/{'a' * 64}", f"objects/validate/{'b' * 64}")
    config = f"{{steps: 1, leads: [1, 2], architecture: {architecture}}}"
    run, _ = resources(f"spec.stages=[{{name: operator, config: {config}}}]")
    with pytest.raises(InvalidSpec, match="these go frame by frame"):
        plan(run, entry)


def test_what_a_family_declares_linear_is_a_multiplier_unless_it_is_coded():
    entry = RegisteredDataset("advection1d", f"objects/convert/{'a' * 64}", f"objects/validate/{'b' * 64}")
    for codec, name in (("", "multiplier"), ("{name: codec, config: {steps: 1}}, ", "gconv")):
        run, _ = resources(f"spec.stages=[{codec}{{name: operator, config: {{steps: 1}}}}]")
        operator = plan(run, entry)["train-operator"].recipe["stages"]["operator"]
        assert operator["config"]["architecture"]["name"] == name


@pytest.mark.parametrize(
    ("family", "codec"), [("burgers1d", ""), ("advection1d", "{name: codec, config: {steps: 1}}, ")]
)
def test_a_multiplier_of_what_is_not_linear_is_refused(family, codec):
    entry = RegisteredDataset(family, f"objects/convert/{'a' * 64}", f"objects/validate/{'b' * 64}")
    operator = "{name: operator, config: {steps: 1, architecture: multiplier}}"
    run, _ = resources(f"spec.stages=[{codec}{operator}]")
    with pytest.raises(InvalidSpec, match="multiplier is for states"):
        plan(run, entry)


def test_averages_of_averages_are_refused():
    operator = "{name: operator, config: {steps: 1, architecture: {name: gconv, averages: true}}}"
    run, data = resources(f"spec.stages=[{{name: codec, config: {{steps: 1}}}}, {operator}]")
    with pytest.raises(InvalidSpec, match="codes are averages already"):
        plan(run, data)


def test_the_default_architecture_of_a_mesh_is_points():
    run, _ = resources("spec.stages.operator.config.architecture=default")
    entry = RegisteredDataset(
        "advection_mesh2d", f"objects/convert/{'a' * 64}", f"objects/validate/{'b' * 64}"
    )
    config = plan(run, entry)["train-operator"].recipe["stages"]["operator"]["config"]
    assert config["architecture"]["name"] == "points"
    assert config["loss"] == "l2"
