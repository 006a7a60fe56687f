"""The local engine: every step of a plan as a process of its own, on this machine.

It starts ``ups-step`` exactly as a container would, so a laptop and a cluster differ in who starts
the steps and in nothing that they compute.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ups_core.api.common import EnvVar
from ups_core.steps.context import PLAN, StepSpec
from ups_core.store import RunRecord, Store
from ups_workflows.engines.locks import Lock
from ups_workflows.outcome import Failure, failure_of
from ups_workflows.plan import Plan

#: Seconds a step has to save its state after SIGTERM: the grace that its pod would have.
GRACE = 60.0


class Listener:
    """Hears how a plan proceeds; the command draws bars from it, the record keeps a status."""

    def waiting(self, process: int) -> None: ...
    def planned(self, steps: Mapping[str, Mapping[str, Any]]) -> None: ...
    def started(self, name: str) -> None: ...
    def progress(self, name: str, percent: int, text: str) -> None: ...
    def said(self, name: str, line: str) -> None: ...
    def finished(self, name: str, result: Mapping[str, Any]) -> None: ...
    def failed(self, failure: Failure) -> None: ...


@dataclass
class Attempt:
    """What one attempt did: the resolved steps, what each that ended has reached, the first failure."""

    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    failure: Failure | None = None


@dataclass
class LocalEngine:
    """Runs plans on one machine.

    ``work`` is a scratch folder that nobody else uses. ``locks`` and ``env`` go by record: a step inherits
    the lock of its resource, so that it is held until the last process that writes there is gone.
    """

    store: Store
    work: Path
    listeners: tuple[Listener, ...]
    locks: Mapping[str, Lock]
    env: Mapping[str, tuple[EnvVar, ...]]
    threads: int | None = None
    stopping: bool = False
    _running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def attempt(
        self,
        plan: Plan,
        *,
        number: int,
        salts: Mapping[str, str],
        only: frozenset[str] | None,
    ) -> Attempt:
        """Resolve the plan and run what must run. ``only`` narrows it to some steps, given by name."""
        done = Attempt()
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        options = {"steps": [step.to_dict() for step in plan.steps], "salts": dict(salts)}
        resolve = StepSpec(
            step="resolve", name="resolve", record=plan.steps[-1].record, options=options, attempt=number
        )
        _, failure = await self._run(resolve, None)
        if failure is not None:
            done.failure = failure
            return done
        for record in dict.fromkeys(step.record for step in plan.steps):
            done.steps |= RunRecord(self.store, record).read_json(PLAN)["steps"]
        if only is not None:
            done.steps = {name: step for name, step in done.steps.items() if step["group"] in only}
        self._tell("planned", done.steps)
        await self._run_steps(plan, done, number)
        return done

    def stop(self) -> None:
        """Ask every running step to save its state and end; no further step is started."""
        self.stopping = True
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()

    async def _run_steps(self, plan: Plan, done: Attempt, number: int) -> None:
        """Start each step when all that it takes is there, until nothing is left or one has failed."""
        waiting = [name for name, step in done.steps.items() if step["state"] == "runs"]
        running: dict[asyncio.Task[tuple[dict[str, Any] | None, Failure | None]], str] = {}
        try:
            while True:
                if not self.stopping and done.failure is None:
                    for name in self._startable(done.steps, waiting, list(running.values())):
                        waiting.remove(name)
                        spec = StepSpec.of(done.steps[name], number)
                        timeout = plan[done.steps[name]["group"]].timeout_seconds
                        running[asyncio.create_task(self._run(spec, timeout))] = name
                if not running:
                    return
                ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    name = running.pop(task)
                    result, failure = task.result()
                    done.results[name] = {k: v for k, v in (result or {}).items() if k != "error"}
                    done.failure = done.failure or failure
        finally:
            # Should we fail ourselves, the steps are stopped and waited for before the error goes on.
            if running:
                self.stop()
                await asyncio.wait(running)

    def _startable(
        self, steps: Mapping[str, Mapping[str, Any]], waiting: list[str], running: list[str]
    ) -> list[str]:
        """The waiting steps whose givers are done, as many as there are cores; training takes the threads
        of all its processes."""
        cores = os.cpu_count() or 1

        def slots(name: str) -> int:
            if steps[name]["step"] != "train":
                return 1
            processes = max(stage["processes"] for stage in steps[name]["recipe"]["stages"].values())
            return min(cores, (self.threads or cores) * processes)

        busy, chosen = sum(map(slots, running)), []
        for name in waiting:
            undone = set(steps[name]["givers"]) & {*waiting, *running}
            if not undone and (busy == 0 or busy + slots(name) <= cores):
                chosen.append(name)
                busy += slots(name)
        return chosen

    async def _run(
        self, spec: StepSpec, timeout: float | None
    ) -> tuple[dict[str, Any] | None, Failure | None]:
        """One process: its result, and how it failed if it did; a missed gate leaves both."""
        folder = self.work / spec.name
        folder.mkdir()
        (folder / "spec.json").write_text(json.dumps(spec.to_dict()))
        command = [sys.executable, "-m", "ups_core.steps", spec.step, "--spec", f"@{folder / 'spec.json'}"]
        command += ["--store", self.store.uri, "--work", str(folder), "--result", str(folder / "result.json")]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,  # held open: its end tells the step that we are gone
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(spec.record),
            pass_fds=[fd for fd in (self.locks[spec.record].descriptor,) if fd is not None],
            start_new_session=True,  # a Ctrl-C reaches us alone, and we stop the steps in order
            limit=1 << 20,
        )
        self._running[spec.name] = process
        self._tell("started", spec.name)
        listening = asyncio.create_task(self._listen(spec.name, process))
        timed_out = False
        try:
            await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            timed_out = True
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), GRACE)
            except TimeoutError:
                process.send_signal(signal.SIGKILL)
                await process.wait()
        finally:
            del self._running[spec.name]
        await listening
        ended = await process.wait()
        code = ended if ended >= 0 else 128 - ended
        result = _read_result(folder / "result.json")
        if timed_out:
            message = f"did not end within spec.stages[].timeoutSeconds = {timeout:g}"
            failure = Failure(spec.name, 7, "DeadlineExceeded", message)
        elif code == 0 and result is not None:
            self._tell("finished", spec.name, result)
            return result, None
        else:
            failure = failure_of(spec.name, code or 1, result)
        self._tell("failed", failure)
        return result, failure

    async def _listen(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for raw in process.stderr:
            line = raw.decode(errors="replace").rstrip()
            if line.startswith('{"progress"'):
                told = json.loads(line)
                self._tell("progress", name, told["progress"], told["text"])
            elif line:
                self._tell("said", name, line)

    def _tell(self, what: str, *told: Any) -> None:
        for listener in self.listeners:
            getattr(listener, what)(*told)

    def _environment(self, record: str) -> dict[str, str]:
        return {
            **os.environ,
            "UPS_PROGRESS": "json",
            "UPS_STOP_WITH_PARENT": "1",
            **{variable.name: variable.value for variable in self.env[record]},
        }


def _read_result(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None  # killed before or while it wrote it: the exit code says the rest
