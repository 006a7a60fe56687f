"""A shell over the API server's stream: nothing of what it said is lost at its end."""

from __future__ import annotations

import io
import os
import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.stream import ws_client
from websocket import ABNF

from ups_workflows.cluster import terminal

ENDED = b'\x03{"status": "Failure", "details": {"causes": [{"message": "3"}]}}'


class Wire:
    """A WebSocket whose frames arrive when the test says: each lies there as one byte of a socket pair."""

    subprotocol, connected = ws_client.V4_CHANNEL_PROTOCOL, True

    def __init__(self) -> None:
        self.sock, self._far = socket.socketpair()
        self._frames: list[tuple[int, bytes]] = []

    def arrive(self, *data: bytes, closed: bool = False) -> None:
        frames = [(ABNF.OPCODE_BINARY, each) for each in data]
        self._frames += [*frames, (ABNF.OPCODE_CLOSE, b"")] if closed else frames
        self._far.send(b"." * (len(data) + closed))

    def recv_data_frame(self, control: bool) -> tuple[int, Any]:
        self.sock.recv(1)
        code, data = self._frames.pop(0)
        return code, SimpleNamespace(data=data)


class Screen:
    """Standard output; after its first words arrive the last ones and the end, all at once."""

    def __init__(self, wire: Wire) -> None:
        self.buffer, self._wire = io.BytesIO(), wire

    def flush(self) -> None:
        if self._wire is not None and self.buffer.getvalue():
            self._wire.arrive(b"\x01last\n", b"\x02gone\n", ENDED, closed=True)
            self._wire = None


def test_words_that_arrive_with_the_end_are_shown(monkeypatch: pytest.MonkeyPatch):
    wire = Wire()
    monkeypatch.setattr(ws_client, "create_websocket", lambda *_: wire)
    remote = ws_client.WSClient(None, "", {}, capture_all=False, binary=True)
    out, err = Screen(wire), SimpleNamespace(buffer=io.BytesIO(), flush=lambda: None)
    reading, typed = os.pipe()
    with os.fdopen(reading) as keys, os.fdopen(typed, "w"):
        for name, stream in (("stdin", keys), ("stdout", out), ("stderr", err)):
            monkeypatch.setattr(sys, name, stream)
        wire.arrive(b"\x01first\n")
        terminal._join(remote)
        monkeypatch.undo()
    assert (out.buffer.getvalue(), err.buffer.getvalue()) == (b"first\nlast\n", b"gone\n")
    assert remote.returncode == 3
