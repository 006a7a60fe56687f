"""What is sent to a cluster, and what is printed of what its operator would make of it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from ups_core.api.load import Resources, load, parse
from ups_core.api.templates import template_text
from ups_core.errors import InvalidSpec
from ups_workflows.cli.running import in_namespace
from ups_workflows.cluster.manifests import documents, in_store
from ups_workflows.cluster.planned import UNKNOWN, pinned, workflows
from ups_workflows.cluster.settings import settings
from ups_workflows.cluster.shell import command, shell_pod, waiting
from ups_workflows.installation import Installation

STORE = "s3://bucket/store"


def resources(*overrides: str) -> Resources:
    loaded, findings = parse(template_text("burgers1d"), "quickstart.yaml", overrides)
    assert findings == []
    return loaded


def test_resources_are_sent_as_they_were_written():
    sent = documents(in_store(in_namespace(resources("spec.seed=0"), "team"), STORE))
    written = [each for each in yaml.safe_load_all(template_text("burgers1d")) if each]
    assert [each["kind"] for each in sent] == ["Dataset", "TrainingRun"]
    for document, was in zip(sent, written, strict=True):
        assert document["metadata"] == {"name": was["metadata"]["name"], "namespace": "team"}
        assert document["spec"].pop("artifacts") == {"store": STORE}
    assert sent[0]["spec"] == written[0]["spec"]
    assert sent[1]["spec"] == {**written[1]["spec"], "seed": 0}


def test_a_namespace_that_the_file_names_is_not_changed(tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text(template_text("burgers1d").replace("metadata:\n", "metadata:\n  namespace: ours\n"))
    with pytest.raises(InvalidSpec) as error:
        in_namespace(load(file), "team")
    assert error.value.details["fix"] == "-n ours"
    assert in_namespace(load(file), "ours") == load(file)


def test_a_folder_of_this_machine_is_refused_unless_a_volume_brings_it():
    here = "dataset.spec.source={uri: /data/burgers}"
    with pytest.raises(InvalidSpec, match="not on the cluster"):
        documents(resources(here))
    volume = "dataset.spec.volumes=[{name: data, mountPath: /data, nfs: {server: nfs, path: /x}}]"
    assert documents(resources(here, volume))
    with pytest.raises(InvalidSpec, match="no store of a cluster"):
        in_store(resources(), "./ups-store")


def test_a_run_is_planned_on_the_objects_that_its_dataset_will_have():
    (dataset,) = resources().datasets.values()
    found = pinned(dataset)
    assert UNKNOWN not in found.converted + found.validated
    (later,) = resources("dataset.spec.source={uri: s3://raw/burgers}").datasets.values()
    assert pinned(later).converted == f"objects/convert/{UNKNOWN}"


def test_the_workflows_of_a_file():
    planned = workflows(in_store(resources(), STORE), Installation(), {})
    assert [each["metadata"]["name"] for each in planned] == ["ds-burgers-demo-1", "tr-burgers-demo-1"]
    alone = Resources({}, resources().runs, {})
    with pytest.raises(InvalidSpec, match="depends on its Dataset"):
        workflows(in_store(alone, STORE), Installation(), {})


def test_settings_of_another_version_are_told_apart_from_ours():
    assert settings("graceSeconds: 5\n").grace_seconds == 5
    assert settings("") == Installation()
    with pytest.raises(InvalidSpec, match="not understood"):
        settings("graceMinutes: 1\n")


def test_the_pod_of_a_shell_is_that_of_its_step():
    volume = "spec.volumes=[{name: data, mountPath: /data, persistentVolumeClaim: {claimName: raw}}]"
    _, run = workflows(
        in_store(resources(volume, "spec.env=[{name: A, value: b}]"), STORE), Installation(), {}
    )
    (template,) = (each for each in run["spec"]["templates"] if each["name"] == "train-operator")
    owner = {"kind": "TrainingRun", "metadata": {"name": "demo", "namespace": "team", "uid": "u"}}
    pod = shell_pod(run, owner, "train-operator")
    (container,) = pod["spec"]["containers"]
    same = ("image", "env", "volumeMounts", "securityContext", "resources")
    assert {name: container[name] for name in same} == {name: template["container"][name] for name in same}
    assert container["command"][0] == "sleep"
    assert {each["name"] for each in container["volumeMounts"]} <= {v["name"] for v in pod["spec"]["volumes"]}
    assert pod["spec"]["securityContext"] == run["spec"]["securityContext"]
    assert pod["metadata"]["ownerReferences"][0]["uid"] == "u"


def test_the_command_of_a_step_can_be_pasted():
    dataset, _ = workflows(
        in_store(resources("dataset.spec.source.simulate.shards=2"), STORE), Installation(), {}
    )
    words = shlex.split(command(dataset, "simulate"))
    assert words[:3] == ["ups-step", "simulate", "--spec"]
    assert words[3].startswith("plan:runs/default/ds/burgers-demo/")
    assert words[3].endswith("#simulate-0")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({}, "for a node"),
        ({"conditions": [{"status": "False", "message": "0/1 nodes"}]}, "0/1 nodes"),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such"}}}]},
            "ErrImagePull: no such",
        ),
        ({"containerStatuses": [{"state": {"running": {}}}], "message": "evicted"}, "evicted"),
    ],
)
def test_why_a_pod_does_not_run_yet(status, told):
    assert waiting(status) == told
