"""One small run, made once a worker, and what tests need to drive the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tiny_run import TINY, Ups


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the tests' own: locks, scratch and fingerprints are not the developer's."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def environment(cache_home: Path) -> dict[str, str]:
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "UPS_", "WANDB_"))}
    return {
        **clean,
        "XDG_CACHE_HOME": str(cache_home),
        "NO_COLOR": "1",
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="session")
def ups(environment: dict[str, str]) -> Ups:
    """Run ``ups`` as a user does: ``ups("run", file, "--store", store)``."""

    def call(
        *args: object, env: Mapping[str, str] | None = None, before: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*before, sys.executable, "-m", "ups_workflows", *map(str, args)],
            env={**environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return call


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The resource file of a run that takes seconds."""
    file = tmp_path_factory.mktemp("tiny") / "tiny.yaml"
    file.write_text(TINY)
    return file


@pytest.fixture(scope="session")
def finished(ups: Ups, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the tiny run has finished, undisturbed. Read it only."""
    store = tmp_path_factory.mktemp("finished") / "store"
    done = ups("run", tiny, "--store", store)
    assert done.returncode == 0, done.stderr
    return store
