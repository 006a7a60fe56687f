"""The chart needs Helm, and no cluster."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

# Helm is built as the programs of the test cluster are, and the cluster's tests install the same chart.
sys.path.append(str(Path(__file__).parents[1] / "cluster"))

#: One of the reasons in tests/skips.txt, word for word.
LEFT_OUT = "Helm is built with Go, which this machine lacks"


@pytest.fixture(scope="session")
def with_helm() -> None:
    """Leaves the test out where there is no Helm, and no Go to build it with."""
    if not shutil.which("go"):
        pytest.skip(LEFT_OUT)
