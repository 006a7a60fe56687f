"""A manifest: what a published object holds, by name, size and SHA-256, and how it came about.

Two things name an object. Its *key* is the hash of the recipe, known before anything ran; its
*digest* is the hash of the content, and covers file names, sizes and SHA-256 only, so that the same
content has the same digest wherever, whenever and by whomever it was made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from os import cpu_count
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict

import rfc8785

from ups_core.errors import DataInvalid

SCHEMA = 1


class FileFacts(TypedDict):
    size: int
    sha256: str


def digest_of(files: Mapping[str, FileFacts]) -> str:
    """SHA-256 over the RFC 8785 canonical JSON of the sorted list of ``[name, size, sha256]``."""
    rows = [[name, files[name]["size"], files[name]["sha256"]] for name in sorted(files)]
    return hashlib.sha256(rfc8785.dumps(rows)).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a local file, streamed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(folder: Path) -> dict[str, FileFacts]:
    """Size and SHA-256 of every file below ``folder``, hashed in parallel, sorted by name.

    ValueError for links and special files (an object must be whole by itself), for names a store
    cannot hold, and where there is no file at all.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    for name, path in paths.items():
        if path.is_symlink() or not path.is_file() or not is_safe_name(name):
            raise ValueError(f"cannot be published: {path} is not a regular file with a plain name")
    if not paths:
        raise ValueError(f"nothing to publish in {folder}")
    names = sorted(paths)
    with ThreadPoolExecutor(min(8, cpu_count() or 1, len(names))) as pool:
        hashes = pool.map(lambda name: sha256_file(paths[name]), names)
        return {
            name: FileFacts(size=paths[name].stat().st_size, sha256=sha256)
            for name, sha256 in zip(names, hashes, strict=True)
        }


def is_safe_name(name: str) -> bool:
    """A relative path that stays where it is put, on every store: no ``..``, no control characters."""
    return (
        bool(name)
        and name == PurePosixPath(name).as_posix()
        and not name.startswith("/")
        and name.isprintable()
        and not {"", ".", ".."} & set(name.split("/"))
        and not any(character in name for character in "\\#")  # obstore stages files as NAME#N
    )


@dataclass(frozen=True)
class Manifest:
    """``objects/<step>/<key>/manifest.json``: written last, once, and never changed.

    ``inputs`` gives step, key and digest of what was read, by role. ``deterministic`` says whether
    running the recipe again gives the same digest. ``provenance`` (clocks, hosts, durations,
    versions) stands outside key and digest.
    """

    step: str
    key: str
    uuid: str
    files: dict[str, FileFacts]
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    deterministic: bool = True
    provenance: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if not self.digest:
            object.__setattr__(self, "digest", digest_of(self.files))

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(facts["size"] for facts in self.files.values())

    def to_json(self) -> bytes:
        return json.dumps(
            asdict(self), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False
        ).encode()

    @classmethod
    def from_json(cls, data: bytes, *, where: str, fix: str) -> Manifest:
        """DataInvalid where the manifest cannot be read, is of another schema or contradicts itself."""
        try:
            raw = json.loads(data)
            if raw["schema"] != SCHEMA:
                raise DataInvalid(
                    "manifest of another version of UPS", where=where, found=raw["schema"], expected=SCHEMA
                )
            manifest = cls(**raw)
            consistent = digest_of(manifest.files) == manifest.digest and all(
                map(is_safe_name, manifest.files)
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DataInvalid(
                "manifest is damaged", where=where, found=error, expected="a manifest", fix=fix
            ) from error
        if not consistent:
            raise DataInvalid(
                "manifest is damaged", where=where, found="its digest does not fit its files", fix=fix
            )
        return manifest
