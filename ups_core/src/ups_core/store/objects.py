"""Published objects: found by their key, hashed as they are read.

A reader never trusts storage. A cache hit compares names and sizes (one listing); a file's content
is compared with its SHA-256 when it is read, once per process; ``ups verify`` compares all of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ups_core.errors import DataInvalid, InvalidSpec, NotFound
from ups_core.store.base import FILES_AT_A_TIME, Entry, Store, open_store
from ups_core.store.failures import BucketMissing
from ups_core.store.manifest import FileFacts, Manifest, sha256_file

MANIFEST = "manifest.json"
_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_OBJECT = re.compile(rf"objects/{_SEGMENT}/{_SEGMENT}")

#: Local files whose content was compared: (path, size, mtime in ns, SHA-256).
_compared: set[tuple[str, int, int, str]] = set()


def object_path(step: str, key: str) -> str:
    """Where the object of ``step`` with ``key`` lies: ``objects/<step>/<key>``."""
    path = f"objects/{step}/{key}"
    if not _OBJECT.fullmatch(path):
        raise ValueError(f"step {step!r} and key {key!r} do not make a path")
    return path


@dataclass(frozen=True)
class PublishedObject:
    """A whole, immutable folder in the store. DataInvalid wherever a file differs from its manifest."""

    store: Store
    #: ``objects/<step>/<key>``
    path: str
    manifest: Manifest

    @property
    def uri(self) -> str:
        return self.store.url(self.path)

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def reference(self) -> dict[str, str]:
        """How a manifest that has this object as an input names it."""
        return {"step": self.manifest.step, "key": self.manifest.key, "digest": self.digest}

    def read(self, name: str) -> bytes:
        """The bytes of one file, compared with its SHA-256."""
        facts, path = self._facts(name), self._file_path(name)
        try:
            data = self.store.get(path)
        except BucketMissing:
            raise
        except NotFound as error:
            raise damaged(self.store, path, "no such file", facts["size"]) from error
        self._compare(name, hashlib.sha256(data).hexdigest())
        return data

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def file(self, name: str, work: Path) -> Path:
        """A local file with this content: the store's own where it is a folder, else a copy in ``work``.

        Treat it as read-only. A copy made earlier is used again where its content is right.
        """
        facts, path = self._facts(name), self._file_path(name)
        local = self.store.local_path(path)
        if local is None:
            local = work / self.manifest.step / self.manifest.key / name
            if not local.exists() or not _same(local, facts):
                self._compare(name, self.store.get_file(path, local))
                _remember(local, facts)
        elif not local.exists():
            raise damaged(self.store, path, "no such file", f"{facts['size']} bytes")
        elif not _same(local, facts):
            raise damaged(self.store, path, f"sha256 {sha256_file(local)}", f"sha256 {facts['sha256']}")
        return local

    def folder(self, work: Path) -> Path:
        """A local folder with all files; see :meth:`file`."""
        with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
            list(pool.map(lambda name: self.file(name, work), self.manifest.files))
        local = self.store.local_path(f"{self.path}/{self.manifest.uuid}")
        return local or work / self.manifest.step / self.manifest.key

    def _facts(self, name: str) -> FileFacts:
        try:
            return self.manifest.files[name]
        except KeyError:
            raise NotFound(
                f"the object has no file {name}",
                where=self.uri,
                found=", ".join(sorted(self.manifest.files)[:20]),
            ) from None

    def _file_path(self, name: str) -> str:
        return f"{self.path}/{self.manifest.uuid}/{name}"

    def _compare(self, name: str, sha256: str) -> None:
        if sha256 != (expected := self.manifest.files[name]["sha256"]):
            raise damaged(self.store, self._file_path(name), f"sha256 {sha256}", f"sha256 {expected}")


def damaged(store: Store, path: str, found: object, expected: object) -> DataInvalid:
    """The error for a file of an object that is not what the manifest says."""
    return DataInvalid(
        f"object {'/'.join(path.split('/')[:3])} is damaged",
        where=store.url(path),
        found=found,
        expected=expected,
        fix=_mend(store),
    )


def open_object(store: Store, path: str) -> PublishedObject:
    """Open ``objects/<step>/<key>``. NotFound where nothing is published there; reads the manifest only."""
    path = path.strip("/")
    if not _OBJECT.fullmatch(path):
        raise InvalidSpec("not an object", found=path, expected="objects/<step>/<key>", fix="ups status")
    data = store.get(f"{path}/{MANIFEST}")
    manifest = Manifest.from_json(data, where=store.url(f"{path}/{MANIFEST}"), fix=_mend(store))
    return PublishedObject(store, path, manifest)


def open_uri(uri: str) -> PublishedObject:
    """Open an object by its whole address, ``s3://bucket/prefix/objects/<step>/<key>``."""
    root, marker, rest = uri.rpartition("objects/")
    if not marker:
        raise InvalidSpec("not an object", found=uri, expected="STORE/objects/<step>/<key>", fix="ups status")
    return open_object(open_store(root.rstrip("/") or "."), f"objects/{rest}")


def find(store: Store, step: str, key: str) -> PublishedObject | None:
    """The object of this key, or None. Compares names and sizes; DataInvalid where they differ."""
    path = object_path(step, key)
    try:
        published = open_object(store, path)
    except BucketMissing:
        raise
    except NotFound:
        return None
    folder = f"{path}/{published.manifest.uuid}"
    sizes = {entry.path.removeprefix(f"{folder}/"): entry.size for entry in store.list(folder)}
    for name, facts in published.manifest.files.items():
        if sizes.get(name) != facts["size"]:
            found = f"{sizes[name]} bytes" if name in sizes else "no such file"
            raise damaged(store, f"{folder}/{name}", found, f"{facts['size']} bytes")
    return published


class Finding(NamedTuple):
    """One thing wrong with a published object."""

    #: ``objects/<step>/<key>``
    object: str
    #: The file, relative to the publisher's folder, or ``manifest.json``.
    file: str
    found: str
    expected: str


def verify(
    store: Store, path: str | None = None, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Finding]:
    """Read and hash every file of one object, or of all; what differs, sorted.

    ``progress(done, total)`` counts objects. NotFound where ``path`` names nothing published.
    """
    paths = published_paths(store.list("objects")) if path is None else [path.strip("/")]
    findings: list[Finding] = []
    for done, each in enumerate(paths):
        progress(done, len(paths))
        findings += _verify_object(store, each)
    progress(len(paths), len(paths))
    return sorted(findings)


def _verify_object(store: Store, path: str) -> list[Finding]:
    try:
        published = open_object(store, path)
    except DataInvalid as error:
        return [Finding(path, MANIFEST, error.details.get("found", error.what), "a whole manifest")]

    def check(item: tuple[str, FileFacts]) -> Finding | None:
        name, facts = item
        file = f"{path}/{published.manifest.uuid}/{name}"
        try:
            size = store.head(file).size
        except BucketMissing:
            raise
        except NotFound:
            return Finding(path, name, "no such file", f"{facts['size']} bytes")
        if size != facts["size"]:
            return Finding(path, name, f"{size} bytes", f"{facts['size']} bytes")
        sha256 = store.sha256(file, size)
        return None if sha256 == facts["sha256"] else Finding(path, name, f"sha256 {sha256}", facts["sha256"])

    with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
        return [finding for finding in pool.map(check, published.manifest.files.items()) if finding]


def published_paths(entries: Iterator[Entry] | list[Entry]) -> list[str]:
    """``objects/<step>/<key>`` of every manifest in a listing of ``objects``."""
    return [entry.path.removesuffix(f"/{MANIFEST}") for entry in entries if is_manifest(entry.path)]


def is_manifest(path: str) -> bool:
    """Whether this path of a store is an object's manifest (a publisher may have a file of that name)."""
    parts = path.split("/")
    return len(parts) == 4 and parts[0] == "objects" and parts[3] == MANIFEST


def references_in(text: str) -> set[str]:
    """Every ``objects/<step>/<key>`` that a text names, by path or by whole address."""
    return set(_OBJECT.findall(text))


def _mend(store: Store) -> str:
    return f"ups gc --damaged --apply --store {store.uri}"


def _same(local: Path, facts: FileFacts) -> bool:
    """Whether a local file has this content; hashed once per process and state of the file."""
    if _seal(local, facts) in _compared:
        return True
    if local.stat().st_size != facts["size"] or sha256_file(local) != facts["sha256"]:
        return False
    _remember(local, facts)
    return True


def _remember(local: Path, facts: FileFacts) -> None:
    _compared.add(_seal(local, facts))


def _seal(local: Path, facts: FileFacts) -> tuple[str, int, int, str]:
    stat = local.stat()
    return (str(local), stat.st_size, stat.st_mtime_ns, facts["sha256"])
