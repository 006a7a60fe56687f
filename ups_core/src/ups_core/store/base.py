"""A store: the root under which everything UPS keeps is found, on S3 or in a folder.

Built on obstore: one API for files and S3, conditional create on both, streams, and it loads in
35 ms where botocore takes 300. Objects are small trees of files under ``objects/``, which never change
once their manifest is there; everything else (``runs/``, ``datasets/``) is plain files too.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote
from uuid import uuid4

from obstore import Bytes
from obstore.exceptions import AlreadyExistsError, NotFoundError
from obstore.store import LocalStore, S3Store

from ups_core.errors import InvalidSpec, NotFound
from ups_core.store.failures import BucketMissing, translating

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

#: Bytes of one request when a file travels in parts. S3 takes at most 10,000 parts a file.
PART_BYTES = 8 << 20
MAX_PARTS = 9_000
#: Parts of one file, and files of one folder, that travel at a time: at most 4 x 4 x 8 MiB in memory.
PARTS_AT_A_TIME = 4
FILES_AT_A_TIME = 4

_TRIES: RetryConfig = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2},
}
#: `timeout` bounds one request, of at most one part, not a whole file.
_TIMEOUTS: ClientConfig = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=120)}


class Entry(NamedTuple):
    """A file of a listing: path below the root, size in bytes, time of change in seconds since 1970."""

    path: str
    size: int
    mtime: float


class Head(NamedTuple):
    """What is known of a file without reading it."""

    size: int
    mtime: float
    etag: str | None


@dataclass(frozen=True)
class Store:
    """Files under one root. Made by :func:`open_store`; paths are relative, with ``/``.

    Every method raises CredentialsInvalid where the store refuses the caller, NotFound where the
    file or the bucket is missing, and StorageUnavailable where the store is full, read-only or does
    not answer within the retries.
    """

    uri: str
    #: The folder of a file store; None on S3.
    root: Path | None
    #: Prefix of the environment variables that are looked at first, e.g. ``UPS_SOURCE_``.
    prefix: str = ""

    def get(self, path: str) -> bytes:
        with self._at(path):
            return bytes(self._reader.get(path).bytes())

    def put(self, path: str, data: bytes) -> None:
        """Write or replace; a reader sees the old bytes or the new ones, never a part."""
        with self._at(path, write=True):
            self._writer.put(path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write only where nothing is there. True for exactly one of many concurrent callers.

        ``If-None-Match: *`` on S3, a hard link in a folder. A retry after a lost answer can meet
        its own file and return False: callers compare what is there with what they wrote.
        """
        with self._at(path, write=True):
            try:
                self._writer.put(path, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def put_file(self, path: str, local: Path) -> None:
        """Like :meth:`put`, streaming from a local file of any size."""
        part = max(PART_BYTES, math.ceil(local.stat().st_size / MAX_PARTS))
        with self._at(path, write=True):
            self._writer.put(path, local, chunk_size=part, max_concurrency=PARTS_AT_A_TIME)

    def get_file(self, path: str, local: Path) -> str:
        """Stream into a local file, whole or not at all. Returns the SHA-256 of what was read."""
        size = self.head(path).size
        part = local.with_name(f".{uuid4().hex}.part")
        hasher = hashlib.sha256()
        with translating(local.absolute().as_uri(), write=True):
            local.parent.mkdir(parents=True, exist_ok=True)
            try:
                with part.open("wb") as out:
                    for chunk in self.chunks(path, size):
                        hasher.update(chunk)
                        out.write(chunk)
                part.replace(local)
            finally:
                part.unlink(missing_ok=True)
        return hasher.hexdigest()

    def chunks(self, path: str, size: int) -> Iterator[Bytes]:
        """The file's bytes in order, a few parts read ahead. Each part is retried for itself."""
        if size <= PART_BYTES:
            if size:
                yield self._range(path, 0, size)
            return
        starts = range(0, size, PART_BYTES)
        with ThreadPoolExecutor(PARTS_AT_A_TIME) as pool:
            ahead: deque[Future[Bytes]] = deque()
            for start in starts:
                ahead.append(pool.submit(self._range, path, start, min(start + PART_BYTES, size)))
                if len(ahead) == PARTS_AT_A_TIME:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def sha256(self, path: str, size: int) -> str:
        """SHA-256 of the file's content, read from the store."""
        if self.root is not None:
            with self._at(path), (self.root / path).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        hasher = hashlib.sha256()
        for chunk in self.chunks(path, size):
            hasher.update(chunk)
        return hasher.hexdigest()

    def head(self, path: str) -> Head:
        with self._at(path):
            meta = self._reader.head(path)
        return Head(meta["size"], meta["last_modified"].timestamp(), meta["e_tag"])

    def exists(self, path: str) -> bool:
        try:
            self.head(path)
        except BucketMissing:
            raise
        except NotFound:
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All files below the folder ``prefix``, sorted by path; nothing where there is no such folder."""
        if self.root is not None and not self.root.exists():
            return
        with self._at(prefix):
            found = [
                Entry(meta["path"], meta["size"], meta["last_modified"].timestamp())
                for batch in self._reader.list(prefix.strip("/") or None)
                for meta in batch
            ]
        yield from sorted(found)

    def delete(self, path: str) -> None:
        """Remove a file; one that is gone already is no error."""
        with self._at(path, write=True):
            try:
                self._reader.delete(path)
            except (FileNotFoundError, NotFoundError):
                return

    def delete_folder(self, prefix: str) -> None:
        """Remove all files below ``prefix``, which must not be empty."""
        if not prefix.strip("/"):
            raise ValueError("a whole store is not deleted")
        if self.root is not None:
            with self._at(prefix, write=True):
                shutil.rmtree(self.root / prefix, ignore_errors=not (self.root / prefix).exists())
            return
        paths = [entry.path for entry in self.list(prefix)]
        with self._at(prefix, write=True):
            self._reader.delete(paths)

    def local_path(self, path: str) -> Path | None:
        """The real file of a file store, so that readers can map it into memory; None on S3."""
        return None if self.root is None else self.root / path

    def url(self, path: str) -> str:
        return f"{self.uri}/{path}" if path else self.uri

    def _range(self, path: str, start: int, end: int) -> Bytes:
        with self._at(path):
            return self._reader.get_range(path, start=start, end=end)

    def _at(self, path: str, *, write: bool = False):
        return translating(self.url(path), write=write)

    @property
    def _reader(self) -> S3Store | LocalStore:
        """The client. A folder that does not exist is not made by reading from it."""
        if self.root is not None and not self.root.exists():
            raise FileNotFoundError(2, "No such file or directory", str(self.root))
        return self._client

    @property
    def _writer(self) -> S3Store | LocalStore:
        if self.root is not None:
            self.root.mkdir(parents=True, exist_ok=True)
        return self._client

    @cached_property
    def _client(self) -> S3Store | LocalStore:
        return LocalStore(str(self.root)) if self.root is not None else _s3_client(self.uri, self.prefix)


def open_store(uri: str, *, prefix: str = "") -> Store:
    """``s3://bucket/prefix``, ``file:///folder`` or a plain path, as a :class:`Store`.

    Opening touches nothing: no request, no folder made. S3 takes credentials, endpoint and region
    from the environment (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``,
    ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``, ``AWS_REGION`` or ``AWS_DEFAULT_REGION``), else a
    workload identity. With a ``prefix``, variables of that prefix come first: a source may be somebody
    else's bucket. InvalidSpec for anything that is no such root.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        if not uri.strip():
            raise _invalid(uri)
        return _file_store(Path(uri).expanduser())
    if scheme == "file" and rest.startswith("/"):
        return _file_store(Path(unquote(rest)))
    bucket, _, folder = rest.partition("/")
    if scheme == "s3" and bucket and "?" not in rest:
        folder = "/".join(filter(None, folder.split("/")))
        return Store(uri="/".join(filter(None, (f"s3://{bucket}", folder))), root=None, prefix=prefix)
    raise _invalid(uri)


def _file_store(path: Path) -> Store:
    root = Path(os.path.abspath(path))  # noqa: PTH100  (resolve() would follow links, absolute() keeps "..")
    return Store(uri=root.as_uri(), root=root)


def _invalid(uri: str) -> InvalidSpec:
    return InvalidSpec(
        "not a store",
        where="--store",
        found=repr(uri),
        expected="s3://bucket/prefix, file:///folder or a path",
        fix="--store ./ups-store",
    )


def _s3_client(uri: str, prefix: str) -> S3Store:
    bucket, _, folder = uri.removeprefix("s3://").partition("/")

    def environment(name: str) -> str | None:
        return os.environ.get(prefix + name) or os.environ.get(name)

    endpoint = environment("AWS_ENDPOINT_URL_S3") or environment("AWS_ENDPOINT_URL")
    config: S3Config = {
        "region": environment("AWS_REGION") or environment("AWS_DEFAULT_REGION") or "us-east-1",
    }
    if endpoint:
        config["endpoint"] = endpoint.rstrip("/")
    if prefix and (access_key := os.environ.get(f"{prefix}AWS_ACCESS_KEY_ID")):
        config["access_key_id"] = access_key
        config["secret_access_key"] = os.environ.get(f"{prefix}AWS_SECRET_ACCESS_KEY", "")
        if token := os.environ.get(f"{prefix}AWS_SESSION_TOKEN"):
            config["session_token"] = token
    client: ClientConfig = {**_TIMEOUTS, "allow_http": bool(endpoint and endpoint.startswith("http://"))}
    # SSL_CERT_FILE, HTTPS_PROXY and NO_PROXY are read by the client itself.
    if bundle := environment("AWS_CA_BUNDLE") or environment("REQUESTS_CA_BUNDLE"):
        client["root_certificate"] = _certificates(Path(bundle))
    return S3Store(
        bucket,
        prefix=folder or None,
        config=config,
        client_options=client,
        retry_config=_TRIES,
    )


def _certificates(bundle: Path) -> bytes:
    try:
        return bundle.read_bytes()
    except OSError as error:
        raise InvalidSpec(
            "no certificates to trust",
            where="AWS_CA_BUNDLE",
            found=error,
            expected="a PEM file",
            fix="unset AWS_CA_BUNDLE, or correct its path",
        ) from error
