"""One training in several processes of one machine, started and watched by torchrun's agent.

The step's own process is the agent: it trains nothing, starts the workers (:mod:`~ups_core.steps.worker`),
hands SIGTERM on to them, and ends as they did. It keeps what a step does once: the report of its begin and
end, and publishing. Nothing is restarted here; who runs the step does that, from the last checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ups_core.errors import EXIT_TRANSIENT, InvalidSpec, Preempted, UpsError
from ups_core.steps import stopping
from ups_core.steps.context import StepContext

#: Seconds that workers have to save after SIGTERM.
GRACE = 60
#: Signals by which a process is taken away from outside, rather than broken.
TAKEN = frozenset({signal.SIGKILL, signal.SIGTERM})

#: A worker's exit code and result, where it lived to write them.
Ending = tuple[int, dict[str, Any]]


class WorkerFailed(UpsError):
    """What a worker ended with, as the end of the whole step."""

    def __init__(self, code: int, error: Mapping[str, Any]) -> None:
        super().__init__(error["message"], **{k: v for k, v in error.items() if k in DETAILS})
        self.exit_code, self.reason = code, error["reason"]  # pyright: ignore[reportAttributeAccessIssue]


DETAILS = ("where", "found", "expected", "fix")


def train(ctx: StepContext, count: int) -> dict[str, Any]:
    """The result of training in ``count`` processes; the first of them has filled ``ctx.out``.

    Preempted where a worker was taken away or all were told to stop; else what the first to fail raised.
    """
    from torch import cuda
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if cuda.is_available() and cuda.device_count() < count:
        raise InvalidSpec(
            "there are fewer accelerators than processes",
            where=f"spec.stages[{ctx.options['stage']}].processes",
            found=count,
            expected=f"at most {cuda.device_count()}",
        )
    spec, folder = ctx.work / "spec.json", ctx.work / "workers"
    spec.write_text(json.dumps(ctx.spec.to_dict()))
    folder.mkdir()
    os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(GRACE)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # one machine, whose name need not resolve
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    arguments = ["--spec", spec, "--store", ctx.store.uri, "--out", ctx.out, "--work", folder]
    signals: dict[int, int] = {}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        elastic_launch(config, sys.executable)("-m", "ups_core.steps.worker", *map(str, arguments))
    except ChildFailedError as error:
        signals = {rank: -f.exitcode for rank, f in error.failures.items() if f.exitcode < 0}
    except SignalException:
        stopping.heard()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return outcome([_ending(folder / f"{rank}.json") for rank in range(count)], signals)


def outcome(endings: Sequence[Ending | None], signals: Mapping[int, int]) -> dict[str, Any]:
    """How the step ends, given how each worker did and which signals killed some.

    A failure that a worker could name is the step's. Without one, a worker that was taken away, or that
    lost another, is a preemption; and one that a signal of its own making killed has crashed.
    """
    told = [ending for ending in endings if ending is not None]
    if len(told) == len(endings) and all(code == 0 for code, _ in told):
        return told[0][1]
    for code, result in told:
        if code not in (0, EXIT_TRANSIENT):
            raise WorkerFailed(code, result["error"])
    crashed = {rank: number for rank, number in signals.items() if number not in TAKEN}
    if crashed and len(crashed) == len(signals):
        rank, number = min(crashed.items())
        message = f"process {rank} of the training was killed by signal {number}"
        raise WorkerFailed(128 + number, {"reason": "InternalError", "message": message})
    lost = [str(rank) for rank, ending in enumerate(endings) if ending is None]
    raise Preempted(
        "a process of the training was lost" if lost else "stopped, with a checkpoint written",
        found=f"process {', '.join(lost)} of {len(endings)}" if lost else told[0][1]["error"].get("found"),
    )


def _ending(path: Path) -> Ending | None:
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return document["code"], document["result"]
