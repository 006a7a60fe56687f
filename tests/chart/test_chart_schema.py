"""Values that cannot mean anything are refused before anything is made, with the value's name."""

from __future__ import annotations

import pytest
from helm_chart import Manifest, template

pytestmark = pytest.mark.usefixtures("with_helm")

CPU = {"name": "cpu", "spec": {"onDemand": {"pricePerHourUsd": 1}}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"watchNamespace": ["a"]}, ["'watchNamespace' not allowed"], id="a typo at the root"),
        pytest.param(
            {"operator": {"resync": 1}}, ["at '/operator'", "'resync' not allowed"], id="a typo within"
        ),
        pytest.param(
            {"images": {"torch": {"name": "x"}}},
            ["at '/images/torch'", "'name' not allowed"],
            id="a typo in an image",
        ),
        pytest.param(
            {"artifacts": {"accessKey": "AKIA"}},
            ["at '/artifacts'", "'accessKey' not allowed"],
            id="a credential",
        ),
        pytest.param(
            {"artifacts": {"store": "bucket/prefix"}},
            ["at '/artifacts/store'", "does not match"],
            id="no store",
        ),
        pytest.param(
            {"runNamespaces": "a"}, ["at '/runNamespaces'", "got string, want array"], id="a word for a list"
        ),
        pytest.param(
            {"runNamespaces": ["A_b"]}, ["at '/runNamespaces/0'", "does not match"], id="no namespace"
        ),
        pytest.param({"runNamespaces": ["a", "a"]}, ["at '/runNamespaces'", "equal"], id="a namespace twice"),
        pytest.param(
            {"createRunNamespaces": "yes"},
            ["at '/createRunNamespaces'", "want boolean"],
            id="a word for a switch",
        ),
        pytest.param(
            {"images": {"pullPolicy": "Sometimes"}},
            ["at '/images/pullPolicy'", "'IfNotPresent'"],
            id="one of three",
        ),
        pytest.param(
            {"images": {"operator": {"digest": "latest"}}}, ["at '/images/operator/digest'"], id="no digest"
        ),
        pytest.param(
            {"steps": {"resources": {"data": {"cpu": 1}}}},
            ["at '/steps/resources/data/cpu'", "want string"],
            id="a number for a quantity",
        ),
        pytest.param(
            {"computeClasses": [{"name": "gpu"}]},
            ["at '/computeClasses/0'", "missing property 'spec'"],
            id="a class without spec",
        ),
        pytest.param(
            {"computeClasses": [{**CPU, "spec": {"onDemand": {"price": 1, "pricePerHourUsd": 1}}}]},
            ["at '/computeClasses/0/spec/onDemand'", "'price' not allowed"],
            id="a typo in a class",
        ),
        pytest.param(
            {"computeClasses": [{**CPU, "spec": {"gpusPerNode": 1}}]},
            ["at '/computeClasses/0/spec'", "onDemand"],
            id="a class without capacity",
        ),
        pytest.param(
            {"networkPolicy": {"apiServer": {"ports": [0]}}},
            ["at '/networkPolicy/apiServer/ports/0'"],
            id="no port",
        ),
        pytest.param(
            {"metrics": {"serviceMonitor": {"interval": "often"}}},
            ["at '/metrics/serviceMonitor/interval'"],
            id="no time",
        ),
    ],
)
def test_refused(values: Manifest, words: list[str]):
    done = template(values)
    assert done.returncode != 0
    assert all(word in done.stderr for word in words), done.stderr


def test_a_chart_that_is_part_of_another_gets_its_globals():
    assert template({"global": {"region": "eu"}}).returncode == 0
