"""Garbage: what may be freed, because nothing that counts leads to it.

Registered datasets, and the objects of retained runs and live attempts, are the roots. From them
every manifest leads on to its inputs. What is left is freed a week after it last changed: the week
protects work that is under way and has not been written down anywhere. So are the checkpoints of a
stage whose object is there, and the output folders of steps that were killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from stat import S_ISREG
from typing import Literal, NamedTuple

from ups_core.errors import DataInvalid
from ups_core.store.base import Entry, Store
from ups_core.store.manifest import Manifest
from ups_core.store.objects import MANIFEST, is_manifest, object_path, open_object, references_in, verify
from ups_core.store.publishing import PROBES

DAY = 86_400.0


class Removal(NamedTuple):
    """Something that gc removes.

    ``unreachable``: an object; ``abandoned``: files that a killed process left; ``superseded``: the
    checkpoints of a stage that is published; ``damaged``: a damaged object's manifest.
    """

    path: str
    reason: Literal["unreachable", "abandoned", "superseded", "damaged"]
    size: int


@dataclass
class ObjectState:
    """What a listing shows of one ``objects/<step>/<key>``; ``manifest`` is None where it is unreadable."""

    published: bool = False
    manifest: Manifest | None = None
    manifest_size: int = 0
    changed: float = 0.0
    #: publisher's uuid -> (bytes, time of the last change)
    folders: dict[str, tuple[int, float]] = field(default_factory=dict)


def gc(
    store: Store,
    *,
    live: Iterable[str],
    now: float,
    older_than_days: float = 7,
    damaged: bool = False,
    apply: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Removal]:
    """What is freed, or with ``apply=False`` would be. ``now`` in seconds since 1970.

    ``live`` names the objects of runs that are kept (paths or addresses; see :func:`references`);
    the registry's are added here. ``damaged=True`` does something else: it hashes every object and
    removes the manifests, only, of those that are damaged, so that the next run makes them anew.
    """
    if damaged:
        removals = _damaged(store, progress)
    else:
        entries = list(store.list("objects"))
        roots = set().union(*map(references_in, live), references(store, "datasets"))
        objects, cutoff = states(store, entries), now - older_than_days * DAY
        removals = decide(objects, roots, cutoff)
        removals += _checkpoints(store, {path for path, state in objects.items() if state.published}, cutoff)
        removals += _old_outputs(store, cutoff)
        removals += _old_probes(store, cutoff)
    if apply:
        for removal in removals:
            _remove(store, removal)
    return removals


def references(store: Store, prefix: str) -> set[str]:
    """All objects that the JSON files below ``prefix`` name, wherever in the file they do."""
    paths = [entry.path for entry in store.list(prefix) if entry.path.endswith(".json")]
    with ThreadPoolExecutor(16) as pool:
        return set().union(*pool.map(lambda path: references_in(store.get(path).decode()), paths))


def decide(objects: Mapping[str, ObjectState], roots: set[str], cutoff: float) -> list[Removal]:
    """Pure: what to remove of ``objects``, given the reachable roots and the time before which is old."""
    keep, frontier = set(), set(roots)
    while frontier:
        keep |= frontier
        manifests = [objects[path].manifest for path in frontier if path in objects]
        frontier = {
            object_path(given["step"], given["key"])
            for manifest in manifests
            if manifest
            for given in manifest.inputs.values()
        } - keep
    removals = []
    for path, state in sorted(objects.items()):
        old = max(state.changed, *(changed for _, changed in state.folders.values()), 0.0) < cutoff
        if state.published and path not in keep and old:
            size = state.manifest_size + sum(size for size, _ in state.folders.values())
            removals.append(Removal(path, "unreachable", size))
            continue
        if state.published and state.manifest is None:
            continue  # which folder is whose cannot be told: gc --damaged comes first
        owner = state.manifest.uuid if state.manifest else None
        removals += [
            Removal(f"{path}/{uuid}", "abandoned", size)
            for uuid, (size, changed) in sorted(state.folders.items())
            if uuid != owner and changed < cutoff
        ]
    return removals


def states(store: Store, entries: Iterable[Entry]) -> dict[str, ObjectState]:
    """Groups a listing of ``objects`` and reads the manifests."""
    objects: dict[str, ObjectState] = {}
    for entry in entries:
        parts = entry.path.split("/")
        if len(parts) < 4:
            continue
        state = objects.setdefault("/".join(parts[:3]), ObjectState())
        if is_manifest(entry.path):
            state.published, state.manifest_size, state.changed = True, entry.size, entry.mtime
        elif len(parts) > 4:
            size, changed = state.folders.get(parts[3], (0, 0.0))
            state.folders[parts[3]] = (size + entry.size, max(changed, entry.mtime))
    published = [path for path, state in objects.items() if state.published]
    with ThreadPoolExecutor(16) as pool:
        for path, manifest in zip(
            published, pool.map(lambda path: _manifest(store, path), published), strict=True
        ):
            objects[path].manifest = manifest
    return objects


def _manifest(store: Store, path: str) -> Manifest | None:
    try:
        return open_object(store, path).manifest
    except DataInvalid:
        return None


def _damaged(store: Store, progress: Callable[[int, int], None]) -> list[Removal]:
    paths = sorted({finding.object for finding in verify(store, progress=progress)})
    manifests = [f"{path}/{MANIFEST}" for path in paths]
    return [Removal(manifest, "damaged", store.head(manifest).size) for manifest in manifests]


def _checkpoints(store: Store, published: set[str], cutoff: float) -> list[Removal]:
    """``runs/**/checkpoints/<key>`` of stages that are published: nobody will go on from them."""
    folders: dict[str, tuple[int, float]] = {}
    for entry in store.list("runs"):
        run, marker, below = entry.path.partition("/checkpoints/")
        key, _, rest = below.partition("/")
        if marker and rest and f"objects/train/{key}" in published:
            size, changed = folders.get(f"{run}{marker}{key}", (0, 0.0))
            folders[f"{run}{marker}{key}"] = size + entry.size, max(changed, entry.mtime)
    return [
        Removal(path, "superseded", size)
        for path, (size, changed) in sorted(folders.items())
        if changed < cutoff
    ]


def _old_outputs(store: Store, cutoff: float) -> list[Removal]:
    """``tmp/<folder>`` of a file store, in which a step was writing when it was killed."""
    near = store.local_path("tmp")
    removals = []
    # Not by the store's listing: it shows no folder in which no file is.
    for folder in sorted(near.iterdir()) if near is not None and near.is_dir() else []:
        with suppress(FileNotFoundError):  # a step at work has just removed it
            facts = [path.lstat() for path in (folder, *folder.rglob("*"))]
            if max(fact.st_mtime for fact in facts) < cutoff:
                size = sum(fact.st_size for fact in facts if S_ISREG(fact.st_mode))
                removals.append(Removal(f"tmp/{folder.name}", "abandoned", size))
    return removals


def _old_probes(store: Store, cutoff: float) -> list[Removal]:
    """Left by a process that was killed while it asked whether the store keeps conditions."""
    return [
        Removal(entry.path, "abandoned", entry.size) for entry in store.list(PROBES) if entry.mtime < cutoff
    ]


def _remove(store: Store, removal: Removal) -> None:
    if removal.reason == "damaged" or removal.path.startswith(f"{PROBES}/"):
        store.delete(removal.path)
        return
    if removal.reason == "unreachable":
        # First, so that no reader finds an object which is half there.
        store.delete(f"{removal.path}/{MANIFEST}")
    store.delete_folder(removal.path)
