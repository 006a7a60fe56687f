"""Training in several processes: what they compute together is what one computes alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time

import numpy as np
import pytest
import torch

from ups_core.errors import InvalidSpec, Preempted, UpsError
from ups_core.steps import train
from ups_core.steps.processes import outcome
from ups_core.train.checkpoint import Checkpoints
from ups_core.train.draws import BatchGenerator, integers, normal, uniform
from ups_core.train.group import Group

SMALL = {"architecture": {"name": "conv", "width": 4, "dilations": [1]}, "batchSize": 8, "validations": 4}


def in_processes(make, count, config, **more):
    """A step's context whose recipe asks for so many processes."""
    ctx = make(config, **more)
    ctx.recipe["stages"]["operator"]["processes"] = count
    return ctx


def curve(folder):
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]


def test_two_processes_learn_what_one_does(context, line_cache):
    config = {"epochs": 2, "accumulate": 2, "unroll": 2, "batchSize": 7, "ema": 0.9}  # rows 2 + 2 and 1 + 2
    config, folders = {**SMALL, **config}, []
    for count in (1, 2):
        ctx = in_processes(context, count, config, key=str(count) * 64, data=line_cache)
        result = train.run(ctx)
        folders.append(ctx.out)
    assert result["cpuSeconds"] > 0
    assert sorted(p.name for p in folders[0].iterdir()) == sorted(p.name for p in folders[1].iterdir())
    one, two = map(curve, folders)
    assert [row["step"] for row in one] == [row["step"] for row in two]
    for name in ("lr", "train.loss", "val.rollout.nrmse"):
        left, right = ([row[name] for row in rows if name in row] for rows in (one, two))
        np.testing.assert_allclose(right, left, rtol=1e-6, atol=1e-6)


def test_a_lost_process_is_a_preemption_and_the_checkpoint_stays(context, line_cache):
    config = {**SMALL, "steps": 100_000}
    ctx = in_processes(context, 2, config, data=line_cache, options={"checkpoint": {"intervalSeconds": 1}})

    def kill_one() -> None:
        while not list(ctx.store.list(f"{ctx.spec.record}/checkpoints")):
            time.sleep(0.05)
        children = subprocess.run(
            ["pgrep", "-P", str(os.getpid()), "-f", "ups_core.steps.worker"], capture_output=True, text=True
        )
        os.kill(int(children.stdout.split()[-1]), signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(Preempted, match="lost") as caught:
        train.run(ctx)
    killer.join()
    assert caught.value.exit_code == 75
    prefix = ctx.record.path(f"checkpoints/{ctx.spec.key}")
    newest = max(e.path for e in ctx.store.list(prefix) if e.path.endswith("/checkpoint.json"))
    facts = json.loads(ctx.store.get(newest))
    saved = Checkpoints(ctx.store, prefix, ctx.work).newest({"shapes": facts["shapes"]})
    assert saved is not None
    assert saved.facts["step"] == facts["step"] > 0


FAILED = (7, {"error": {"reason": "StageFailed", "message": "diverged", "where": "step 3"}})
STOPPED = (75, {"error": {"reason": "Preempted", "message": "stopped", "found": "step 9"}})


@pytest.mark.parametrize(
    ("endings", "signals", "code", "words"),
    [
        ([STOPPED, STOPPED], {}, 75, "stopped"),
        ([STOPPED, None], {1: signal.SIGKILL}, 75, "lost"),
        ([None, None], {0: signal.SIGABRT, 1: signal.SIGKILL}, 75, "lost"),
        ([STOPPED, None], {1: signal.SIGSEGV}, 139, "signal 11"),
        ([FAILED, FAILED], {}, 7, "diverged"),
        ([FAILED, STOPPED], {}, 7, "diverged"),
        ([FAILED, (0, {})], {}, 7, "diverged"),
        ([(0, {}), None], {1: signal.SIGTERM}, 75, "lost"),
    ],
)
def test_the_step_ends_as_its_workers_did(endings, signals, code, words):
    with pytest.raises(UpsError, match=words) as caught:
        outcome(endings, signals)
    assert caught.value.exit_code == code
    if code == 7:
        assert (caught.value.reason, caught.value.details) == ("StageFailed", {"where": "step 3"})


def test_the_first_process_has_the_result():
    assert outcome([(0, {"metrics": 1}), (0, {})], {}) == {"metrics": 1}


@pytest.mark.parametrize("draw", [uniform, normal, lambda *args: integers(9, *args)])
def test_rows_get_the_numbers_of_the_whole_batch(draw):
    whole = draw((7, 3), torch.Generator().manual_seed(1))
    parts = []
    for rank in range(3):
        generator, rows = BatchGenerator(), Group(rank, 3).rows(7)
        generator.manual_seed(1)
        generator.whole, generator.rows = 7, rows
        parts.append(draw((rows.stop - rows.start, 3), generator))
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize(("batch", "accumulate", "count"), [(8, 4, 3), (10, 4, 2)])  # 2+2+2+2, 3+3+3+1
def test_more_processes_than_samples_in_a_part_are_refused(
    context, line_cache, monkeypatch, batch, accumulate, count
):
    monkeypatch.setattr(Group, "joined", classmethod(lambda cls: cls(0, count)))
    config = {**SMALL, "steps": 1, "batchSize": batch, "accumulate": accumulate}
    with pytest.raises(InvalidSpec, match="too few samples"):
        train.run(in_processes(context, count, config, data=line_cache))
