"""A shell in a container by the API server's own stream, for machines without ``kubectl``."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Any

from ups_workflows.cluster.client import Cluster

#: Channels of the stream, as Kubernetes numbers them.
STDIN, STDOUT, STDERR, RESIZE = 0, 1, 2, 4


def execute(cluster: Cluster, pod: str, container: str) -> int:
    """Join this process's standard streams with a shell; its exit code."""
    from kubernetes.client import CoreV1Api
    from kubernetes.stream import stream

    terminal = sys.stdin.isatty()
    remote: Any = stream(
        CoreV1Api(cluster.client).connect_get_namespaced_pod_exec,
        pod,
        cluster.namespace,
        container=container,
        command=["/bin/sh"],
        stdin=True,
        stdout=True,
        stderr=True,
        tty=terminal,
        binary=True,
        _preload_content=False,
    )
    if terminal:
        size = os.get_terminal_size()
        remote.write_channel(RESIZE, json.dumps({"Width": size.columns, "Height": size.lines}).encode())
    with _raw(terminal):
        _join(remote)
    return remote.returncode


def _join(remote: Any) -> None:
    """Carry bytes both ways until the shell ends."""
    listened = [sys.stdin.fileno(), remote.sock.sock]
    while remote.is_open():
        # A second at most: what TLS has decrypted already makes no socket readable.
        ready, _, _ = select.select(listened, [], [], 1.0)
        if sys.stdin.fileno() in ready:
            if typed := os.read(sys.stdin.fileno(), 4096):
                remote.write_stdin(typed)
            else:
                listened.remove(sys.stdin.fileno())
                remote.close_channel(STDIN)
        remote.update(timeout=0)
        _show(remote)
    # An empty channel is looked for on the wire, where the other's last words and the end may come first.
    _show(remote)


def _show(remote: Any) -> None:
    for channel, file in ((STDOUT, sys.stdout), (STDERR, sys.stderr)):
        file.buffer.write(remote.read_channel(channel))
        file.flush()


@contextlib.contextmanager
def _raw(terminal: bool) -> Iterator[None]:
    """Inside, keys go to the shell as they are pressed, Ctrl-C too."""
    if not terminal:
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
