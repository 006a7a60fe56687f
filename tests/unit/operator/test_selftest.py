"""What the self-test says of a Dataset."""

from __future__ import annotations

from typing import Any

import pytest

from ups_core.api import Dataset
from ups_core.errors import StageFailed
from ups_operator.selftest import a_dataset, gone, ready, standing


def test_its_dataset_is_a_valid_one():
    assert Dataset.model_validate(a_dataset(seed=1700000000)).spec.reclaim_policy == "Delete"


@pytest.mark.parametrize(
    ("dataset", "is_gone", "is_ready", "words"),
    [
        (None, True, False, "nothing"),
        ({}, False, False, "no status: the operator has not seen it"),
        ({"status": {"phase": "Running", "conditions": []}}, False, False, "phase Running"),
        ({"status": {"phase": "Ready"}}, False, True, "phase Ready"),
        (
            {
                "status": {
                    "phase": "Pending",
                    "conditions": [
                        {"type": "Fetched", "status": "True"},
                        {"type": "Ready", "status": "False", "message": "no node fits"},
                    ],
                }
            },
            False,
            False,
            "phase Pending; Fetched True; Ready False, no node fits",
        ),
    ],
)
def test_where_it_stands(dataset: dict[str, Any] | None, is_gone: bool, is_ready: bool, words: str):
    assert (gone(dataset), ready(dataset), standing(dataset)) == (is_gone, is_ready, words)


def test_a_failed_one_says_why():
    failure = {"reason": "StorageUnavailable", "message": "no such bucket", "stage": "publish-dataset"}
    with pytest.raises(StageFailed, match="no such bucket") as caught:
        ready({"status": {"phase": "Failed", "lastFailure": failure}})
    assert caught.value.details["where"] == "publish-dataset"
