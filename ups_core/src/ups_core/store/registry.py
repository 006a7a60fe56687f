"""The registry: names and versions of datasets, each pointing for good at one object.

``datasets/<namespace>/<name>/<version>.json`` is created once, conditionally, and never changes: a
version that was trained on means the same data forever.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ups_core.errors import InvalidSpec, NotFound
from ups_core.store.base import Store

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def register(store: Store, namespace: str, name: str, version: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Create the entry, or return the one there is. ``entry["key"]`` is the key of the dataset's object.

    InvalidSpec where the version is taken by another key.
    """
    path = _entry_path(namespace, name, version)
    if store.create(path, json.dumps(entry, indent=1, sort_keys=True, ensure_ascii=False).encode()):
        return entry
    there = json.loads(store.get(path))
    if there["key"] != entry["key"]:
        raise InvalidSpec(
            f"version {version} of dataset {name} is taken",
            where=store.url(path),
            found=f"key {there['key']}",
            expected=f"key {entry['key']}",
            fix="give spec.version another name, or leave it out",
        )
    return there


def unregister(store: Store, namespace: str, name: str, version: str) -> bool:
    """Remove the entry of a version, for good. False where there was none."""
    path = _entry_path(namespace, name, version)
    there = store.exists(path)
    store.delete(path)
    return there


def lookup(store: Store, namespace: str, name: str, version: str | None = None) -> dict[str, Any]:
    """The entry of this version, or the one registered last. NotFound names what there is."""
    folder = f"datasets/{namespace}/{name}"
    versions = [
        entry.path.rpartition("/")[2].removesuffix(".json")
        for entry in store.list(folder)
        if entry.path.count("/") == 3 and entry.path.endswith(".json")
    ]
    if not versions or version not in (None, *versions):
        raise NotFound(
            f"no dataset {name}" + (f" of version {version}" if version else ""),
            where=store.url(folder),
            found=_what_is_there(store, namespace, versions),
            fix="ups run the file with this Dataset, or correct datasetRef",
        )
    wanted = versions if version is None else [version]
    entries = [json.loads(store.get(_entry_path(namespace, name, each))) for each in wanted]
    return max(entries, key=lambda entry: entry.get("registered", ""))


def _entry_path(namespace: str, name: str, version: str) -> str:
    for part in (namespace, name, version):
        if not _PART.fullmatch(part):
            raise InvalidSpec(
                "not a name of a dataset",
                found=repr(part),
                expected="letters, digits and . _ + -",
                fix="rename it",
            )
    return f"datasets/{namespace}/{name}/{version}.json"


def _what_is_there(store: Store, namespace: str, versions: list[str]) -> str:
    if versions:
        return f"versions {', '.join(versions)}"
    names = sorted({entry.path.split("/")[2] for entry in store.list(f"datasets/{namespace}")})
    return f"datasets {', '.join(names)}" if names else "no dataset at all"
