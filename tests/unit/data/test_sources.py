from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ups_core.data import http, sources
from ups_core.data.sources import fingerprint, locate
from ups_core.errors import (
    CredentialsInvalid,
    DataInvalid,
    InvalidSpec,
    NotFound,
    StorageUnavailable,
    UpsError,
)
from ups_core.store import Entry

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def own_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.001)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "raw"
    (root / "Train").mkdir(parents=True)
    for name in ("b_Nu0.1.hdf5", "Train/a_Nu0.01.hdf5", "notes.txt", ".hidden.hdf5"):
        (root / name).write_bytes(CONTENT)
        os.utime(root / name, (1, 1))
    return root


def names(source: dict) -> list[str]:
    return [file["name"] for file in fingerprint(source)]


def test_folder(folder):
    files = fingerprint({"uri": str(folder), "family": "burgers1d"})
    assert files == [
        {"name": "Train/a_Nu0.01.hdf5", "size": len(CONTENT), "sha256": SHA256},
        {"name": "b_Nu0.1.hdf5", "size": len(CONTENT), "sha256": SHA256},
    ]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*_Nu0.01.hdf5", ["Train/a_Nu0.01.hdf5"]),
        ("Train/*", ["Train/a_Nu0.01.hdf5"]),
        ("b*", ["b_Nu0.1.hdf5"]),
    ],
)
def test_pattern(folder, pattern, found):
    assert names({"uri": folder.as_uri(), "pattern": pattern}) == found


def test_one_file_and_a_given_hash(folder):
    given = {"uri": str(folder / "b_Nu0.1.hdf5"), "md5": "0" * 32}
    assert fingerprint(given) == [{"name": "b_Nu0.1.hdf5", "md5": "0" * 32}]


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ({"uri": "RAW", "pattern": "*.pt"}, NotFound, ["the source holds no data", "RAW", "files like *.pt"]),
        ({"uri": "RAW/none", "family": "darcy2d"}, NotFound, ["RAW/none", "*.h5, *.hdf5, *.npz, *.pt"]),
        (
            {"uri": "RAW", "pattern": "*.hdf5", "sha256": "0" * 64},
            InvalidSpec,
            ["one sha256 for several", "2 files"],
        ),
        (
            {"uri": "RAW", "pattern": "b*", "sha256": {"c": "0" * 64}},
            NotFound,
            ["not there", "c", "b_Nu0.1.hdf5"],
        ),
        ({"urls": ["http://a/x.h5", "http://b/x.h5"]}, InvalidSpec, ["names of their own", "'x.h5'"]),
        ({"urls": ["http://a/"]}, InvalidSpec, ["names of their own"]),
        ({"urls": ["ftp://a/x.h5"]}, InvalidSpec, ["by ftp", "spec.source.urls", "ftp://a/x.h5"]),
        ({"urls": ["a/x.h5"]}, InvalidSpec, ["no scheme", "a/x.h5"]),
        ({"uri": "gs://a/x.h5"}, InvalidSpec, ["by gs", "spec.source.uri"]),
        ({"urls": ["http://a/x.h5"], "pattern": "*.h5"}, InvalidSpec, ["remove spec.source.pattern"]),
        ({"artifact": "wandb://a/b/c:v0"}, InvalidSpec, ["cannot be fetched", "artifact"]),
    ],
)
def test_sources_that_are_none(folder, source, error, said):
    if "uri" in source:
        source = {**source, "uri": source["uri"].replace("RAW", str(folder))}
    with pytest.raises(error) as caught:
        fingerprint(source)
    for words in said:
        assert words.replace("RAW", str(folder)) in str(caught.value)


@pytest.mark.parametrize("name", ["Nu#1.hdf5", "a\\b.hdf5", "a\x07.hdf5"])
def test_names_that_no_store_can_hold(folder, name):
    (folder / name).write_bytes(b"")
    for uri in (folder, folder / name):
        with pytest.raises(InvalidSpec) as caught:
            fingerprint({"uri": str(uri), "family": "burgers1d"})
        assert repr(name) in str(caught.value)
    assert names({"uri": str(folder), "pattern": "b*"}) == ["b_Nu0.1.hdf5"]


def test_names_from_s3_that_no_store_can_hold(monkeypatch):
    class Bucket:
        def list(self, prefix: str) -> list[Entry]:
            return [Entry(f"{prefix}/Nu#1.hdf5", 1, 0.0), Entry(f"{prefix}/.old#1.hdf5", 1, 0.0)]

    monkeypatch.setattr(sources, "open_store", lambda uri, *, prefix: Bucket())
    with pytest.raises(InvalidSpec, match=r"'Nu#1\.hdf5'"):
        locate({"uri": "s3://bucket/raw", "family": "burgers1d"})


def test_hashes_are_remembered_until_the_file_changes(folder, monkeypatch):
    source = {"uri": str(folder), "pattern": "b*"}
    first = fingerprint(source)
    hashed = []
    monkeypatch.setattr(sources, "sha256_file", lambda path: hashed.append(path) or "f" * 64)
    assert fingerprint(source) == first
    assert not hashed
    os.utime(folder / "b_Nu0.1.hdf5", (2, 2))
    assert fingerprint(source)[0]["sha256"] == "f" * 64
    assert len(hashed) == 1


def test_a_file_changed_just_now_is_not_remembered(folder, monkeypatch):
    (folder / "new.hdf5").write_bytes(b"1")
    fingerprint({"uri": str(folder), "pattern": "new*"})
    monkeypatch.setattr(sources, "sha256_file", lambda path: "f" * 64)
    assert fingerprint({"uri": str(folder), "pattern": "new*"})[0]["sha256"] == "f" * 64


def test_works_without_a_place_to_remember(folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "notes.txt"))
    assert len(names({"uri": str(folder), "pattern": "b*"})) == 1


def test_fingerprints_need_no_heavy_import():
    heavy = "{'torch', 'h5py', 'zarr', 'scipy', 'httpx', 'matplotlib'}"
    code = f"import sys, ups_core.data.sources; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------------------------------- fetch


def fetch(pipeline, source: dict, files: list[dict] | None = None):
    recipe = {"source": {}, "files": fingerprint(source) if files is None else files}
    return pipeline.folder_of(pipeline.run("fetch", recipe, options={"source": source}))


def test_fetch_copies(pipeline, folder):
    got = fetch(pipeline, {"uri": str(folder), "pattern": "*.hdf5"})
    assert sorted(path.name for path in got.rglob("*.hdf5")) == ["a_Nu0.01.hdf5", "b_Nu0.1.hdf5"]
    (folder / "b_Nu0.1.hdf5").write_bytes(b"changed")
    assert (got / "b_Nu0.1.hdf5").read_bytes() == CONTENT


def test_fetch_notices_a_file_that_changed_since_it_was_planned_with(pipeline, folder):
    source = {"uri": str(folder), "pattern": "b*"}
    files = fingerprint(source)
    (folder / "b_Nu0.1.hdf5").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(DataInvalid, match=rf"(?s)b_Nu0.1.hdf5.*found:.*sha256 .*expected: sha256 {SHA256}"):
        fetch(pipeline, source, files)


def test_fetch_notices_a_file_that_is_gone(pipeline, folder):
    source = {"uri": str(folder), "pattern": "*.hdf5"}
    files = fingerprint(source)
    (folder / "b_Nu0.1.hdf5").unlink()
    with pytest.raises(NotFound, match=r"(?s)is gone.*b_Nu0.1.hdf5"):
        fetch(pipeline, source, files)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_given_hash_is_checked(pipeline, folder, kind):
    right = hashlib.new(kind, CONTENT).hexdigest()
    assert fetch(pipeline, {"uri": str(folder / "b_Nu0.1.hdf5"), kind: right}).is_dir()
    wrong = "0" * len(right)
    with pytest.raises(DataInvalid, match=rf"(?s)found: +{kind} {right}.*expected: {kind} {wrong}"):
        fetch(pipeline, {"uri": str(folder / "b_Nu0.1.hdf5"), kind: wrong})


def test_fetch_from_s3(pipeline, s3):
    from ups_core.store import open_store

    store = open_store(s3.uri)
    store.put("1D/Burgers/Train/a_Nu0.01.hdf5", CONTENT)
    store.put("1D/Burgers/other.txt", b"")
    files = fingerprint({"uri": f"{s3.uri}/1D/Burgers/", "pattern": "*_Nu0.01.hdf5"})
    assert [(file["name"], file["size"]) for file in files] == [("Train/a_Nu0.01.hdf5", len(CONTENT))]
    assert files[0]["etag"]
    source = {"uri": f"{s3.uri}/1D/Burgers", "family": "burgers1d"}
    assert (fetch(pipeline, source) / "Train/a_Nu0.01.hdf5").read_bytes() == CONTENT
    one = {"uri": f"{s3.uri}/1D/Burgers/Train/a_Nu0.01.hdf5"}
    assert names(one) == ["a_Nu0.01.hdf5"]
    store.put("1D/Burgers/Train/a_Nu0.01.hdf5", CONTENT[::-1])
    with pytest.raises(DataInvalid, match=rf"expected: etag {files[0]['etag']}"):
        fetch(pipeline, one, [{**files[0], "name": "a_Nu0.01.hdf5"}])


# -------------------------------------------------------------------------------------------- http


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT by ranges; ``server.cut`` connections break off after a third of what is asked."""

    def do_GET(self) -> None:
        server = self.server
        server.seen.append(self.headers.get("Range"))
        if server.status:
            return self.answer(server.status.pop(0), b"")
        start = 0
        asked = self.headers.get("Range")
        if asked and (server.etag is None or self.headers.get("If-Range") == server.etag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = server.content[start:]
        cut = server.cut > 0  # before the head goes: a client that leaves then may change it for the next
        server.cut -= cut
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        if cut:
            self.wfile.write(body[: len(body) // 3])
            if server.replaced:
                server.content, server.etag = server.replaced, '"two"'
            self.close_connection = True
        else:
            self.wfile.write(body)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_) -> None:
        pass  # a client that reads the head and leaves is no error


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Handler) as server:
        server.content, server.etag, server.replaced = CONTENT, '"one"', None
        server.cut, server.status, server.seen = 0, [], []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}/data/a%20b.h5"
        yield server
        server.shutdown()


def test_http(pipeline, server):
    source = {"urls": [server.url]}
    assert fingerprint(source) == [{"name": "a b.h5", "size": len(CONTENT), "etag": '"one"'}]
    assert locate({"uri": server.url}) == locate(source)
    assert (fetch(pipeline, source) / "a b.h5").read_bytes() == CONTENT


def test_http_resumes_where_it_was_cut(pipeline, server):
    files = fingerprint({"urls": [server.url]})
    server.cut, server.seen[:] = 3, []
    assert (fetch(pipeline, {"urls": [server.url]}, files) / "a b.h5").read_bytes() == CONTENT
    third = len(CONTENT) // 3
    assert server.seen[:2] == [None, f"bytes={third}-"]
    assert len(server.seen) == 4


def test_http_starts_again_when_the_file_changed_midway(tmp_path, server):
    server.cut, server.replaced = 1, CONTENT[::-1]
    counted = []
    assert http.download(server.url, tmp_path / "part", advance=counted.append) == '"two"'
    assert (tmp_path / "part").read_bytes() == CONTENT[::-1]
    assert sum(counted) == len(CONTENT)


def test_http_change_since_planning_is_noticed(pipeline, server):
    files = fingerprint({"urls": [server.url]})
    server.content, server.etag = CONTENT[::-1], '"two"'
    with pytest.raises(DataInvalid, match=r'found: +etag "two"'):
        fetch(pipeline, {"urls": [server.url]}, files)


def test_http_without_etag_starts_again_and_needs_a_hash(pipeline, server):
    server.etag = None
    with pytest.raises(InvalidSpec, match=r"(?s)no ETag.*add the file's hash as spec.source.sha256"):
        fingerprint({"urls": [server.url]})
    server.cut, server.seen[:] = 1, []
    source = {"urls": [server.url], "sha256": SHA256}
    assert (fetch(pipeline, source) / "a b.h5").read_bytes() == CONTENT
    assert server.seen == [None, None]


@pytest.mark.parametrize(
    ("status", "error", "requests"),
    [
        ([503, 429], None, 3),
        ([503] * 10, StorageUnavailable, http.TRIES),
        ([404], NotFound, 1),
        ([403], CredentialsInvalid, 1),
    ],
)
def test_http_status(tmp_path, server, status: list[int], error: type[UpsError] | None, requests: int):
    server.status = list(status)
    if error is None:
        http.download(server.url, tmp_path / "part")
    else:
        with pytest.raises(error, match=f"{status[0]}"):
            http.download(server.url, tmp_path / "part")
    assert len(server.seen) == requests


def test_http_nobody_there(tmp_path, server):
    port = server.server_port
    server.shutdown()
    server.server_close()
    with pytest.raises(StorageUnavailable, match=f"failed {http.TRIES} times"):
        http.download(f"http://127.0.0.1:{port}/x", tmp_path / "part")
