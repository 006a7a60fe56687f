"""Many TrainingRuns applied at once: when their Workflows are there, and what that costs the operator.

Nothing runs: a Dataset is said to be ready, and Argo is stopped, so that it is the operator that is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ups_operator.api import PATHS, KubernetesApi

STORE = "s3://scale/ups"
READY = {
    "phase": "Ready",
    "attempt": 1,
    "observedGeneration": 1,
    "key": "k",
    "digest": "d",
    "version": "v1",
    "uri": f"{STORE}/datasets/scale/data/v1.json",
    "artifacts": [
        {"name": step, "uri": f"{STORE}/objects/{step}/k", "digest": "d"} for step in ("convert", "validate")
    ],
}


@dataclass(frozen=True)
class Measured:
    """What was seen of one operator process."""

    #: Seconds from the first run's creation to the last Workflow's.
    workflows_seconds: float
    #: Upper bound of the bucket that holds 99 of 100 looks, seconds.
    reconcile_p99: float
    memory_mib: float
    #: Requests that failed, by kind of error.
    errors: Mapping[str, int]


@contextlib.contextmanager
def operator(
    namespace: str, folder: Path, *, port: int = 18080, **environment: str
) -> Iterator[subprocess.Popen]:
    """The operator as a process of this machine, for one namespace, until the end of the block."""
    settings = folder / "installation.yaml"
    settings.write_text(yaml.safe_dump({"artifacts": {"store": STORE}, "graceSeconds": 1}))
    told = {
        "UPS_INSTALLATION": str(settings),
        "UPS_WATCH_NAMESPACES": namespace,
        "UPS_HTTP_PORT": str(port),
    }
    with (folder / "operator.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from ups_operator.cli import main; main(['run'])"],
            env={**os.environ, **told, **environment},
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: scrape(port) is not None, 60, process)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def until(done: Any, seconds: float, process: subprocess.Popen) -> None:
    begin = time.monotonic()
    while not done():
        assert process.poll() is None, f"the operator ended with {process.returncode}"
        assert time.monotonic() - begin < seconds, f"not within {seconds} s"
        time.sleep(0.2)


def scrape(port: int) -> str | None:
    """The operator's metrics; None while it does not answer."""
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    return None


async def measure(namespace: str, count: int, process: subprocess.Popen, *, port: int = 18080) -> Measured:
    """Apply ``count`` runs as fast as the API server takes them, and wait until all have their Workflow."""
    api = await KubernetesApi.connect()
    try:
        await api.create("Dataset", namespace, resource("Dataset", "data", DATASET, suspend=True))
        await wait(lambda: phase_of(api, namespace, "data"), "Suspended")
        await api.patch("Dataset", namespace, "data", {"status": READY}, subresource="status")
        begin = time.monotonic()
        many = asyncio.Semaphore(8)

        async def apply(number: int) -> None:
            async with many:
                await api.create("TrainingRun", namespace, resource("TrainingRun", f"run-{number}", RUN))

        await asyncio.gather(*(apply(number) for number in range(count)))
        while await workflows(api, namespace) < count:
            assert time.monotonic() - begin < 600, "not within ten minutes"
            await asyncio.sleep(0.5)
        took = time.monotonic() - begin
        text = scrape(port) or ""
        return Measured(took, p99(text), memory_mib(process.pid), errors(text))
    finally:
        await api.close()


async def workflows(api: KubernetesApi, namespace: str) -> int:
    """How many there are. A page of one tells how many follow; to list them all would be work of its own."""
    page = await api._call("GET", PATHS["Workflow"].url(namespace), query={"limit": "1"})
    return len(page["items"]) + page["metadata"].get("remainingItemCount", 0)


async def phase_of(api: KubernetesApi, namespace: str, name: str) -> str | None:
    found = await api.get("Dataset", namespace, name)
    return (found or {}).get("status", {}).get("phase")


async def wait(look: Any, wanted: Any) -> None:
    async with asyncio.timeout(60):
        while await look() != wanted:
            await asyncio.sleep(0.2)


DATASET = {
    "family": "burgers1d",
    "source": {"simulate": {"samples": 160}},
    "splits": {"train": 116, "val": 12, "test": 32},
}
RUN = {"datasetRef": {"name": "data"}, "stages": [{"name": "operator", "config": {"steps": 10}}]}


def resource(kind: str, name: str, spec: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    meta = {"name": name}
    return {"apiVersion": "ups.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": {**spec, **more}}


def p99(text: str) -> float:
    """The bucket of the 99th percentile over all looks."""
    buckets: dict[float, float] = {}
    for bound, value in re.findall(r'ups_reconcile_seconds_bucket\{kind="\w+",le="([^"]+)"\} (\S+)', text):
        buckets[float(bound)] = buckets.get(float(bound), 0.0) + float(value)
    whole = buckets[float("inf")]
    return min(bound for bound, value in buckets.items() if value >= 0.99 * whole)


def errors(text: str) -> dict[str, int]:
    found = re.findall(r'ups_reconcile_errors_total\{error="(\w+)",kind="\w+"\} (\S+)', text)
    return {name: int(float(value)) for name, value in found}


def memory_mib(pid: int) -> float:
    """The most that the process has held, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
