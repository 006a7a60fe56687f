"""What the chart renders, over the ways in which it is installed."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
import yaml
from helm_chart import CASES, CHART, NAMESPACE, RELEASE, Manifest, helm, render, template
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from ups_core.api import ComputeClass
from ups_core.api.computeclass import Capacity, ComputeClassSpec
from ups_core.api.model import Model
from ups_operator.metrics import Metrics
from ups_workflows.installation import Installation

pytestmark = pytest.mark.usefixtures("with_helm")


@pytest.fixture(params=list(CASES))
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """The rendered chart, for each case."""
    return render(CASES[request.param])


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def named(manifests: list[Manifest], kind: str, name: str, namespace: str | None = None) -> Manifest:
    """The one object of this kind, name and namespace."""
    [found] = [
        manifest
        for manifest in of_kind(manifests, kind)
        if manifest["metadata"]["name"] == name and namespace in (None, manifest["metadata"].get("namespace"))
    ]
    return found


def pod_specs(manifests: list[Manifest]) -> list[Manifest]:
    return [
        m["spec"] if m["kind"] == "Pod" else m["spec"]["template"]["spec"] for m in manifests if has_pod(m)
    ]


def has_pod(manifest: Manifest) -> bool:
    return manifest["kind"] == "Pod" or "template" in manifest.get("spec", {})


@pytest.mark.parametrize("case", list(CASES))
def test_helm_finds_nothing_to_object_to(case: str):
    done = helm("lint", "--strict", CHART, values=CASES[case])
    assert done.returncode == 0, done.stdout + done.stderr


def test_rights_are_spelled_out_and_reach_no_secret(manifests: list[Manifest]):
    for role in of_kind(manifests, "Role", "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"], role
            assert not {"secrets", "pods", "pods/exec", "configmaps"} & set(rule["resources"]), role
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"]), role


def test_bindings_lead_to_roles_and_accounts_that_are_there(manifests: list[Manifest]):
    def identities(*kinds: str) -> set[tuple[Any, ...]]:
        return {
            (m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"])
            for m in of_kind(manifests, *kinds)
        }

    roles, accounts = identities("Role", "ClusterRole"), identities("ServiceAccount")
    for binding in of_kind(manifests, "RoleBinding", "ClusterRoleBinding"):
        reference, namespace = binding["roleRef"], binding["metadata"].get("namespace")
        assert (reference["kind"], namespace, reference["name"]) in roles
        for subject in binding["subjects"]:
            assert ("ServiceAccount", subject["namespace"], subject["name"]) in accounts
    for manifest in filter(has_pod, manifests):
        [spec] = pod_specs([manifest])
        assert ("ServiceAccount", manifest["metadata"]["namespace"], spec["serviceAccountName"]) in accounts


def test_every_pod_meets_the_restricted_standard(manifests: list[Manifest]):
    for spec in pod_specs(manifests):
        assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
        assert {"configMap", "emptyDir"} >= {key for volume in spec["volumes"] for key in volume} - {"name"}


def test_pods_run_the_operators_image(manifests: list[Manifest], request: pytest.FixtureRequest):
    everything = "everything" in request.node.callspec.id
    for spec in pod_specs(manifests):
        [container] = spec["containers"]
        assert container["image"] == (
            f"registry.example.com/physics/ups-operator@sha256:{'0' * 64}"
            if everything
            else "ghcr.io/ups-dev/ups-operator:0.1.0"
        )
        assert spec.get("imagePullSecrets") == ([{"name": "pull"}] if everything else None)


def test_all_that_stays_is_labelled_as_this_release(manifests: list[Manifest]):
    for manifest in manifests:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "ups"
        assert labels["app.kubernetes.io/version"] == "0.1.0"
        assert all(isinstance(value, str) and len(value) <= 63 for value in labels.values())


def test_nothing_secret_is_rendered(manifests: list[Manifest]):
    """The one kind of Secret is the executor's token, which the API server fills in."""
    for secret in of_kind(manifests, "Secret"):
        assert secret["type"] == "kubernetes.io/service-account-token"
        assert "data" not in secret
        assert "stringData" not in secret


def test_watching_all_namespaces_takes_one_cluster_role():
    manifests = render(CASES["cluster-wide"])
    assert "workflows" in resources(named(manifests, "ClusterRole", "ups-operator"))
    assert [role["metadata"]["name"] for role in of_kind(manifests, "Role")] == ["ups-steps", "ups-selftest"]
    assert environment(manifests)["UPS_WATCH_NAMESPACES"] == ""


def test_watching_some_takes_a_role_in_each():
    manifests = render({"watchNamespaces": ["a", "b"]})
    assert resources(named(manifests, "ClusterRole", "ups-operator")) == {"computeclasses"}
    for namespace in ("a", "b"):
        assert "workflows" in resources(named(manifests, "Role", "ups-operator", namespace))
        assert named(manifests, "RoleBinding", "ups-operator", namespace)["subjects"] == [
            {"kind": "ServiceAccount", "name": "ups-operator", "namespace": "ups-system"}
        ]
    assert environment(manifests)["UPS_WATCH_NAMESPACES"] == "a,b"


def resources(role: Manifest) -> set[str]:
    return {resource for rule in role["rules"] for resource in rule["resources"]}


def environment(manifests: list[Manifest]) -> dict[str, str]:
    [container] = named(manifests, "Deployment", "ups-operator")["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_a_run_namespace_that_nobody_watches_is_refused():
    values = {"watchNamespaces": ["a"], "runNamespaces": ["b"]}
    done = template(values)
    assert done.returncode != 0
    assert 'runNamespaces has "b", which watchNamespaces lacks' in done.stderr


def test_what_each_run_namespace_gets():
    manifests = render(CASES["several run namespaces"])
    installation = named(manifests, "ConfigMap", "ups-installation", NAMESPACE)["data"]
    for name in ("a", "b", "c"):
        namespace = named(manifests, "Namespace", name)["metadata"]
        assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        assert namespace["annotations"] == {"helm.sh/resource-policy": "keep"}
        assert named(manifests, "ServiceAccount", "ups-steps", name)["automountServiceAccountToken"] is False
        token = named(manifests, "Secret", "ups-steps.service-account-token", name)
        assert token["metadata"]["annotations"]["kubernetes.io/service-account.name"] == "ups-steps"
        for kind in (
            "ServiceAccount",
            "Role",
            "RoleBinding",
        ):  # what runs in flight need outlives an uninstall
            kept = named(manifests, kind, "ups-steps", name)["metadata"]["annotations"]
            assert kept["helm.sh/resource-policy"] == "keep"
        assert token["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert named(manifests, "Role", "ups-steps", name)["rules"] == [
            {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
        ]
        assert named(manifests, "NetworkPolicy", "ups-steps", name)
        assert named(manifests, "ConfigMap", "ups-installation", name)["data"] == installation


def test_runs_may_live_where_the_operator_does():
    assert named(render({"runNamespaces": [NAMESPACE]}), "ConfigMap", "ups-installation", NAMESPACE)


def test_namespaces_of_others_are_not_created():
    assert not of_kind(render(CASES["cluster-wide"]), "Namespace")


def test_the_default_installation_is_that_of_the_command():
    """A Workflow printed without a cluster is the one that a default chart makes."""
    assert installation(render({})) == Installation()


def test_the_installation_reads_what_the_values_say():
    given = installation(render(CASES["everything"]))
    assert given.images.torch == "registry.example.com/physics/ups-torch:1.2.3-cpu"
    assert [secret.name for secret in given.image_pull_secrets] == ["pull"]
    assert given.artifacts.to_dict() == {**CASES["everything"]["artifacts"], "retention": "Keep"}


def installation(manifests: list[Manifest]) -> Installation:
    text = named(manifests, "ConfigMap", "ups-installation", NAMESPACE)["data"]["installation.yaml"]
    return Installation.model_validate(yaml.safe_load(text))


def test_another_installation_restarts_the_operator():
    def checksum(values: Manifest) -> str:
        template = named(render(values), "Deployment", "ups-operator")["spec"]["template"]
        return template["metadata"]["annotations"]["checksum/installation"]

    assert checksum({}) == checksum({"operator": {"resyncSeconds": 60}})
    assert checksum({}) != checksum({"steps": {"graceSeconds": 60}})


def test_compute_classes_are_valid_resources():
    classes = of_kind(render(CASES["compute classes"]), "ComputeClass")
    assert [ComputeClass.model_validate(item).metadata.name for item in classes] == ["gpu", "cpu"]


@pytest.mark.parametrize(("model", "where"), [(ComputeClassSpec, "spec"), (Capacity, "capacity")])
def test_values_know_every_field_of_a_compute_class(model: type[Model], where: str):
    schema = json.loads((CHART / "values.schema.json").read_text())
    spec = schema["properties"]["computeClasses"]["items"]["properties"]["spec"]
    known = {"spec": spec, "capacity": schema["definitions"]["capacity"]}[where]["properties"]
    assert set(known) == set(model.model_json_schema(by_alias=True)["properties"])


STEP_POLICY = """\
podSelector:
  matchExpressions:
  - {key: ups.dev/kind, operator: Exists}
policyTypes: [Ingress, Egress]
ingress: []
egress:
- ports:
  - {port: 53, protocol: UDP}
  - {port: 53, protocol: TCP}
- ports:
  - {port: 6443, protocol: TCP}
  to:
  - ipBlock: {cidr: 10.0.0.1/32}
- ports:
  - {port: 8333, protocol: TCP}
- ports:
  - {port: 443}
"""
OPERATOR_POLICY = """\
podSelector:
  matchLabels:
    app.kubernetes.io/name: ups
    app.kubernetes.io/instance: ups
    app.kubernetes.io/component: operator
policyTypes: [Ingress, Egress]
ingress:
- ports:
  - {port: 8080, protocol: TCP}
  from:
  - namespaceSelector:
      matchLabels: {name: monitoring}
egress:
- ports:
  - {port: 6443, protocol: TCP}
  to:
  - ipBlock: {cidr: 10.0.0.1/32}
"""


@pytest.mark.parametrize(("name", "text"), [("ups-steps", STEP_POLICY), ("ups-operator", OPERATOR_POLICY)])
def test_the_network_policies(name: str, text: str):
    assert named(render(CASES["everything"]), "NetworkPolicy", name)["spec"] == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("", 443),
        ("https://s3.example.com", 443),
        ("https://s3.example.com:9000/path", 9000),
        ("http://s3", 80),
        ("http://10.1.2.3:8333", 8333),
        ("http://[fd00::1]", 80),
        ("http://[fd00::1]:8333", 8333),
    ],
)
def test_storage_is_reached_on_the_port_of_its_endpoint(endpoint: str, port: int):
    policy = named(
        render({"runNamespaces": ["a"], "artifacts": {"endpoint": endpoint}}), "NetworkPolicy", "ups-steps"
    )
    assert policy["spec"]["egress"][-1] == {"ports": [{"port": port, "protocol": "TCP"}]}


def test_no_network_policy_where_none_is_wanted():
    assert not of_kind(render(CASES["no network policy"]), "NetworkPolicy")


def test_the_pods_labels_meet_every_selector():
    manifests = render(CASES["everything"])
    labels = named(manifests, "Deployment", "ups-operator")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        named(manifests, "Service", "ups-operator")["spec"]["selector"],
        named(manifests, "Deployment", "ups-operator")["spec"]["selector"]["matchLabels"],
        named(manifests, "NetworkPolicy", "ups-operator")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    monitor = named(manifests, "ServiceMonitor", "ups-operator")["spec"]["selector"]["matchLabels"]
    assert monitor.items() <= named(manifests, "Service", "ups-operator")["metadata"]["labels"].items()


def test_the_dashboard_draws_what_the_operator_exports():
    text = named(render(CASES["monitored"]), "ConfigMap", "ups-dashboard")["data"]["ups.json"]
    queries = [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    drawn = {name for query in queries for name in re.findall(r"\b(?:ups|process)_\w+", query)}
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
    exported = {
        family.name + suffix
        for family in Metrics().registry.collect()
        for suffix in suffixes.get(family.type, [])
    }
    assert drawn <= exported
    ours = {name for name in exported if name.startswith("ups_") and not name.endswith("_sum")}
    assert ours <= drawn, "nobody sees it"


def test_hooks_leave_nothing_behind():
    hooks = [m for m in render(CASES["everything"]) if "helm.sh/hook" in m["metadata"].get("annotations", {})]
    assert len(hooks) == 8
    for hook in hooks:
        policy = hook["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        assert policy == "before-hook-creation,hook-succeeded"


def test_the_hook_may_change_our_definitions_only():
    names = {path.stem.split("_")[1] + ".ups.dev" for path in (CHART / "crds").glob("*.yaml")}
    _, changing = named(render({}), "ClusterRole", "ups-crds")["rules"]
    assert set(changing["resourceNames"]) == names


def test_definitions_can_be_left_to_others():
    assert not of_kind(render({"crds": {"upgrade": False}}), "Job")


def test_the_chart_is_of_the_operators_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    operator = tomllib.loads((CHART.parents[1] / "operator/pyproject.toml").read_text())
    assert chart["appVersion"] == chart["version"] == operator["project"]["version"]


def test_every_value_is_explained():
    """A newcomer reads values.yaml alone: each group and each value of one line says what it is."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def missing(node: Manifest, given: Manifest, path: str) -> list[str]:
        found = []
        for name, inner in node.get("properties", {}).items():
            if name not in given:
                found.append(path + name)
            elif given[name]:
                found += missing(inner, given[name], f"{path}{name}.")
        return found

    assert missing(schema, values, "") == ["global"]


class Yaml(SingleFileSnapshotExtension):
    """Golden files that a reviewer can read."""

    _write_mode = WriteMode.TEXT
    file_extension = "yaml"


@pytest.mark.parametrize("case", ["default", "everything"])
def test_golden(snapshot: Any, case: str):
    done = template(CASES[case])
    text = re.sub(r"(checksum/installation): \w+", r"\1: HASH", done.stdout)
    text = re.sub(r"(?<=ups.json: \|\n)( {4}.*\n)+", "    DASHBOARD\n", text)
    assert text == snapshot(extension_class=Yaml)


def test_notes_name_the_next_command():
    done = helm("install", RELEASE, CHART, "-n", NAMESPACE, "--dry-run=client", values=CASES["everything"])
    notes = done.stdout.split("NOTES:")[1]
    assert "kubectl -n ups-system rollout status deployment/ups-operator" in notes
    assert "ups doctor --engine argo -n a" in notes
    assert "kubectl -n a create secret generic storage" in notes
    assert "helm test ups -n ups-system --logs" in notes
