"""``/metrics`` for Prometheus and ``/healthz`` for the kubelet, served by a thread of its own.

A thread, so that an event loop that hangs is told as one: nothing resyncs then, and ``/healthz`` says so.
"""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

#: Resyncs that may be missed before the operator is taken for dead.
MISSED = 3


class Health:
    """Alive while everything was looked at not too long ago."""

    def __init__(self, period_seconds: float) -> None:
        self._limit = MISSED * period_seconds
        self._last = time.monotonic()

    def resynced(self) -> None:
        self._last = time.monotonic()

    def check(self) -> tuple[int, str]:
        """HTTP status, and what to say."""
        age = time.monotonic() - self._last
        return (
            200 if age <= self._limit else 503
        ), f"last resync {age:.0f} s ago, {self._limit:.0f} s allowed\n"


def serve(port: int, registry: CollectorRegistry, health: Health) -> ThreadingHTTPServer:
    """Begin to serve on all addresses; ``shutdown()`` of what is returned ends it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif path == "/healthz":
                status, text = health.check()
                self._answer(status, text.encode(), "text/plain")
            else:
                self._answer(404, b"/metrics and /healthz\n", "text/plain")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds; nobody reads of each."""

    server = ThreadingHTTPServer(("", port), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
