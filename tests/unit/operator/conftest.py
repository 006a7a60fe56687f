"""The cluster that the scenarios happen on."""

from __future__ import annotations

import pytest
from operator_fakes import FakeCluster, a_ready_dataset


@pytest.fixture
def cluster() -> FakeCluster:
    cluster = FakeCluster()
    cluster.put(a_ready_dataset())
    return cluster
