"""The Workflow of every example, whole, as it is created; and what a change of it must keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from ups_core.api import Dataset, TrainingRun
from ups_core.api.load import load
from ups_workflows.engines.argo import workflow
from ups_workflows.engines.compute import compute_for, deadline
from ups_workflows.installation import Installation
from ups_workflows.plan import RegisteredDataset, plan

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / "examples").glob("*.yaml")), ROOT / "tests/golden/full.yaml"]
INSTALLATION = Installation.model_validate(
    {"artifacts": {"store": "s3://bucket/ups", "region": "us-east-1", "secretRef": {"name": "ups-s3"}}}
)


class Yaml(SingleFileSnapshotExtension):
    file_extension = "yaml"
    _write_mode = WriteMode.TEXT

    def serialize(self, data: Any, **_: Any) -> str:
        return data


def workflows(file: Path) -> dict[str, dict[str, Any]]:
    """The first attempt of each resource of a file, by ``kind`` and name."""
    found = load(file)
    made: dict[str, dict[str, Any]] = {}
    for dataset in found.datasets.values():
        # A relative source is told by its whole path, which must be the same in every checkout.
        text = json.dumps(dataset.to_dict()).replace(str(ROOT), "/checkout")
        dataset = Dataset.model_validate(json.loads(text))
        made["ds"] = workflow(dataset, plan(None, dataset), attempt=1, installation=INSTALLATION)
    for run in found.runs.values():
        assert run.spec.dataset_ref is not None
        family = found.datasets[run.spec.dataset_ref.name].spec.family
        entry = RegisteredDataset(family, f"objects/convert/{'a' * 64}", f"objects/validate/{'b' * 64}")
        compute = compute_for(run, found.classes, preemptions=0)
        limit = deadline(run, compute, 0.0, grace_seconds=INSTALLATION.grace_seconds)
        made["tr"] = workflow(
            run,
            plan(run, entry),
            attempt=1,
            installation=INSTALLATION,
            compute=compute,
            deadline_seconds=limit.seconds if limit else None,
        )
    return made


@pytest.mark.parametrize("kind", ["ds", "tr"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_workflow_of(file: Path, kind: str, snapshot: SnapshotAssertion):
    text = yaml.safe_dump(workflows(file)[kind], sort_keys=True, width=110)
    assert text == snapshot(extension_class=Yaml)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_condition_reads_the_result_of_resolve_alone(file: Path):
    for made in workflows(file).values():
        for task in made["spec"]["templates"][0]["dag"]["tasks"][1:]:
            condition = task.get("when") or task["withParam"]
            assert condition.count("tasks.") == 1
            assert "tasks.resolve.outputs.parameters.result" in condition
            assert "resolve" in task["dependencies"]


def containers(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [template["container"] for template in made["spec"]["templates"] if "container" in template]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_container_satisfies_the_restricted_standard(file: Path):
    for made in workflows(file).values():
        pod = made["spec"]["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        patch = json.loads(made["spec"]["podSpecPatch"])
        argo = [c["securityContext"] for c in (*patch["initContainers"], *patch["containers"])]
        for context in [c["securityContext"] for c in containers(made)] + argo:
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]
        assert made["spec"]["automountServiceAccountToken"] is False


def test_secrets_are_named_and_never_held():
    made = workflows(ROOT / "tests/golden/full.yaml")["tr"]
    train = next(c for c in containers(made) if c["args"][0] == "train")
    assert [each["secretRef"]["name"] for each in train["envFrom"]] == ["lab-s3", "wandb"]
    evaluate = next(c for c in containers(made) if c["args"][0] == "evaluate")
    assert [each["secretRef"]["name"] for each in evaluate["envFrom"]] == ["lab-s3"]


def test_a_tag_of_argo_in_somebodys_string_stays_a_string():
    found = load(ROOT / "tests/golden/full.yaml")
    dataset = next(iter(found.datasets.values()))
    env = [{"name": "X", "value": "{{workflow.name}}"}]
    spec = {**dataset.to_dict()["spec"], "env": env}
    made = Dataset.model_validate({**dataset.to_dict(), "spec": spec})
    args = containers(workflow(made, plan(None, made), attempt=1, installation=INSTALLATION))[0]["args"]
    assert "{{" not in args[2]
    assert json.loads(args[2])["options"]["resource"]["spec"]["env"] == env


def test_a_thousand_shards_make_a_small_workflow():
    found = load(ROOT / "tests/golden/full.yaml")
    dataset = next(iter(found.datasets.values()))
    spec = dataset.to_dict()["spec"]
    spec["source"]["simulate"] |= {"samples": 1000, "shards": 1000}
    made = Dataset.model_validate({**dataset.to_dict(), "spec": spec})
    assert len(json.dumps(workflow(made, plan(None, made), attempt=1, installation=INSTALLATION))) < 32_000


def test_deleting_the_run_deletes_its_workflow():
    owner = workflows(ROOT / "tests/golden/full.yaml")["tr"]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"], owner["controller"]) == (
        TrainingRun.model_fields["kind"].default,
        "22222222-2222-2222-2222-222222222222",
        True,
    )
