"""The words of Argo, the kubelet and the scheduler, and what an attempt that ended with them is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from operator_fakes import INSTALLATION, a_node, a_run, with_status

from ups_core.api.cluster import from_cluster
from ups_core.steps.stopping import ASKED_TO_STOP
from ups_operator.classify import cause
from ups_operator.observe import DEADLINE_LIMIT, Observed, observe
from ups_workflows.engines import argo
from ups_workflows.plan import RegisteredDataset, plan

T = datetime(2026, 1, 1, tzinfo=UTC)
STEP = "train-operator"


def failed(message: str, exit_code: int | None = None, phase: str = "Failed", **more: Any) -> dict[str, Any]:
    return a_node(STEP, phase, message, exit_code=exit_code, started=T, finished=T, **more)


def workflow(*nodes: dict[str, Any], message: str = "", phase: str = "Failed", **spec: Any) -> Observed:
    """A Workflow of the engine's own making that ended."""
    run = from_cluster(a_run(stages=[{"name": "operator", "config": {"steps": 1}, "timeoutSeconds": 600}]))
    steps = plan(run, RegisteredDataset("burgers1d", "objects/convert/k", "objects/validate/k"))
    manifest = argo.workflow(run, steps, attempt=1, installation=INSTALLATION)
    manifest["metadata"] |= {"uid": "w", "resourceVersion": "1"}
    manifest["spec"] |= spec
    return observe(with_status(manifest, phase, *nodes, message=message))


OUT_OF_TIME = [
    "Step exceeded its deadline",
    "Pod was active on the node longer than the specified deadline",
]
PREEMPTED = [
    ("main: Error (exit code 75)", 75),
    ("main: Error (exit code 143)", 143),
    ("init: Error (exit code 143)", None),
    ("pod deleted", None),
    (
        'wait: Error (exit code 64): Patch "https://10.96.0.1:443/apis/argoproj.io/v1alpha1/namespaces/runs/'
        'workflowtaskresults/tr-a-1-217": dial tcp 10.96.0.1:443: connect: connection refused',
        0,
    ),
    ("The node was low on resource: memory. Threshold quantity: 100Mi, available: 51Mi. ", 137),
    ("The node had condition: [DiskPressure]. ", None),
    ("Pod was terminated in response to imminent node shutdown.", 143),
    ("Pod was rejected as the node is shutting down.", None),
    ("Preempted in order to admit critical pod", 137),
    ("Node gpu-7 which was running pod tr-run-1-train-operator-1 is unresponsive", None),
    ("Pod was rejected: Node didn't have enough resource: nvidia.com/gpu, requested: 1, used: 0", None),
    ("Pod was rejected: Allocate failed due to no healthy devices present, which is unexpected", None),
    ("Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity", None),
    ("Node didn't have enough resource: cpu, requested: 4000, used: 500, capacity: 2000", None),
    ("Pod failed before main container starts due to ContainerCreating: ", None),
    ("Pod failed before init container starts due to PodInitializing: ", None),
    ("can't find failed message for pod tr-run-1-train-operator-1 namespace default", None),
    ("pod failed: neither main nor wait container completed successfully", None),
    ("pod failed: wait container did not complete successfully", 0),
    ("main: ContainerStatusUnknown (exit code 137): The container could not be located", 137),
    ("main: Error (exit code 137): The container could not be located when the pod was deleted", 137),
    (f"main: Error (exit code 137): {ASKED_TO_STOP}", 137),
]


@pytest.mark.parametrize(("message", "code"), PREEMPTED)
def test_a_pod_that_was_taken_away_is_preempted(message, code):
    found = cause(workflow(failed(message, code)))
    assert (found.preempted, found.reason, found.step) == (True, "Preempted", STEP)


FAILURES = [
    ("main: OOMKilled (exit code 137)", 137, "OutOfMemory", False),
    ("init: OOMKilled (exit code 137)", None, "OutOfMemory", False),
    ("main: Error (exit code 137)", 137, "InternalError", False),
    ("main: Error (exit code 139)", 139, "InternalError", False),
    ("main: Error (exit code 1)", 1, "InternalError", False),
    ("main: StartError (exit code 128): failed to create containerd task: exec: \"ups-step\": not found", 128,
     "InternalError", False),
    ("wait: Error (exit code 64): workflowtaskresults.argoproj.io is forbidden", 0, "InternalError", False),
    ("main: Error (exit code 2)", 2, "InvalidSpec", True),
    ("main: Error (exit code 3)", 3, "DataInvalid", True),
    ("main: Error (exit code 4)", 4, "CredentialsInvalid", True),
    ("main: Error (exit code 5)", 5, "DatasetNotFound", True),
    ("main: Error (exit code 7)", 7, "StageFailed", True),
    ("main: Error (exit code 8)", 8, "StorageUnavailable", True),
    ("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", 137,
     "StorageUnavailable", True),
    ("Container main exceeded its local ephemeral storage limit \"1Gi\". ", 137, "StorageUnavailable", True),
    ("Usage of EmptyDir volume \"ups-work\" exceeds the limit \"1Gi\". ", 137, "StorageUnavailable", True),
]  # fmt: skip


@pytest.mark.parametrize(("message", "code", "reason", "final"), FAILURES)
def test_a_pod_that_broke_is_a_failure(message, code, reason, final):
    found = cause(workflow(failed(message, code)))
    assert (found.preempted, found.reason, found.final) == (False, reason, final)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile', "InvalidSpec"),
        ('Pod "x" is invalid: spec.containers[1].resources.requests: Invalid value', "InvalidSpec"),
        ("failed to look-up secret s3", "InternalError"),
    ],
)
def test_a_pod_that_could_not_be_made(message, reason):
    assert cause(workflow(failed(message, phase="Error"))).reason == reason


@pytest.mark.parametrize("message", OUT_OF_TIME)
@pytest.mark.parametrize("code", [None, 75, 143, 137])
def test_a_deadline_is_no_preemption_though_its_signal_is_the_same(message, code):
    found = cause(workflow(failed(message, code), activeDeadlineSeconds=300))
    assert (found.reason, found.final, found.preempted) == ("DeadlineExceeded", True, False)
    assert "300 s" in found.message


def test_a_deadline_that_money_set_is_the_budgets():
    seen = workflow(failed("Step exceeded its deadline"), activeDeadlineSeconds=300)
    spent = Observed(**{**vars(seen), "deadline_limit": "BudgetExceeded"})
    assert cause(spent).reason == "BudgetExceeded"


def test_the_limit_is_read_from_the_workflow():
    assert observe(with_status(a_workflow_that_money_limits(), "Failed")).deadline_limit == "BudgetExceeded"


def a_workflow_that_money_limits() -> dict[str, Any]:
    meta = {
        "name": "w",
        "uid": "w",
        "resourceVersion": "1",
        "annotations": {DEADLINE_LIMIT: "BudgetExceeded"},
    }
    return {"metadata": meta, "spec": {"activeDeadlineSeconds": 300}}


def test_a_stage_that_has_a_smaller_limit_of_its_own_is_told_by_that():
    message = "Pod was active on the node longer than the specified deadline"
    found = cause(workflow(failed(message, 143), activeDeadlineSeconds=9000))
    assert found.message == "did not end within its 600 s"


def test_the_first_that_failed_is_the_cause():
    late = a_node(
        "evaluate", "Failed", "main: Error (exit code 1)", started=T, finished=T + timedelta(seconds=9)
    )
    first = failed("main: Error (exit code 3)", 3)
    assert cause(workflow(late, first)).reason == "DataInvalid"


def test_what_failed_because_of_the_shutdown_is_not_the_cause():
    stopped = failed("workflow shutdown with strategy:  Terminate", 75)
    other = a_node(
        "evaluate", "Failed", "main: Error (exit code 1)", started=T, finished=T + timedelta(seconds=9)
    )
    assert cause(workflow(stopped, other, shutdown="Terminate")).step == "evaluate"


def test_a_workflow_that_somebody_else_stopped_is_lost():
    stopped = failed("workflow shutdown with strategy:  Stop")
    found = cause(workflow(stopped, shutdown="Stop"))
    assert (found.reason, found.final) == ("WorkflowLost", False)


def test_a_retried_pod_is_not_the_cause():
    first = a_node(
        "fetch", "Failed", "main: Error (exit code 75)", exit_code=75, display="fetch(0)", finished=T
    )
    last = a_node("fetch", "Succeeded", display="fetch(1)", finished=T)
    retry = a_node("fetch", "Succeeded", type="Retry", display="fetch", children=[first["id"], last["id"]])
    assert cause(workflow(first, last, retry, failed("main: Error (exit code 3)", 3))).step == STEP


def test_the_steps_own_words_are_told():
    error = {
        "reason": "GateFailed",
        "exitCode": 7,
        "message": "1 of 2 gates not met",
        "found": "rollout.nrmse = 2",
    }
    found = cause(workflow(failed("main: Error (exit code 7)", 7, result={"error": error, "metrics": {}})))
    assert (found.reason, found.final) == ("GateFailed", True)
    assert found.message == "1 of 2 gates not met; found: rollout.nrmse = 2"


def test_a_step_that_ran_out_of_memory_and_lived_to_say_so():
    error = {"reason": "OutOfMemory", "exitCode": 137, "message": "out of memory"}
    assert (
        cause(workflow(failed("main: Error (exit code 137)", 137, result={"error": error}))).reason
        == "OutOfMemory"
    )


def test_a_reason_that_the_status_has_no_word_for():
    error = {"reason": "Interrupted", "exitCode": 130, "message": "interrupted"}
    found = cause(workflow(failed("main: Error (exit code 130)", 130, result={"error": error})))
    assert (found.reason, found.exit_code) == ("InternalError", 130)


def test_a_shard_names_itself():
    node = a_node(
        "simulate", "Failed", "main: Error (exit code 1)", exit_code=1, display="simulate(3:3)", finished=T
    )
    assert cause(workflow(node)).message == "simulate(3:3): main: Error (exit code 1)"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("invalid spec: templates.main.tasks.cache templates.cache: not found", "InvalidSpec"),
        ("failed to resolve artifact repository: configmap not found", "InternalError"),
        ("", "InternalError"),
    ],
)
def test_a_workflow_that_failed_without_a_pod(message, reason):
    found = cause(workflow(message=message, phase="Error"))
    assert (found.step, found.reason) == ("workflow", reason)
    assert found.message
