from __future__ import annotations

import pytest

from ups_core.store import RunRecord
from ups_core.train.tracking import tracker

FACTS = {"stage": "operator", "config": {"width": 4}, "problem": {"family": "f"}, "parameters": 9}


@pytest.fixture
def record(store):
    return RunRecord(store, "runs/default/tr/x/1")


@pytest.mark.parametrize("tracking", [{}, {"wandb": {"mode": "disabled"}}])
def test_off_by_default(record, tmp_path, tracking):
    with tracker(tracking, "train", FACTS, record, tmp_path) as track:
        track({"step": 1, "train.loss": 0.5})
    assert list(tmp_path.iterdir()) == []


def test_offline_leaves_a_folder_to_sync_in_the_record(record, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    with tracker({"wandb": {"mode": "offline", "project": "p"}}, "train", FACTS, record, tmp_path) as track:
        track({"step": 1, "train.loss": 0.5})
        track({"step": 2, "train.loss": 0.25, "val.rollout.nrmse": 0.1})
    kept = [e.path for e in record.store.list(record.path("wandb")) if e.path.endswith(".wandb")]
    assert len(kept) == 1
    assert kept[0].startswith(record.path("wandb/offline-run-"))
    assert b"val.rollout.nrmse" in record.store.get(kept[0])
