"""One machine runs a resource once at a time: a lock on its record, held until all its steps are gone."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ups_core.errors import InvalidSpec, StorageUnavailable
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


@dataclass
class Lock:
    """A lock that is held; steps inherit its file descriptor, and it is free when the last of them ends."""

    record: str
    descriptor: int | None

    def release(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def acquire(store_uri: str, record: str, *, wait: Callable[[int], None] | None = None) -> Lock:
    """Take the lock of a record.

    A run that was killed leaves steps that hold it for a moment longer: they are waited for. One whose
    command still lives is waited for only with ``wait``, which is told its process once; otherwise
    InvalidSpec (2).
    """
    path = lock_path(store_uri, record)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(record, os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageUnavailable(
            "the cache folder cannot be written",
            where=path.parent,
            found=error,
            fix="export XDG_CACHE_HOME=/tmp/cache",
        ) from error
    assert lock.descriptor is not None
    deadline, told = time.monotonic() + PATIENCE, False
    while True:
        try:
            fcntl.flock(lock.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            owner = int(os.pread(lock.descriptor, 32, 0) or 0)
            living = _alive(owner)
            if living and wait is not None:
                if not told:
                    wait(owner)
                told = True
            elif living or time.monotonic() > deadline:
                lock.release()
                raise InvalidSpec(
                    "this resource is being run already",
                    where=record,
                    found=f"process {owner}",
                    fix="wait for it, or ups cancel it",
                ) from None
            time.sleep(0.1)
    os.ftruncate(lock.descriptor, 0)
    os.pwrite(lock.descriptor, str(os.getpid()).encode(), 0)
    return lock


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
