"""Running what is measured: processes on one thread, among them ``ups run`` as a user would call it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.rows import ROOT
from ups_core.store import PublishedObject, open_uri

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Ran:
    """A process that ended well: what it printed, and the seconds that it and its children took."""

    out: str
    wall: float
    cpu: float


def run(command: Sequence[str], *, quiet: bool = True) -> Ran:
    """Run a process in the repository's root; CalledProcessError where it fails."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **dict.fromkeys(THREADS, "1")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        text=True,
        check=True,
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Ran(done.stdout, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def python(*arguments: str, quiet: bool = True) -> Ran:
    return run([sys.executable, *arguments], quiet=quiet)


def ups(*arguments: str, quiet: bool = True) -> Ran:
    """The command, from the environment that runs the benchmark."""
    return run([str(Path(sys.executable).parent / "ups"), *arguments], quiet=quiet)


@dataclass(frozen=True)
class Trained:
    """A finished ``ups run``: its metrics, and the object that each step published."""

    metrics: Mapping[str, float]
    objects: Mapping[str, PublishedObject]
    ran: Ran

    def result(self, step: str) -> Mapping[str, Any]:
        """What a step reported beside its files: CPU seconds, cost of a frame."""
        return self.objects[step].manifest.provenance["result"]

    def frames_per_cpu_second(self, who: str = "surrogate") -> float:
        return self.result("evaluate")["cost"][who]["frames_per_cpu_second"]

    def peak_memory_mib(self, step: str) -> float:
        """The most memory that the process of a step has had, MiB."""
        return self.objects[step].manifest.provenance["peakMemoryBytes"] / 2**20


def train(file: str, store: Path, *changes: str) -> Trained:
    """``ups run`` of an example, with ``--set`` for each of ``changes``."""
    options = [part for change in changes for part in ("--set", change)]
    ran = ups("run", file, "--store", str(store), "-o", "json", *options, quiet=False)
    status = json.loads(ran.out)["status"]
    return Trained(status["metrics"], {a["name"]: open_uri(a["uri"]) for a in status["artifacts"]}, ran)
