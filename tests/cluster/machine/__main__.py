"""``python -m machine up | down | status | env``, run in ``tests/cluster``."""

from __future__ import annotations

import argparse
import sys
from typing import TextIO

from ups_core.errors import UpsError

from . import box, cluster, containers, services
from .folders import LOGS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m machine", description=cluster.__doc__)
    parser.add_argument("verb", choices=["up", "down", "status", "env"])
    try:
        match parser.parse_args().verb:
            case "up":
                cluster.require()
                cluster.up(lambda line: _write(line, sys.stderr))
                _write(environment())
            case "down":
                cluster.down()
            case "status":
                return status()
            case "env":
                _write(environment())
    except UpsError as error:
        _write(str(error), sys.stderr)
        return error.exit_code
    return 0


def environment() -> str:
    """What a shell has to export to use the cluster and its S3 server, as ``admin`` of the latter."""
    variables = {
        "KUBECONFIG": services.KUBECONFIG,
        "AWS_ENDPOINT_URL": cluster.S3_ENDPOINT,
        "AWS_ACCESS_KEY_ID": "admin",
        "AWS_SECRET_ACCESS_KEY": "admin-secret",
        "AWS_REGION": "us-east-1",
    }
    return "\n".join(f"export {name}={value}" for name, value in variables.items())


def status() -> int:
    """A line for each program; 0 when all run."""
    if box.find() is None:
        _write("down")
        return 1
    running = {name: box.running(name) for name in services.NAMES}
    for name, runs in running.items():
        _write(f"{name:24} {'runs' if runs else f'ended: {box.log(name)}'}")
    names = [name for name in containers.images() if not name.startswith("sha256:")]
    _write(f"{'images':24} {', '.join(names)}")
    _write(f"{'logs':24} {LOGS}")
    return 0 if all(running.values()) else 1


def _write(line: str, to: TextIO = sys.stdout) -> None:
    to.write(f"{line}\n")
    to.flush()


if __name__ == "__main__":
    sys.exit(main())
