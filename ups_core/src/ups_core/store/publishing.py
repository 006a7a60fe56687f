"""Publish: a folder becomes an object all at once, or not at all, whoever else publishes the same.

Every publisher uploads under a uuid of its own, where nobody looks, and then creates the manifest on
the condition that there is none. The store lets exactly one of them through. The losers delete what
they uploaded and go on with the winner's object; a publisher that dies leaves a folder no manifest
names, which ``ups gc`` frees.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from ups_core.errors import NotFound, StorageUnavailable, UpsError
from ups_core.faults import fault_point
from ups_core.store.base import FILES_AT_A_TIME, Store
from ups_core.store.failures import BucketMissing, translating
from ups_core.store.manifest import Manifest, describe
from ups_core.store.objects import MANIFEST, PublishedObject, find, object_path

PROBES = ".probe"

#: Stores that were seen to keep the condition, by URI.
_conditional: set[str] = set()


def publish(
    store: Store,
    *,
    step: str,
    key: str,
    folder: Path,
    inputs: Mapping[str, PublishedObject | dict[str, str]],
    recipe: dict[str, Any],
    deterministic: bool,
    provenance: dict[str, Any],
) -> PublishedObject:
    """Publish all files of ``folder`` as the object of ``key``; returns the object that is now there.

    ``folder`` is consumed: a file store takes the folder itself (a rename where both are on one
    disk), S3 gets a copy, and afterwards it is gone. Where the object is there already, or another
    publisher is faster, theirs is returned; compare digests to learn which.

    ``inputs`` gives, by role, the objects that were read. StorageUnavailable for a store that is
    full, read-only or ignores conditional creation; DataInvalid where the object there is damaged;
    ValueError for a folder that holds links, or nothing.
    """
    path = object_path(step, key)
    if there := find(store, step, key):
        shutil.rmtree(folder)
        return there
    check_conditional_create(store)
    manifest = Manifest(
        step=step,
        key=key,
        uuid=uuid4().hex,
        files=describe(folder),
        inputs={
            role: given.reference if isinstance(given, PublishedObject) else dict(given)
            for role, given in sorted(inputs.items())
        },
        recipe=recipe,
        deterministic=deterministic,
        provenance=provenance,
    )
    published = PublishedObject(store, path, manifest)
    own = f"{path}/{manifest.uuid}"
    try:
        fault_point("publish.before-upload")
        _upload(store, folder, own, list(manifest.files))
        fault_point("publish.after-upload")
    except UpsError:
        # A full disk should get its space back; where the store is gone gc will find the rest.
        with suppress(UpsError):
            store.delete_folder(own)
        raise
    try:
        won = _create_manifest(store, published)
    except UpsError:
        # The manifest may be there all the same: the answer was lost, or a signal came just after.
        # Only another's proves that ours will never be; without that, gc decides when time has passed.
        with suppress(UpsError):
            if store.get(f"{path}/{MANIFEST}") != manifest.to_json():
                store.delete_folder(own)
        raise
    fault_point("publish.after-manifest")
    if not won:
        store.delete_folder(own)
    if folder.exists():
        shutil.rmtree(folder)
    winner = published if won else find(store, step, key)
    if winner is None:
        raise StorageUnavailable(
            "the object vanished while it was published",
            where=published.uri,
            expected="no gc of this key during a run",
            fix="run the same command again",
        )
    return winner


def check_conditional_create(store: Store) -> None:
    """Refuse a store where two publishers could both win. Asks each store once per process.

    StorageUnavailable where creating the same file twice succeeds, or the first fails.
    """
    if store.uri in _conditional:
        return
    probe = f"{PROBES}/{uuid4().hex}"
    answers = store.create(probe, b"1"), store.create(probe, b"2")
    store.delete(probe)
    if answers != (True, False):
        raise StorageUnavailable(
            "the store ignores conditional creation",
            where=store.uri,
            found=f"creating one file twice answered {answers}",
            expected="(True, False): If-None-Match on S3, hard links on a file system",
            fix="--store on a server with conditional writes, such as AWS, MinIO or SeaweedFS",
        )
    _conditional.add(store.uri)


def _upload(store: Store, folder: Path, target: str, names: list[str]) -> None:
    local = store.local_path(target)
    if local is None:
        with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
            list(pool.map(lambda name: store.put_file(f"{target}/{name}", folder / name), names))
        return
    with translating(store.url(target), write=True):
        local.parent.mkdir(parents=True, exist_ok=True)
        for name in names:
            os.utime(folder / name)  # gc counts an object's age from its publication
        shutil.move(folder, local)
        # A scratch folder is often 0700; the object is as readable as the store around it.
        local.chmod(stat.S_IMODE(local.parent.stat().st_mode))


def _create_manifest(store: Store, published: PublishedObject) -> bool:
    """Whether our manifest is the one. A refusal counts only when another's can be read."""
    place, own = f"{published.path}/{MANIFEST}", published.manifest.to_json()
    for _ in range(5):
        if store.create(place, own):
            return True
        try:
            # A retry after a lost answer meets our own manifest: then we have won.
            return store.get(place) == own
        except BucketMissing:
            raise
        except NotFound:
            continue  # S3 answers 409 while another's create is under way, which may fail yet
    raise StorageUnavailable(
        "the store neither takes nor shows the manifest",
        where=store.url(place),
        fix="run the same command again",
    )
