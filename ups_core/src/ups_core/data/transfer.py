"""Fetching raw files: a few at a time, and checked when they are here.

Every file is compared with the fingerprint that its key was made of, so that what was planned with
is what is trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from ups_core.data.sources import ENVIRONMENT, s3_place
from ups_core.errors import DataInvalid, NotFound
from ups_core.store import open_store

#: Files on their way at the same time.
FILES_AT_A_TIME = 4
BLOCK_BYTES = 4 * 2**20

Progress = Callable[[int, int, str], None]


class Meter:
    """Adds up bytes that arrive on several threads."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress, self._lock = 0, total, progress, Lock()

    def add(self, count: int, name: str) -> None:
        with self._lock:
            self._done += count
            self._progress(self._done, max(self._total, self._done), name)


def fetch_all(
    files: list[Mapping[str, Any]], places: Mapping[str, str], out: Path, work: Path, progress: Progress
) -> None:
    """Bring all ``files`` (a fingerprint) from their ``places`` into the folder ``out``.

    Raises NotFound where a file is gone, :class:`DataInvalid` where it is not the one of the
    fingerprint, CredentialsInvalid and StorageUnavailable where its server refuses or is away.
    """
    meter = Meter(sum(file.get("size", 0) for file in files), progress)
    with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
        jobs = [pool.submit(_fetch, file, places, out, work, meter) for file in files]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(file: Mapping[str, Any], places: Mapping[str, str], out: Path, work: Path, meter: Meter) -> None:
    name = file["name"]
    if name not in places:
        raise NotFound(
            "a file of the source is gone",
            where=name,
            found=", ".join(sorted(places)[:10]),
            fix="put the file back, or run again so that the source is listed anew",
        )
    address, target = places[name], out / name
    target.parent.mkdir(parents=True, exist_ok=True)
    etag = None
    if address.startswith(("http://", "https://")):
        from ups_core.data.http import download

        part = work / f"{name}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        etag = download(address, part, file.get("etag"), lambda count: meter.add(count, name))
        part.replace(target)
    elif address.startswith("s3://"):
        root, path = s3_place(address)
        store = open_store(root, prefix=ENVIRONMENT)
        store.get_file(path, target)
        etag = store.head(path).etag  # asked after the transfer: a file replaced meanwhile shows
        meter.add(target.stat().st_size, name)
    else:
        _copy(Path(address), target, lambda count: meter.add(count, name))
    check(file, target, etag)


def check(file: Mapping[str, Any], path: Path, etag: str | None = None) -> None:
    """Compare a fetched file with its fingerprint: size, given or computed hash, ETag."""
    found: dict[str, Any] = {"size": path.stat().st_size, "etag": etag}
    for kind in ("sha256", "md5"):
        if kind in file:
            with path.open("rb") as stream:
                found[kind] = hashlib.file_digest(stream, kind).hexdigest()
    for kind in ("size", "sha256", "md5", "etag"):
        if kind in file and found[kind] != file[kind]:
            raise DataInvalid(
                "a fetched file is not the one that was planned with",
                where=file["name"],
                found=f"{kind} {found[kind]}",
                expected=f"{kind} {file[kind]}",
                fix=f"correct spec.source.{kind}"
                if kind in ("sha256", "md5")
                else "run again: the source has changed",
            )


def _copy(source: Path, target: Path, advance: Callable[[int], None]) -> None:
    """A copy, not a link: a published object must not change when the user's file does."""
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            while block := reader.read(BLOCK_BYTES):
                writer.write(block)
                advance(len(block))
    except FileNotFoundError as error:
        raise NotFound("a file of the source is gone", where=source, fix="put the file back") from error
