"""The store on files: roots, bytes, conditional creation, and how failures are told."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from ups_core.errors import (
    CredentialsInvalid,
    InvalidSpec,
    NotFound,
    StorageUnavailable,
    UpsError,
)
from ups_core.store import Store, open_store
from ups_core.store.base import PART_BYTES
from ups_core.store.failures import BucketMissing, translate


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a//b/", "s3://bucket/a/b"),
        ("file:///a/b/", "file:///a/b"),
        ("file:///a/with%20space", "file:///a/with%20space"),
        ("/a/../b", "file:///b"),
    ],
)
def test_roots_are_canonical(given: str, uri: str) -> None:
    store = open_store(given)
    assert store.uri == uri
    assert store.url("x/y") == f"{uri}/x/y"
    assert open_store(store.uri) == store


def test_plain_path_is_relative_to_the_working_directory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("./ups-store").local_path("a") == tmp_path / "ups-store" / "a"


@pytest.mark.parametrize("uri", ["", " ", "gs://bucket", "file://host/a", "s3://", "s3:///a", "s3://b/a?x=1"])
def test_anything_else_is_refused(uri: str) -> None:
    with pytest.raises(InvalidSpec, match="not a store"):
        open_store(uri)


@pytest.mark.parametrize("name", ["plain", "a/b/c", "with space", "50%25", "é", "x=1,y~[2].h5"])
def test_bytes_come_back(store: Store, tmp_path: Path, name: str) -> None:
    store.put(name, b"one")
    store.put(name, b"two")
    assert store.get(name) == b"two"
    assert store.exists(name)
    assert [(entry.path, entry.size) for entry in store.list()] == [(name, 3)]
    local = store.local_path(name)
    assert local is not None
    assert local.read_bytes() == b"two"
    store.get_file(name, tmp_path / "x" / "copy")
    assert (tmp_path / "x" / "copy").read_bytes() == b"two"
    store.delete(name)
    store.delete(name)
    assert not store.exists(name)


def test_create_lets_one_through(store: Store) -> None:
    assert store.create("a/b", b"1")
    assert not store.create("a/b", b"2")
    assert store.get("a/b") == b"1"


def test_a_file_of_several_parts(store: Store, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(2 * PART_BYTES + 5))
    store.put_file("big", big)
    sha256 = store.get_file("big", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == big.read_bytes()
    assert sha256 == store.sha256("big", 2 * PART_BYTES + 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "big", "store"]


def test_listing_is_sorted_and_of_whole_folders(store: Store) -> None:
    for name in ("b/2", "b/1", "bb/3", "a"):
        store.put(name, b"")
    assert [entry.path for entry in store.list("b")] == ["b/1", "b/2"]
    assert [entry.path for entry in store.list()] == ["a", "b/1", "b/2", "bb/3"]
    store.delete_folder("b")
    store.delete_folder("b")
    assert [entry.path for entry in store.list()] == ["a", "bb/3"]


def test_reading_a_store_that_is_not_there_makes_none(store: Store) -> None:
    assert list(store.list()) == []
    assert not store.exists("a")
    with pytest.raises(NotFound, match="not in the store"):
        store.get("a")
    assert store.root is not None
    assert not store.root.exists()


def test_a_store_travels_to_another_process(store: Store) -> None:
    store.put("a", b"1")
    assert pickle.loads(pickle.dumps(open_store(store.uri))).get("a") == b"1"  # noqa: S301


@pytest.fixture
def disk_for_64_kb(tmp_path: Path) -> Iterator[Path]:
    """A disk with 64 KiB: a real one where mounting is allowed, else the kernel's limit on file sizes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if shutil.which("mount") and subprocess.run(mount, capture_output=True).returncode == 0:
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk(disk_for_64_kb: Path) -> None:
    store = open_store(str(disk_for_64_kb))
    with pytest.raises(StorageUnavailable, match="the disk is full") as caught:
        store.put("a", b"x" * (1 << 20))
    assert caught.value.details["where"] == store.url("a")
    assert list(store.list()) == []


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """A folder that this test, as nobody where it began as root, may read and not write."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    (folder / "there").write_bytes(b"1")
    (folder / "secret").write_bytes(b"1")
    (folder / "secret").chmod(0)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_without_permissions(unprivileged_folder: Path) -> None:
    store = open_store(str(unprivileged_folder))
    assert store.get("there") == b"1"
    writes = (lambda: store.put("a", b""), lambda: store.create("a/b", b""), lambda: store.delete("there"))
    for write in writes:
        with pytest.raises(StorageUnavailable, match="the store is read-only"):
            write()
    with pytest.raises(CredentialsInvalid, match="not allowed to read"):
        store.get("secret")


def _s3(code: str, status: int) -> GenericError:
    xml = f"<Error><Code>{code}</Code><Message>because</Message></Error>" if code else ""
    return GenericError(
        f"Generic S3 error: Server returned non-2xx status code: {status} Whatever: {xml}\n\nmore"
    )


METADATA = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token"


@pytest.mark.parametrize(
    ("error", "url", "expected", "found"),
    [
        (_s3("InvalidAccessKeyId", 403), "s3://b/x", CredentialsInvalid, "InvalidAccessKeyId: because"),
        (_s3("ExpiredToken", 400), "s3://b/x", CredentialsInvalid, "ExpiredToken: because"),
        (PermissionDeniedError("HEAD has no body"), "s3://b/x", CredentialsInvalid, "HEAD has no body"),
        (_s3("", 403), "s3://b/x", CredentialsInvalid, "403"),
        (GenericError(METADATA), "s3://b/x", CredentialsInvalid, "169.254.169.254"),
        (_s3("NoSuchBucket", 404), "s3://b/x", BucketMissing, "NoSuchBucket"),
        (FileNotFoundError("Object at location x not found"), "s3://b/x", NotFound, "nothing"),
        (_s3("PermanentRedirect", 301), "s3://b/x", StorageUnavailable, "PermanentRedirect"),
        (_s3("SlowDown", 503), "s3://b/x", StorageUnavailable, "SlowDown"),
        (GenericError("error sending request"), "s3://b/x", StorageUnavailable, "error sending"),
        (GenericError("x (os error 30)"), "file:///x", StorageUnavailable, "Read-only file system"),
        (GenericError("x (os error 28)"), "file:///x", StorageUnavailable, "No space left on device"),
        (OSError(errno.EDQUOT, "quota"), "file:///x", StorageUnavailable, os.strerror(errno.EDQUOT)),
        (OSError(errno.EROFS, "ro"), "file:///x", StorageUnavailable, "Read-only file system"),
        (GenericError("x (os error 2)"), "file:///x", NotFound, "nothing"),
        (GenericError("x (os error 20)"), "file:///x", StorageUnavailable, "Not a directory"),
    ],
)
def test_failures_are_told_in_our_words(error, url: str, expected: type[UpsError], found: str) -> None:
    told = translate(error, url, write=True)
    assert type(told) is expected
    assert told.details["where"] == url
    assert found in told.details["found"]
    assert "\n" not in told.details["found"]


def test_an_unknown_certificate() -> None:
    error = GenericError("Generic S3 error: sending\n error: InvalidCertificate(\n  UnknownIssuer,\n ),")
    told = translate(error, "s3://b/x", write=False)
    assert told.details["found"] == "UnknownIssuer: Generic S3 error: sending"
    assert "AWS_CA_BUNDLE" in told.details["fix"]


def test_a_bundle_that_is_not_there(monkeypatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere.pem")
    with pytest.raises(InvalidSpec, match="no certificates to trust"):
        open_store("s3://bucket").get("x")


def test_nobody_listens(monkeypatch) -> None:
    monkeypatch.setattr("ups_core.store.base._TRIES", {"max_retries": 1})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(StorageUnavailable, match="does not answer") as caught:
        open_store("s3://bucket").get("x")
    assert "Connection refused" in caught.value.details["found"]
    assert "http://127.0.0.1:9/" in caught.value.details["found"]


def test_importing_the_store_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'h5py', 'zarr', 'scipy', 'numpy', 'pydantic', 'httpx'}"
    code = f"import sys, ups_core.store; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"
