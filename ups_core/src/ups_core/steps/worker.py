"""One of the processes that train together; started by :mod:`~ups_core.steps.processes`, never by people."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ups_core.cores import available_cores
from ups_core.steps.__main__ import on_sigterm, use_threads
from ups_core.steps.context import StepContext, StepSpec
from ups_core.steps.ending import ended
from ups_core.steps.reporting import Reporter
from ups_core.store import RunRecord, open_object, open_store

#: Longest time that the others wait for the first: it validates and saves. A lost process ends it at once.
PATIENCE = timedelta(days=1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="ups_core.steps.worker")
    for name in ("--spec", "--out", "--work"):
        parser.add_argument(name, required=True, type=Path)
    parser.add_argument("--store", required=True)
    args = parser.parse_args()
    rank = int(os.environ["RANK"])
    signal.signal(signal.SIGTERM, on_sigterm)
    _stop_with_agent()
    code, result = ended("train", lambda: _train(args, rank))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # another one's end must not cut this one's word short
    path = args.work / f"{rank}.json"
    path.with_suffix(".part").write_text(json.dumps({"code": code, "result": result}))
    path.with_suffix(".part").replace(path)
    sys.exit(code)


def _train(args: argparse.Namespace, rank: int) -> dict[str, Any]:
    spec = StepSpec(**json.loads(args.spec.read_text()))
    use_threads(spec.options.get("threads") or max(1, available_cores() // int(os.environ["WORLD_SIZE"])))
    from torch import cuda, distributed

    from ups_core.steps import train

    store = open_store(args.store)
    # Rows and logs have one writer a file, and shard 0 is the agent's.
    spec = replace(spec, shard=rank + 1, options=spec.options if rank == 0 else _silent(spec.options))
    record = RunRecord(store, spec.record)
    with (
        tempfile.TemporaryDirectory(dir=args.work, prefix=f"{rank}-") as scratch,
        Reporter(record, spec) as reporter,
    ):
        work = Path(scratch)
        out = args.out if rank == 0 else work / "out"
        out.mkdir(exist_ok=True)
        context = StepContext(
            spec=spec,
            store=store,
            record=record,
            out=out,
            work=work,
            progress=reporter.progress,
            inputs={role: open_object(store, path) for role, path in spec.inputs.items()},
        )
        if cuda.is_available():
            cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda.is_available() else "gloo", timeout=PATIENCE
        )
        try:
            return train.run(context)
        finally:
            distributed.destroy_process_group()


def _silent(options: dict[str, Any]) -> dict[str, Any]:
    """Without what the first process alone tells the world."""
    return {name: value for name, value in options.items() if name != "tracking"}


def _stop_with_agent() -> None:
    """Stop when the agent is gone: nobody would publish what is trained here, and the next attempt begins."""
    agent = os.getppid()

    def wait() -> None:
        while os.getppid() == agent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    main()
