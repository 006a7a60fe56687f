"""Where, when and with what an object was made; kept outside its digest."""

from __future__ import annotations

import os
import platform
import resource
import socket
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ups_core.cores import available_cores

#: Libraries whose version can change the bytes of a result.
LIBRARIES = (
    "ups-core", "numpy", "scipy", "torch", "pytorch-optimizer", "h5py", "zarr", "safetensors", "matplotlib",
    "imageio-ffmpeg",
)  # fmt: skip


class Clock:
    """Measures a step from its construction on: time and memory, its own and its children's."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self._wall, self._cpu = time.monotonic(), _cpu_seconds()

    def provenance(self, *, threads: int | None, result: dict[str, Any]) -> dict[str, Any]:
        return {
            "startedAt": self.started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._wall, 3),
            "cpuSeconds": round(_cpu_seconds() - self._cpu, 3),
            "peakMemoryBytes": _peak_memory(),
            "host": socket.gethostname(),
            "platform": platform.platform(),
            "processor": processor_model(),
            "python": platform.python_version(),
            "threads": threads or available_cores(),
            "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
            "result": result,
        }


def processor_model() -> str:
    """The processor's model name: results agree to the byte only between equal models."""
    try:
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123
            names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
            return next(names, platform.machine())
    except OSError:
        return platform.processor() or platform.machine()


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_memory() -> int:
    """The most that this process, or the largest of its children, has had in the machine's memory at once."""
    who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    largest = max(resource.getrusage(each).ru_maxrss for each in who)
    return largest if sys.platform == "darwin" else largest * 1024


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
