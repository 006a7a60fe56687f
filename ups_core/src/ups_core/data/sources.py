"""The identity of raw files: what a source holds, told without its address.

A Dataset's key starts from a *fingerprint*: name and hash of each file. The hash is the one the user
gave; else, where a server keeps one (S3, http), its ETag with the size; else the SHA-256 of the local
file, remembered by path, size and time of change so that a second look costs nothing. The address is
no part of it: the same files from another place are the same data.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from ups_core.data.families import family as family_of
from ups_core.errors import InvalidSpec, NotFound
from ups_core.paths import cache_folder
from ups_core.store import open_store, sha256_file
from ups_core.store.manifest import is_safe_name

#: Variables of this prefix, the keys of ``source.secretRef`` on a cluster, come before the store's own.
ENVIRONMENT = "UPS_SOURCE_"
#: A file changed less than this ago may change again within the same tick of the file system's clock.
SETTLED_NS = 2 * 10**9


def fingerprint(source: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The files of ``source`` (``spec.source`` of a Dataset, with its ``family``), in name order.

    Each is ``{"name", "sha256" | "md5"}`` where a hash is given, ``{"name", "size", "sha256"}`` for
    local files, ``{"name", "size", "etag"}`` for S3 and http. Raises NotFound where there is no such
    file, InvalidSpec where files cannot be told apart by name or a server tells no ETag.
    """
    places = locate(source)
    given = given_hashes(source, sorted(places))
    return [
        {"name": name, **given[name]} if name in given else {"name": name, **_identity(places[name])}
        for name in sorted(places)
    ]


def locate(source: Mapping[str, Any]) -> dict[str, str]:
    """Name to address of each file: a path, an ``s3://`` or an ``http(s)://`` address.

    Files under a folder or prefix are named by their path below it.
    """
    if urls := source.get("urls"):
        if pattern := source.get("pattern"):
            raise InvalidSpec(
                "a pattern chooses among the files of a folder; addresses are chosen by listing them",
                where="spec.source.pattern",
                found=repr(pattern),
                expected="no pattern beside addresses of single files",
                fix="remove spec.source.pattern",
            )
        places: dict[str, str] = {}
        for url in urls:
            _check_scheme(url, "spec.source.urls", ("http", "https", "s3"))
            name = PurePosixPath(unquote(urlsplit(url).path)).name
            if name in places or not is_safe_name(name):
                raise InvalidSpec(
                    "files of a source need names of their own",
                    where="spec.source.urls",
                    found=f"{name!r}, from {url}",
                    expected="addresses whose last parts are different file names",
                    fix="edit spec.source.urls",
                )
            places[name] = url
        return places
    uri = source.get("uri")
    if uri is None:
        raise InvalidSpec(
            "this source cannot be fetched",
            where="spec.source",
            found=", ".join(sorted(source)),
            expected="uri or urls",
            fix="set spec.source.uri to the downloaded files",
        )
    if uri.startswith(("http://", "https://")):
        return locate({**source, "urls": [uri]})
    if "://" in uri:
        _check_scheme(uri, "spec.source.uri", ("file", "s3"))
    matches = _matcher(source)
    found = dict(_s3_files(uri, matches) if uri.startswith("s3://") else _local_files(uri, matches))
    if not found:
        raise NotFound(
            "the source holds no data",
            where=uri,
            found="no matching file",
            expected=_wanted(source),
            fix="correct spec.source.uri or spec.source.pattern",
        )
    return dict(sorted(found.items()))


def given_hashes(source: Mapping[str, Any], names: list[str]) -> dict[str, dict[str, str]]:
    """Name to ``{"sha256" | "md5": hash}`` for the files whose hash the user gave."""
    given: dict[str, dict[str, str]] = {}
    for kind in ("md5", "sha256"):
        hashes = source.get(kind)
        if isinstance(hashes, str):
            if len(names) != 1:
                raise InvalidSpec(
                    f"one {kind} for several files",
                    where=f"spec.source.{kind}",
                    found=f"{len(names)} files: {', '.join(names[:5])}",
                    expected="one file, or a map from file name to hash",
                    fix=f"write spec.source.{kind} as {{{names[0]}: {hashes[:8]}..., ...}}",
                )
            hashes = {names[0]: hashes}
        for name, value in (hashes or {}).items():
            if name not in names:
                raise NotFound(
                    f"a {kind} is given for a file that is not there",
                    where=f"spec.source.{kind}",
                    found=name,
                    expected=", ".join(names[:10]),
                    fix=f"correct the name in spec.source.{kind}",
                )
            given[name] = {kind: value}
    return given


def s3_place(address: str) -> tuple[str, str]:
    """Root and path of an ``s3://bucket/a/b.h5``: the bucket's root ``s3://bucket`` and ``a/b.h5``."""
    bucket, _, path = address.removeprefix("s3://").partition("/")
    return f"s3://{bucket}", path


# ------------------------------------------------------------------------------------ what is there


def _check_scheme(address: str, where: str, known: tuple[str, ...]) -> None:
    scheme = address.partition("://")[0] if "://" in address else ""
    if scheme not in known:
        raise InvalidSpec(
            f"files cannot be fetched by {scheme}" if scheme else "an address of a file names no scheme",
            where=where,
            found=address,
            expected="an address that begins with " + " or ".join(f"{name}://" for name in known),
            fix="download the file yourself and set spec.source.uri to its path",
        )


def _checked(name: str) -> str:
    """``name``; InvalidSpec where no store could hold a file of this name."""
    if not is_safe_name(name):
        raise InvalidSpec(
            "a file of the source has a name that cannot be kept",
            where="spec.source.uri",
            found=repr(name),
            expected=r"a name without \, # and unprintable characters",
            fix="rename the file, or leave it out by spec.source.pattern",
        )
    return name


def _matcher(source: Mapping[str, Any]):
    """Whether a name is wanted: by ``pattern`` (``*`` crosses folders), else by what the family reads."""
    pattern, suffixes = source.get("pattern"), _suffixes(source)

    def matches(name: str) -> bool:
        if any(part.startswith(".") for part in name.split("/")):
            return False
        if pattern is not None:
            return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern)
        return not suffixes or name.lower().endswith(suffixes)

    return matches


def _suffixes(source: Mapping[str, Any]) -> tuple[str, ...]:
    name = source.get("family")
    if name is None:
        return ()
    return tuple(sorted({suffix for layout in family_of(name).layouts for suffix in layout.suffixes}))


def _wanted(source: Mapping[str, Any]) -> str:
    readable = ", ".join(f"*{suffix}" for suffix in _suffixes(source))
    return f"files like {source.get('pattern') or readable or '*'}"


def _local_files(uri: str, matches) -> Iterator[tuple[str, str]]:
    root = Path(unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri).expanduser()
    if root.is_file():
        yield _checked(root.name), str(root)  # named by the user: no pattern can mean another
        return
    for folder, folders, files in os.walk(root):
        folders.sort()
        for file in files:
            path = Path(folder, file)
            name = path.relative_to(root).as_posix()
            if matches(name) and path.is_file():
                yield _checked(name), str(path)


def _s3_files(uri: str, matches) -> Iterator[tuple[str, str]]:
    root, path = s3_place(uri.rstrip("/"))
    store = open_store(root, prefix=ENVIRONMENT)
    below = [entry.path for entry in store.list(path)]
    if not below and path and store.exists(path):
        yield _checked(PurePosixPath(path).name), uri
    for found in below:
        name = found.removeprefix(f"{path}/") if path else found
        if matches(name):
            yield _checked(name), f"{root}/{found}"


# ------------------------------------------------------------------------------------ what it is


def _identity(address: str) -> dict[str, Any]:
    if address.startswith("s3://"):
        root, path = s3_place(address)
        head = open_store(root, prefix=ENVIRONMENT).head(path)
        return _with_etag(address, head.size, head.etag)
    if address.startswith(("http://", "https://")):
        from ups_core.data.http import http_head

        return _with_etag(address, *http_head(address))
    path = Path(address)
    return {"size": path.stat().st_size, "sha256": remembered_sha256(path)}


def _with_etag(address: str, size: int | None, etag: str | None) -> dict[str, Any]:
    if size is None or not etag:
        raise InvalidSpec(
            "the server does not say which version of the file it holds",
            where=address,
            found="no ETag" if size is not None else "no Content-Length",
            expected="ETag and Content-Length, or a given hash",
            fix="add the file's hash as spec.source.sha256",
        )
    return {"size": size, "etag": etag}


def remembered_sha256(path: Path) -> str:
    """SHA-256 of a local file, computed once for each path, size and time of change.

    The memory is one JSON a path in the user's cache folder. Where that cannot be written (a
    read-only container) the hash is computed each time.
    """
    path = path.resolve()
    memory = cache_folder("fingerprints") / f"{hashlib.sha256(str(path).encode()).hexdigest()}.json"
    before = path.stat()
    facts = {"path": str(path), "size": before.st_size, "mtime_ns": before.st_mtime_ns}
    with suppress(OSError, ValueError, KeyError, TypeError):  # absent or unreadable: look at the file
        known = json.loads(memory.read_text())
        if {name: known[name] for name in facts} == facts:
            return known["sha256"]
    sha256, after = sha256_file(path), path.stat()
    unchanged = (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    if unchanged and time.time_ns() - after.st_mtime_ns > SETTLED_NS:
        with suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            part = memory.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps({**facts, "sha256": sha256}))
            part.replace(memory)
    return sha256
