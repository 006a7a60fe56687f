"""The store: where objects are published whole, found by key, read with their hash, and freed.

:mod:`~ups_core.store.base` moves bytes, :mod:`~ups_core.store.publishing` makes objects of folders,
:mod:`~ups_core.store.objects` finds and reads them, :mod:`~ups_core.store.record` keeps what changes
during a run, :mod:`~ups_core.store.registry` names datasets, :mod:`~ups_core.store.garbage` frees.
"""

from ups_core.store.base import Entry, Head, Store, open_store
from ups_core.store.copying import copy_object
from ups_core.store.garbage import Removal, gc, references
from ups_core.store.manifest import Manifest, digest_of, sha256_file
from ups_core.store.objects import (
    Finding,
    PublishedObject,
    find,
    object_path,
    open_object,
    open_uri,
    references_in,
    verify,
)
from ups_core.store.publishing import check_conditional_create, publish
from ups_core.store.record import JsonlWriter, RunRecord
from ups_core.store.registry import lookup, register, unregister

__all__ = [
    "Entry",
    "Finding",
    "Head",
    "JsonlWriter",
    "Manifest",
    "PublishedObject",
    "Removal",
    "RunRecord",
    "Store",
    "check_conditional_create",
    "copy_object",
    "digest_of",
    "find",
    "gc",
    "lookup",
    "object_path",
    "open_object",
    "open_store",
    "open_uri",
    "publish",
    "references",
    "references_in",
    "register",
    "sha256_file",
    "unregister",
    "verify",
]
