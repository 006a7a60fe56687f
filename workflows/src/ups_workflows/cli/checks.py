"""What ``ups doctor`` finds, and what it looks at without a cluster: the store, and what is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal
from uuid import uuid4

from ups_core.errors import CredentialsInvalid, StorageUnavailable, UpsError
from ups_core.store import Store, open_store
from ups_core.store.publishing import PROBES

#: Packages whose absence is told, and the extra of ups-core that brings them.
PACKAGES = {"ups-core": None, "ups-workflows": None, "h5py": "data", "zarr": "data", "torch": "torch"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``exit_code`` is what a failure of it makes of the command."""

    name: str
    level: Literal["ok", "warn", "fail"]
    found: str
    fix: str | None = None
    exit_code: int = 0

    @classmethod
    def of(cls, name: str, error: UpsError) -> Check:
        """A failure by an error, in one line."""
        told = [error.what, *(error.details[key] for key in ("where", "found") if key in error.details)]
        return cls(name, "fail", ": ".join(told), error.details.get("fix"), error.exit_code)


def versions() -> list[Check]:
    """Python, and the packages that steps need; those that only some steps need are missed softly."""
    found = [Check("python", "ok", sys.version.split()[0])]
    for package, extra in PACKAGES.items():
        try:
            found.append(Check(package, "ok", version(package)))
        except PackageNotFoundError:
            fix = f"pip install 'ups-core[{extra}]'" if extra else f"pip install {package}"
            found.append(Check(package, "warn", "not installed: steps that need it fail", fix))
    return found


def storage(uri: str) -> list[Check]:
    """Identity, list, write, conditional write, read and delete, each told apart.

    What cannot be known after a failure is left out: a person mends one thing at a time.
    """
    try:
        store = open_store(uri)
    except UpsError as error:
        return [Check.of("storage", error)]
    path, found = f"{PROBES}/{uuid4().hex}", []
    for name, probe in _PROBES.items():
        try:
            told = probe(store, path)
        except UpsError as error:
            if name != "list":
                found.append(Check.of(f"storage: {name}", error))
            elif not isinstance(error, CredentialsInvalid):
                return [Check.of("storage: list", error)]  # it does not answer, or is not there
            elif not known(error):
                return [Check.of("storage: identity", error)]
            else:
                found += [_IDENTITY, Check.of("storage: list", error)]
            if name == "write":
                return found
        else:
            found += [_IDENTITY] if name == "list" else []
            found.append(Check(f"storage: {name}", "ok", told))
    return found


_IDENTITY = Check("storage: identity", "ok", "known to the store")


def _list(store: Store, path: str) -> str:
    any(True for _ in store.list("datasets"))
    return store.uri


def _write(store: Store, path: str) -> str:
    store.put(path, b"1")
    return path


def _write_conditionally(store: Store, path: str) -> str:
    if store.create(path, b"2"):
        raise StorageUnavailable(
            "the store ignores conditions",
            where=store.uri,
            found="a file was created that was there already",
            fix="--store on a server with conditional writes, such as AWS, MinIO or SeaweedFS",
        )
    return "a second publisher is refused"


def _read(store: Store, path: str) -> str:
    if (read := store.get(path)) != b"1":
        raise StorageUnavailable("a file is read otherwise than written", where=store.url(path), found=read)
    return "as it was written"


def _delete(store: Store, path: str) -> str:
    store.delete(path)
    return "the probe is gone"


_PROBES: dict[str, Callable[[Store, str], str]] = {
    "list": _list,
    "write": _write,
    "conditional write": _write_conditionally,
    "read": _read,
    "delete": _delete,
}


def known(error: CredentialsInvalid) -> bool:
    """Whether a refusal was of what we may do, rather than of who we are.

    Of S3's codes that one alone says so; files have no identity but ours.
    """
    return error.details["where"].startswith("file://") or error.details["found"].startswith("AccessDenied")
