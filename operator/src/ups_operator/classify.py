"""Why an attempt ended, from the words of Argo, the kubelet and the scheduler. Pure.

Nothing structured says whether a pod was taken away or broke: Argo hands on one message and an exit code.
The tables below are those messages, from the sources of Argo 3.6 to 4.0 and Kubernetes 1.28 to 1.35; their
test holds one example of each. The order of the questions matters: a pod that is out of time gets the same
SIGTERM as one that is preempted, and a pod that was asked to stop looks like one that failed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import get_args

from ups_core.api.common import Reason
from ups_core.errors import InvalidSpec, Preempted, StorageUnavailable
from ups_core.steps.stopping import ASKED_TO_STOP
from ups_operator.observe import Node, Observed
from ups_workflows.outcome import Failure, failure_of

#: Argo stopped the node because the whole Workflow was shut down: by us, or with `argo stop`.
SHUTDOWN = re.compile(r"^(workflow shutdown with strategy|Stopped with strategy)")

#: Argo at the Workflow's deadline, the kubelet at the pod's.
DEADLINE = re.compile(
    r"Step exceeded its deadline"
    r"|Pod was active on the node longer than (the )?specified deadline"
)

OUT_OF_MEMORY = re.compile(r"\bOOMKilled\b")

#: The kubelet evicts a pod over its own limits: another node would end the same way.
OVER_ITS_LIMITS = re.compile(
    r"ephemeral local storage usage exceeds the total limit of containers"
    r"|exceeded its local ephemeral storage limit"
    r"|Usage of EmptyDir volume .* exceeds the limit"
)

PREEMPTED = re.compile(
    "|".join(
        (
            r"^pod deleted$",  # Argo: the pod went without a last word
            r"^Pod failed before \S+ container starts",  # Argo: taken away while it was being created
            r"^can't find failed message for pod",  # Argo: failed before the kubelet reported anything
            r"^pod failed: neither main nor wait container",  # the pod collector: its node is gone
            r"^pod failed: wait container",  # Argo: main was done, its outputs were not saved
            r"ContainerStatusUnknown",  # kubelet, after a restart of its node
            r"could not be located when the pod was (deleted|terminated)",
            r"The node was low on resource",  # kubelet: evicted under pressure of the node
            r"The node had condition:",  # kubelet: not admitted under pressure
            r"imminent node shutdown",  # kubelet: graceful shutdown of the node
            r"node is shutting down",
            r"^Preempted in order to admit critical pod",
            r"^Node \S+ which was running pod \S+ is unresponsive",
            r"^Pod was rejected",  # kubelet: not admitted; before 1.27 without these words
            r"Node didn't have enough (resource|capacity)",
            r"Predicate \S+ failed",
            r"Allocate failed due to",  # device plugin: the accelerator is gone or not healthy yet
            # Argo's executor: the step was done, and the API server stayed away when that was to be told
            r"^wait: Error .*workflowtaskresults.*"
            r"(connection refused|i/o timeout|TLS handshake timeout|connection reset|no route to host)",
            ASKED_TO_STOP,  # a step of ours, killed while it was still saving
        )
    )
)

#: The API server refused the pod: what the resource asks for cannot be.
REFUSED = re.compile(r"is forbidden: violates PodSecurity|is invalid: (spec|metadata)\b|^invalid spec")

_EXIT_CODE = re.compile(r"\(exit code (\d+)\)")
_REASONS = frozenset({*get_args(Reason), Preempted.reason})
_NEVER = datetime.max.replace(tzinfo=UTC)


def cause(seen: Observed) -> Failure:
    """Why a Workflow that ended, and neither succeeded nor was stopped by us, did so."""
    failed = sorted(
        (node for node in seen.nodes if node.failed and not SHUTDOWN.search(node.message)),
        key=lambda node: (node.finished or _NEVER, node.started or _NEVER, node.display),
    )
    if failed:
        return of_node(failed[0], seen)
    if seen.shutdown:
        return Failure(
            "workflow", None, "WorkflowLost", f"Workflow {seen.name} was stopped, and not by spec.suspend"
        )
    if DEADLINE.search(seen.message):
        return _out_of_time("workflow", seen)
    reason = InvalidSpec.reason if REFUSED.search(seen.message) else "InternalError"
    return Failure("workflow", None, reason, seen.message or f"Workflow {seen.name} is {seen.phase}")


def of_node(node: Node, seen: Observed) -> Failure:
    """Why one pod failed: the first that did is the cause, what ended later did so because of it."""
    message = node.message if node.display == node.step else f"{node.display}: {node.message}"
    code = node.exit_code if node.exit_code is not None else _code_in(node.message)
    told = (
        failure_of(node.step, code, dict(node.result))
        if code is not None and "error" in node.result
        else None
    )
    if DEADLINE.search(node.message):
        return _out_of_time(node.step, seen)
    if OUT_OF_MEMORY.search(node.message) or (told and told.reason == "OutOfMemory"):
        return Failure(node.step, code, "OutOfMemory", message)
    if OVER_ITS_LIMITS.search(node.message):
        return Failure(node.step, code, StorageUnavailable.reason, message)
    if PREEMPTED.search(node.message):
        return Failure(node.step, code, Preempted.reason, message)
    if told is not None:
        return told if told.reason in _REASONS else Failure(node.step, code, "InternalError", told.message)
    if code is not None:
        bare = failure_of(node.step, code, None)
        return Failure(node.step, code, bare.reason, message or bare.message)
    reason = InvalidSpec.reason if REFUSED.search(node.message) else "InternalError"
    return Failure(node.step, None, reason, message or f"{node.step} is {node.phase}")


def _out_of_time(step: str, seen: Observed) -> Failure:
    """A deadline: the step's own where it has a smaller one, else the attempt's, set by time or by money."""
    own, whole = seen.step_deadlines.get(step), seen.deadline_seconds
    if own is not None and (whole is None or own < whole):
        return Failure(step, None, "DeadlineExceeded", f"did not end within its {own} s")
    if seen.deadline_limit == "BudgetExceeded":
        return Failure(step, None, "BudgetExceeded", f"the budget was spent after {whole} s of this attempt")
    return Failure(step, None, "DeadlineExceeded", f"the attempt did not end within its {whole} s")


def _code_in(message: str) -> int | None:
    found = _EXIT_CODE.search(message)
    return int(found[1]) if found else None
