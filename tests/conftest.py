"""Fixtures that several rooms share."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from s3_server import S3Server, serve
from store_cases import make_folder, publish_folder

from ups_core.store import PublishedObject, Store, publishing

# Before torch is loaded: networks are small here, and threads of several workers would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine, or a first call that compiles, must not fail a test of logic.
settings.register_profile("ups", deadline=None)
settings.load_profile("ups")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Workers of ``-n 2 --dist loadgroup`` take whole files, and one of them all that needs the cluster.

    Marked here, since xdist reads the groups in the first hook that sees the whole collection.
    """
    room = item.path.relative_to(Path(__file__).parent).parts[0]
    item.add_marker(pytest.mark.xdist_group("cluster" if room == "cluster" else str(item.path)))


@dataclass(frozen=True)
class S3Bucket:
    """An empty bucket of a real server, and the environment a process needs to use it."""

    uri: str
    server: S3Server
    environment: dict[str, str]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS, one for each test process; it takes a few seconds to start."""
    with serve(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Bucket:
    """A fresh bucket, with credentials and endpoint in this process's environment."""
    environment = s3_server.environment()
    for name in ("AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return S3Bucket(s3_server.make_bucket(f"test-{uuid.uuid4().hex[:12]}"), s3_server, environment)


@pytest.fixture
def race(monkeypatch: pytest.MonkeyPatch) -> Callable[[Store, Path], PublishedObject]:
    """Fifty publishers of one key, each with other bytes, all uploaded before the first manifest.

    Returns the object that every one of them came back with.
    """
    start = threading.Barrier(50, timeout=60)

    def wait_for_all(name: str) -> None:
        if name == "publish.after-upload":
            start.wait()

    def run(store: Store, work: Path) -> PublishedObject:
        folders = [make_folder(work / str(seed), seed) for seed in range(50)]
        monkeypatch.setattr(publishing, "fault_point", wait_for_all)
        with ThreadPoolExecutor(50) as pool:
            results = list(pool.map(lambda folder: publish_folder(store, folder), folders))
        assert not [folder for folder in folders if folder.exists()]
        assert {published.manifest.uuid for published in results} == {results[0].manifest.uuid}
        return results[0]

    return run
