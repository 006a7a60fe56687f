"""The resources as a real API server takes them: every rule of theirs compiles, holds, and says why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from installed import a_dataset, a_run, merged
from machine.client import Cluster

from ups_core.api.templates import template_names, template_text
from ups_core.errors import UpsError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """One for all: next to nothing is stored in it."""
    cluster.kubectl("create", "namespace", "test-resources")
    yield "test-resources"
    cluster.kubectl("delete", "namespace", "test-resources", "--wait=false")


@pytest.fixture(scope="module")
def crds(cluster: Cluster) -> Cluster:
    """The cluster, with UPS's resources known to it; a chart that is installed has brought the same."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={ROOT / 'charts/ups/crds'}")
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    return cluster


def dry_run(cluster: Cluster, resource: dict[str, Any], namespace: str) -> None:
    how = ("--server-side", "--force-conflicts", "--dry-run=server", f"--namespace={namespace}")
    cluster.kubectl("apply", *how, "--filename=-", stdin=yaml.safe_dump(resource))


def documents() -> list[Any]:
    texts = {path.stem: path.read_text() for path in (ROOT / "examples").glob("*.yaml")}
    texts |= {f"template-{name}": template_text(name) for name in template_names()}
    return [
        pytest.param(document, id=f"{name}-{document['kind']}")
        for name, text in sorted(texts.items())
        for document in yaml.safe_load_all(text)
    ]


@pytest.mark.parametrize("document", documents())
def test_examples_and_templates_are_taken(crds: Cluster, namespace: str, document: dict[str, Any]):
    dry_run(crds, document, namespace)


LONG = "a" * 49
NO_TEST_SPLIT = a_dataset("x")
del NO_TEST_SPLIT["spec"]["splits"]["test"]
REFUSED = [
    (a_run(LONG), "at most 48 characters"),
    (a_run("x", typo=1), "field not declared in schema"),
    (merged(a_run("x"), {"spec": {"dataset": a_dataset()["spec"]}}), "exactly one of datasetRef, dataset"),
    (merged(a_run("x"), {"spec": {"template": "burgers1d"}}), "give stages, or a template"),
    (a_run("x", overrides={"seed": 1}), "overrides needs a template"),
    (a_run("x", evaluation={"split": "train"}), "not judged on what it has seen"),
    (a_run("x", evaluation={"gates": [{"metric": "m"}]}), "give max, min or both"),
    (a_run("x", resumeFrom={"uri": "u", "runRef": {"name": "other"}}), "exactly one of runRef, uri"),
    (a_run("x", capacity="Cheap"), "Unsupported value"),
    (a_run("x", budget={"usd": 0}), "greater than"),
    (NO_TEST_SPLIT, "spec.splits.test"),
    (merged(a_dataset("x"), {"spec": {"source": {"uri": "s3://b/k"}}}), "exactly one of uri, urls, simulate"),
    (a_dataset("x", source={"simulate": {"train": 3}}), "give samples, or train and test"),
]


@pytest.mark.parametrize(("resource", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_means_nothing_is_refused(crds: Cluster, namespace: str, resource: dict[str, Any], said: str):
    with pytest.raises(UpsError) as refused:
        dry_run(crds, resource, namespace)
    assert said in str(refused.value)


EDITS = [
    ({"seed": 1}, "seed cannot be changed"),
    ({"threads": 2}, "threads cannot be changed"),
    ({"computeClass": "l4"}, "computeClass cannot be changed"),
    ({"stages": [{"name": "operator", "config": {"steps": 121}}]}, "stages cannot be changed"),
    ({"budget": {"usd": 1}}, "budget.usd can only be raised"),
    ({"retry": {"maxFailures": 5}}, "only retry.maxPreemptions can be changed"),
]


@pytest.fixture(scope="module")
def stored(crds: Cluster, namespace: str) -> dict[str, Any]:
    run = a_run("edited", budget={"usd": 2})
    crds.kubectl("apply", f"--namespace={namespace}", "--filename=-", stdin=yaml.safe_dump(run))
    return run


@pytest.mark.parametrize(("edit", "said"), EDITS, ids=[said for _, said in EDITS])
def test_an_edit_that_would_change_the_work_is_refused(
    crds: Cluster, namespace: str, stored: dict[str, Any], edit: dict[str, Any], said: str
):
    with pytest.raises(UpsError) as refused:
        dry_run(crds, merged(stored, {"spec": edit}), namespace)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "edit",
    [
        {"suspend": True},
        {"restart": 1},
        {"budget": {"usd": 3}},
        {"ttlSecondsAfterFinished": {"failed": 1}},
        {"retry": {"maxPreemptions": 99}},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_an_edit_of_limits_is_taken(
    crds: Cluster, namespace: str, stored: dict[str, Any], edit: dict[str, Any]
):
    dry_run(crds, merged(stored, {"spec": edit}), namespace)
