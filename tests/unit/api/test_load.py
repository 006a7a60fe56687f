"""Strict loading: what is wrong, where, and what to write instead."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from ups_core.api.load import load, parse, set_path
from ups_core.api.templates import expand, merge, template_names, template_text
from ups_core.errors import InvalidSpec, NotFound

GOOD = """\
apiVersion: ups.dev/v1alpha1
kind: Dataset
metadata: {name: demo}
spec:
  family: burgers1d
  source: {simulate: {samples: 8, params: {nu: 0.01}}}
---
apiVersion: ups.dev/v1alpha1
kind: TrainingRun
metadata: {name: demo}
spec:
  datasetRef: {name: demo}
  stages:
    - name: operator
      config: {steps: 3}
"""

#: What is replaced by what, then line, field, what is said, and the fix.
MISTAKES = [
    ("family: burgers1d", "famly: burgers1d", 5, "spec.famly", "unknown field", "write family"),
    ("samples: 8", "sample: 8", 6, "spec.source.simulate.sample", "unknown field", "write samples"),
    ("samples: 8", 'samples: "8"', 6, "spec.source.simulate.samples", "not a valid value", None),
    ("samples: 8", "samples: 0", 6, "spec.source.simulate.samples", "not a valid value", None),
    ("nu: 0.01", "nu: low", 6, "spec.source.simulate.params.nu", "not a valid value", None),
    ("kind: Dataset", "kind: DataSet", 2, "kind", "unknown kind", "write Dataset"),
    (
        "v1alpha1\nkind: Dataset",
        "v1\nkind: Dataset",
        1,
        "apiVersion",
        "unknown version",
        "apiVersion: ups.dev/v1alpha1",
    ),
    (
        "  datasetRef: {name: demo}\n",
        "",
        11,
        "spec",
        "exactly one of datasetRef, dataset is needed, found none",
        None,
    ),
    (
        "  family",
        "  splits: {train: 4, val: 1, test: 1, far: {largest: rms}}\n  family",
        4,
        "spec",
        "splits.far needs a count or a fraction: all states are not the largest",
        None,
    ),
    (
        "  family",
        "  splits: {train: {largest: rms, count: 4}, val: 1, test: 1}\n  family",
        4,
        "spec",
        "splits.train cannot be the largest: that is for further test sets",
        None,
    ),
    (
        "name: operator",
        "name: oper",
        14,
        "spec.stages[0].name",
        "no stage is called 'oper'; there are codec, operator, diffusion, distill, search, steady-prior",
        None,
    ),
    (
        "  source: {",
        "  convert: {stride: {y: 2}}\n  source: {",
        6,
        "spec.convert.stride.y",
        "kubectl reads a bare y as a boolean",
        'write "y"',
    ),
    ("steps: 3", "stepps: 3, epochs: 1", 15, "spec.stages[0].config.stepps", "unknown field", "write steps"),
    (
        "{steps: 3}",
        "{steps: 3, epochs: 1}",
        15,
        "spec.stages[0].config",
        "exactly one of steps, epochs and cpuBudgetSeconds is needed",
        None,
    ),
    ("{steps: 3}", "{steps: 3}\n      config: {steps: 4}", 16, "spec.stages[0].config", "given twice", None),
    (
        "{name: demo}\nspec:\n  datasetRef",
        "{name: Demo}\nspec:\n  datasetRef",
        10,
        "metadata.name",
        "not a valid value",
        None,
    ),
]


@pytest.mark.parametrize(
    ("good", "bad", "line", "field", "what", "fix"), MISTAKES, ids=[m[3] + ": " + m[1][:20] for m in MISTAKES]
)
def test_a_mistake_is_told_with_its_place(good, bad, line, field, what, fix):
    assert good in GOOD
    _, findings = parse(GOOD.replace(good, bad, 1), "run.yaml")
    told = [f for f in findings if f.field == field]
    assert told, [str(f) for f in findings]
    assert (told[0].line, told[0].what, told[0].fix) == (line, what, fix)


def test_a_good_file_has_no_findings():
    resources, findings = parse(GOOD, "run.yaml")
    assert findings == []
    assert list(resources.datasets) == list(resources.runs) == ["demo"]


def test_all_findings_come_at_once(tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text(GOOD.replace("samples", "sample").replace("steps", "stepps").replace("family", "famly"))
    with pytest.raises(InvalidSpec) as caught:
        load(file)
    text = str(caught.value)
    assert "findings" in text
    for field in ("spec.famly", "spec.source.simulate.sample", "spec.stages[0].config.stepps"):
        assert f":{field}: unknown field" in text


def test_a_missing_file_has_its_own_code(tmp_path: Path):
    with pytest.raises(NotFound) as caught:
        load(tmp_path / "none.yaml")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("text", ["", "{", "a: [1", "- 1", "just words"])
def test_what_is_no_resource_is_told(text: str):
    _, findings = parse(text, "run.yaml")
    assert len(findings) == 1


def test_a_relative_source_counts_from_the_file(tmp_path: Path):
    file = tmp_path / "run.yaml"
    dataset = GOOD.split("---")[0].replace(
        "simulate: {samples: 8, params: {nu: 0.01}}", "uri: data, pattern: '*.h5'"
    )
    file.write_text(dataset)
    assert load(file).datasets["demo"].spec.source.uri == str(tmp_path / "data")


def test_overrides_reach_the_run_and_with_a_prefix_the_dataset(tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text(GOOD)
    resources = load(file, ("spec.stages.operator.config.lr=0.1", "spec.seed=3", "dataset.spec.seed=4"))
    run, dataset = resources.runs["demo"].spec, resources.datasets["demo"].spec
    assert (run.stages[0].config["lr"], run.seed, dataset.seed) == (0.1, 3, 4)


@pytest.mark.parametrize("override", ["seed=3", "spec.seed", "spec=3", "spec.stages.oper.config=1"])
def test_an_override_that_cannot_be_read_is_refused(override: str):
    with pytest.raises(InvalidSpec):
        set_path({"spec": {"stages": [{"name": "operator"}]}}, override)


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "1E-3", "0.001"])
def test_numbers_are_read_as_the_api_server_reads_them(text: str):
    resources, findings = parse(GOOD.replace("nu: 0.01", f"nu: {text}"), "run.yaml")
    assert findings == []
    assert resources.datasets["demo"].spec.source.simulate.params == {"nu": 0.001}


def test_different_stores_of_run_and_dataset_are_refused():
    text = GOOD.replace("  family:", "  artifacts: {store: 's3://one/a'}\n  family:")
    _, findings = parse(text, "run.yaml")
    assert [f.field for f in findings] == ["spec.artifacts.store"]


@pytest.mark.parametrize("name", template_names())
def test_templates_are_good(name: str):
    resources, findings = parse(template_text(name), f"{name}.yaml")
    assert findings == []
    assert resources.runs
    assert resources.datasets
    assert template_text(name).startswith("# ")


def test_a_template_gives_stages_and_overrides_change_them():
    override = {"stages": [{"name": "operator", "config": {"steps": 7}}], "analysis": {"samples": 1}}
    spec = expand({"template": "burgers1d", "overrides": override, "seed": 2})
    assert spec["stages"][0]["config"] == {"architecture": "default", "steps": 7}
    assert (spec["seed"], spec["analysis"]) == (2, {"samples": 1})
    assert "template" not in spec
    assert "overrides" not in spec


def test_merging_follows_rfc_7396():
    # The table of the RFC's appendix, as far as it has objects.
    table = [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ]
    for target, patch, expected in table:
        assert merge(target, patch) == expected


def test_findings_read_well():
    _, findings = parse(textwrap.dedent(GOOD).replace("samples: 8", "sample: 8"), "run.yaml")
    told = next(f for f in findings if f.what == "unknown field")
    assert str(told).splitlines() == [
        "run.yaml:6:spec.source.simulate.sample: unknown field",
        "  found:    sample",
        "  expected: params, samples, seed, shards, test, train",
        "  fix:      write samples",
    ]
