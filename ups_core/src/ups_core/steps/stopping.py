"""SIGTERM: what a step says of it before it does anything else."""

from __future__ import annotations

import contextlib
from pathlib import Path

#: Argo hands it on with the node's message, where the operator looks for it.
ASKED_TO_STOP = "stopped by SIGTERM"
#: A container's last words, which the kubelet reads; there is no such file outside of one.
TERMINATION_LOG = Path("/dev/termination-log")


def heard() -> None:
    """Leave word that the signal came.

    A pod that is still saving when its grace is over is killed, and then looks (137) like one that broke. By
    this word it is known to have been asked to go: preempted, and no failure.
    """
    if TERMINATION_LOG.exists():
        with contextlib.suppress(OSError):  # a courtesy, for which no checkpoint is given up
            TERMINATION_LOG.write_text(ASKED_TO_STOP)
