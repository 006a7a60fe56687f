"""A pod to look around in: as the pod of a step, but that it sleeps."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any

from ups_core.api.common import API_VERSION
from ups_core.errors import NotFound
from ups_workflows.cli.show import err
from ups_workflows.cluster.client import IN_CLUSTER, Cluster, ClusterUnavailable, pod_path, workflow_path
from ups_workflows.cluster.terminal import execute

#: A pod that nobody comes back to ends by itself.
LONGEST_SECONDS = 8 * 3600
#: Seconds to wait for a node and an image.
START_SECONDS = 900
CONTAINER = "main"
#: What a step's container is given, of all that a template has.
_CONTAINER = ("image", "imagePullPolicy", "env", "envFrom", "volumeMounts", "securityContext", "resources")


def shell(cluster: Cluster, resource: Mapping[str, Any], step: str) -> int:
    """Open a shell in a pod like the step's, and delete the pod when it ends; the shell's exit code."""
    workflow = _workflow(cluster, resource)
    pod = shell_pod(workflow, resource, step)
    name = pod["metadata"]["name"]
    for ending in (signal.SIGTERM, signal.SIGHUP):  # a terminal that is closed must not leave a pod
        signal.signal(ending, signal.default_int_handler)
    cluster.create(pod_path(cluster.namespace), pod)
    try:
        err.print(f"pod {name} is made as that of step {step}; it is deleted when the shell ends")
        _wait(cluster, name)
        err.print(f"run the step: {command(workflow, step)}", markup=False)
        return _kubectl(cluster, name) if shutil.which("kubectl") else execute(cluster, name, CONTAINER)
    finally:
        cluster.delete(pod_path(cluster.namespace, name))


def shell_pod(workflow: Mapping[str, Any], resource: Mapping[str, Any], step: str) -> dict[str, Any]:
    """The pod: image, environment, volumes, placement and security are those of the step's template."""
    spec, template = workflow["spec"], template_of(workflow, step)
    whole = {
        "volumes": [*spec.get("volumes", []), *template.get("volumes", [])],
        "securityContext": spec.get("securityContext"),
        "imagePullSecrets": spec.get("imagePullSecrets"),
        "serviceAccountName": spec.get("serviceAccountName"),
        "nodeSelector": template.get("nodeSelector"),
        "tolerations": template.get("tolerations"),
        "priorityClassName": spec.get("podPriorityClassName"),
    }
    given = template["container"]
    container = {name: given[name] for name in _CONTAINER if name in given}
    metadata = resource["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-shell-{uuid.uuid4().hex[:5]}",
            "namespace": metadata["namespace"],
            # The network is that of steps, whose policy goes by this label.
            "labels": {
                "workflows.argoproj.io/workflow": workflow["metadata"]["name"],
                "ups.dev/shell": step,
            },
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": resource["kind"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                }
            ],
        },
        "spec": {
            **{name: value for name, value in whole.items() if value},
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "activeDeadlineSeconds": LONGEST_SECONDS,
            "containers": [{"name": CONTAINER, "command": ["sleep", str(LONGEST_SECONDS)], **container}],
        },
    }


def template_of(workflow: Mapping[str, Any], step: str) -> dict[str, Any]:
    """The container template of a step. NotFound names those that there are."""
    found = {each["name"]: each for each in workflow["spec"]["templates"] if "container" in each}
    if step not in found:
        raise NotFound(
            "the Workflow has no such step",
            where=workflow["metadata"]["name"],
            found=step,
            expected=", ".join(found),
        )
    return found[step]


def command(workflow: Mapping[str, Any], step: str) -> str:
    """What the step's container runs, to be pasted; it fetches its inputs itself. Of shards the first."""
    container = template_of(workflow, step)["container"]
    words = [*container["command"], *container.get("args", [])]
    return shlex.join(word.replace("{{inputs.parameters.shard}}", "0") for word in words)


def _workflow(cluster: Cluster, resource: Mapping[str, Any]) -> dict[str, Any]:
    name = resource["metadata"]["name"]
    current = resource.get("status", {}).get("workflow", {}).get("name")
    if current is None:
        raise NotFound("it has no Workflow yet", where=name, fix=f"ups status {name} --engine argo")
    try:
        return cluster.get(workflow_path(cluster.namespace, current))
    except NotFound as error:
        raise NotFound(
            "its Workflow is deleted already",
            where=f"{name}: Workflow {current}",
            fix=f"ups resume {name} --engine argo, which makes another",
        ) from error


def _wait(cluster: Cluster, name: str) -> None:
    """Until the container runs, telling what it waits for."""
    until, told = time.monotonic() + START_SECONDS, ""
    while True:
        pod = cluster.get(pod_path(cluster.namespace, name))
        status = pod.get("status", {})
        if status.get("phase") == "Running":
            return
        reason = waiting(status)
        if reason != told:
            err.print(f"the pod waits: {reason}", markup=False)
            told = reason
        if status.get("phase") in ("Failed", "Succeeded") or time.monotonic() > until:
            raise ClusterUnavailable(
                "the pod does not start", where=name, found=reason, fix=f"kubectl describe pod {name}"
            )
        time.sleep(0.5)


def waiting(status: Mapping[str, Any]) -> str:
    """Why a pod does not run yet, in the words of kubelet or scheduler. Pure."""
    for container in status.get("containerStatuses", []):
        if state := container["state"].get("waiting"):
            return ": ".join(filter(None, (state.get("reason"), state.get("message"))))
    for condition in status.get("conditions", []):
        if condition["status"] == "False" and condition.get("message"):
            return condition["message"]
    return status.get("message") or "for a node"


def _kubectl(cluster: Cluster, name: str) -> int:
    where = ["-n", cluster.namespace]
    if cluster.context != IN_CLUSTER:
        where += ["--context", cluster.context]
    terminal = "-it" if sys.stdin.isatty() else "-i"
    command = ["kubectl", *where, "exec", terminal, name, "-c", CONTAINER, "--", "/bin/sh"]
    return subprocess.run(command, check=False).returncode
