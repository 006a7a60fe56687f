"""One machine runs a resource once at a time: a lock on its record, held until all its steps are gone."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ups_core.errors import InvalidSpec
from ups_core.paths import cache_folder

#: Seconds to wait for the steps of a killed run to notice and save their state.
PATIENCE = 90.0


def own_name(store_uri: str, record: str) -> str:
    """A file name that no other record of this or of another store has."""
    return hashlib.sha256(f"{store_uri} {record}".encode()).hexdigest()[:24]


def lock_path(store_uri: str, record: str) -> Path:
    return cache_folder("locks") / own_name(store_uri, record)


def holder(store_uri: str, record: str) -> int | None:
    """The process that runs this resource now, if one does."""
    path = lock_path(store_uri, record)
    with contextlib.suppress(FileNotFoundError), path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0) or None
    return None


@contextlib.contextmanager
def exclusive(store_uri: str, record: str) -> Iterator[int]:
    """Hold the lock of a record; yields its file descriptor, for the steps to inherit.

    A run that was killed leaves steps that hold it for a moment longer: they are waited for. One
    whose command still lives is not: InvalidSpec (2).
    """
    path = lock_path(store_uri, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                owner = int(os.pread(descriptor, 32, 0) or 0)
                if _alive(owner) or time.monotonic() > deadline:
                    raise InvalidSpec(
                        "this resource is being run already",
                        where=record,
                        found=f"process {owner}",
                        fix="wait for it, or ups cancel it",
                    ) from None
                time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _alive(pid: int) -> bool:
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
