"""What the pods of a run say, by the API server; and what those said that are gone, by the store."""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ups_core.errors import InvalidSpec, NotFound, UpsError
from ups_core.store import RunRecord
from ups_workflows.cli.rows import line
from ups_workflows.cluster.client import Cluster, pod_path
from ups_workflows.cluster.follow import INTERVAL, ended

#: The container of a step, beside those of Argo.
CONTAINER = "main"
#: How Argo marks what it says itself in that container.
EXECUTOR = " argo=true"
#: Where Argo puts the log of a pod that has ended, in the record of its run: attempt and pod. A pod is called
#: by its Workflow, its step and a number.
ARCHIVED = re.compile(rf"logs/containers/(\d+)/(.+)/{CONTAINER}\.log")


def pods_of(cluster: Cluster, resource: dict[str, Any], step: str | None) -> list[dict[str, Any]]:
    """The pods of the current attempt whose step has begun to speak, oldest first."""
    attempt = resource.get("status", {}).get("attempt", 0)
    wanted = {
        "ups.dev/uid": resource["metadata"]["uid"],
        "ups.dev/attempt": str(attempt),
        **({"ups.dev/step": step} if step else {}),
    }
    selector = ",".join(f"{label}={value}" for label, value in wanted.items())
    found = cluster.items(pod_path(cluster.namespace), labelSelector=f"{selector},ups.dev/step")
    return sorted(filter(speaks, found), key=lambda pod: pod["metadata"]["creationTimestamp"])


def speaks(pod: dict[str, Any]) -> bool:
    """Whether its step has a log: before that the API server refuses to give one."""
    states = [
        container["state"]
        for container in pod.get("status", {}).get("containerStatuses", [])
        if container["name"] == CONTAINER
    ]
    return any("running" in state or "terminated" in state for state in states)


def pod_lines(cluster: Cluster, pod: dict[str, Any], *, follow: bool = False) -> Iterator[str]:
    """The log of a step's container; one that is gone meanwhile has said nothing."""
    path = f"{pod_path(cluster.namespace, pod['metadata']['name'])}/log"
    query = {"container": CONTAINER, **({"follow": "true"} if follow else {})}
    step = pod["metadata"]["labels"]["ups.dev/step"]
    try:
        for text in cluster.lines(path, **query):
            if EXECUTOR not in text:
                yield told(step, text)
    except (NotFound, InvalidSpec):
        return


class Archived(NamedTuple):
    """The log of a pod that has ended, as Argo put it into the store."""

    step: str
    pod: str
    path: str


def archived(record: RunRecord, workflow: str, step: str | None) -> list[Archived]:
    """What there is of all attempts, oldest first. ``workflow``: the name of one without its attempt."""
    logs: list[Archived] = []
    for entry in sorted(record.store.list(record.path("logs/containers")), key=lambda entry: entry.mtime):
        if found := ARCHIVED.fullmatch(entry.path.removeprefix(record.path(""))):
            attempt, pod = found.groups()
            name = pod.removeprefix(f"{workflow}-{attempt}-").rpartition("-")[0]
            logs.append(Archived(name, pod, entry.path))
    return [each for each in logs if step in (None, each.step)]


def archived_lines(record: RunRecord, log: Archived) -> Iterator[str]:
    for text in record.store.get(log.path).decode(errors="replace").splitlines():
        if EXECUTOR not in text:
            yield told(log.step, text)


def told(step: str, text: str) -> str:
    """A line of a container: a structured one as the record would show it, another with its step before it.

    >>> told("convert", "Traceback (most recent call last):")
    'convert: Traceback (most recent call last):'
    """
    try:
        row = json.loads(text)
    except ValueError:
        row = None
    return line(row) if isinstance(row, dict) else f"{step}: {text}"


def followed_pods(cluster: Cluster, look: Callable[[], dict[str, Any]], step: str | None) -> Iterator[str]:
    """Lines of all pods, also of later ones and of later attempts, until what ``look`` gives has ended.

    A thread for each pod reads its log; shards speak at the same time.
    """
    said: queue.Queue[str | UpsError] = queue.Queue()
    readers: dict[str, threading.Thread] = {}

    def read(pod: dict[str, Any]) -> None:
        try:
            for text in pod_lines(cluster, pod, follow=True):
                said.put(text)
        except UpsError as error:
            said.put(error)

    while True:
        resource = look()
        ending = ended(resource)  # asked before the last look for pods
        for pod in pods_of(cluster, resource, step):
            if (uid := pod["metadata"]["uid"]) not in readers:
                readers[uid] = threading.Thread(target=read, args=(pod,), daemon=True)
                readers[uid].start()
        until = time.monotonic() + INTERVAL
        while not said.empty() or (wait := until - time.monotonic()) > 0:
            try:
                each = said.get(timeout=max(0.01, wait))
            except queue.Empty:
                break
            if isinstance(each, UpsError):
                raise each
            yield each
        if ending and not any(reader.is_alive() for reader in readers.values()):
            return
