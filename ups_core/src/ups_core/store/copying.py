"""Copying a published object from one store to another, hashes checked on the way."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ups_core.store.base import Store
from ups_core.store.objects import PublishedObject, find, open_object
from ups_core.store.publishing import publish


def copy_object(source: Store, target: Store, path: str) -> PublishedObject:
    """Publish the object at ``path`` of ``source`` in ``target`` too, under the same key."""
    given = open_object(source, path)
    manifest = given.manifest
    if there := find(target, manifest.step, manifest.key):
        return there
    near = target.local_path("tmp")
    if near is not None:
        near.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=near, prefix="copy-", ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "object"
        for name in manifest.files:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(given.read(name))
        return publish(
            target,
            step=manifest.step,
            key=manifest.key,
            folder=out,
            inputs=manifest.inputs,
            recipe=manifest.recipe,
            deterministic=manifest.deterministic,
            provenance=manifest.provenance,
        )
