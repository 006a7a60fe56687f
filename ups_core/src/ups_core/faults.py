"""Places where a test may kill the process, to show that nothing is ever half done.

A *fault point* is a line just before or after something becomes visible to others. With
``UPS_FAULT=publish.after-upload`` in the environment the process gets SIGKILL there, as from the
kernel's out-of-memory killer: no ``finally``, no handler, nothing flushed. ``UPS_FAULT=NAME:3``
strikes at the third passing.
"""

from __future__ import annotations

import os
from collections import Counter

FAULT_POINTS = frozenset(
    {
        "publish.before-upload",  # files are hashed, nothing is in the store
        "publish.after-upload",  # files are in the store, no manifest names them
        "publish.after-manifest",  # the object is there, nobody was told
        "checkpoint.before",
        "checkpoint.after",
    }
)

_passed: Counter[str] = Counter()


def fault_point(name: str) -> None:
    """Die here when ``UPS_FAULT`` says so. ValueError for a name that is not registered."""
    wanted = os.environ.get("UPS_FAULT")
    point, _, nth = (wanted or name).partition(":")
    if unknown := {name, point} - FAULT_POINTS:
        raise ValueError(f"no such fault point: {', '.join(sorted(unknown))}; known: {sorted(FAULT_POINTS)}")
    if not wanted or point != name:
        return
    _passed[name] += 1
    if _passed[name] == int(nth or 1):
        import signal  # 9 ms that no process pays which is not about to die

        os.kill(os.getpid(), signal.SIGKILL)
