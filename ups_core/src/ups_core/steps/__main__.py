"""``ups-step NAME``: run one step, publish what it made, write its result."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from ups_core.cores import available_cores
from ups_core.errors import InvalidSpec, Preempted
from ups_core.steps import STEPS, stopping
from ups_core.steps.context import PLAN, StepContext, StepSpec
from ups_core.steps.ending import ended
from ups_core.steps.provenance import Clock
from ups_core.steps.reporting import Reporter
from ups_core.store import RunRecord, Store, find, open_object, open_store, publish

#: A result travels as one output parameter of a Workflow, which has room for no more.
RESULT_BYTES = 16 * 1024


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="ups-step", description="Run one step of a plan.")
    parser.add_argument("step", choices=list(STEPS))
    parser.add_argument("--spec", required=True, help="JSON, @FILE, or plan:RECORD#NAME of a resolved plan")
    parser.add_argument("--attempt", type=int, default=1, help="number of the attempt, with plan:")
    parser.add_argument("--store", required=True, help="s3://bucket/prefix or file:///path")
    parser.add_argument("--work", required=True, type=Path, help="scratch folder")
    parser.add_argument("--result", type=Path, help="where the result goes; default: standard output")
    args = parser.parse_args(argv)

    signal.signal(signal.SIGTERM, on_sigterm)
    _stop_with_parent()
    code, result = ended(args.step, lambda: _run(args))
    text = json.dumps(result, sort_keys=True)
    if len(text) > RESULT_BYTES:
        raise AssertionError(f"the result of {args.step} has {len(text)} bytes; {RESULT_BYTES} fit")
    if args.result:
        args.result.parent.mkdir(parents=True, exist_ok=True)
        args.result.write_text(text)
    else:
        sys.stdout.write(text + "\n")
    sys.exit(code)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    store = open_store(args.store)
    spec = load_spec(args.step, args.spec, store, args.attempt)
    use_threads(spec.options.get("threads") or available_cores())
    return run_step(spec, store, args.work)


def load_spec(step: str, text: str, store: Store, attempt: int) -> StepSpec:
    """The spec, which must be for ``step``: from JSON, ``@FILE``, or the plan that ``resolve`` left."""
    try:
        if text.startswith("plan:"):
            record, _, name = text.removeprefix("plan:").partition("#")
            planned = RunRecord(store, record).read_json(PLAN, {"steps": {}})["steps"]
            spec = StepSpec.of(planned[name], attempt)
        else:
            spec = StepSpec(**json.loads(Path(text[1:]).read_text() if text.startswith("@") else text))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidSpec("the step's spec cannot be read", where="--spec", found=error) from error
    if spec.step != step:
        raise InvalidSpec("the spec is of another step", where="--spec", found=spec.step, expected=step)
    return spec


def use_threads(count: int) -> None:
    """One BLAS and OpenMP thread for each training thread; the count is part of what makes results agree.

    To be called before numpy or torch is imported, which read it once.
    """
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = str(count)


def run_step(spec: StepSpec, store: Store, work: Path) -> dict[str, Any]:
    """Run one step in a folder of its own under ``work`` and publish what it wrote.

    A step whose object is there already is not run: another engine or an earlier attempt was first.
    """
    kind = STEPS[spec.step]
    if kind.version and (existing := find(store, spec.step, _key(spec))) is not None:
        return _result(existing, {})
    inputs = {role: open_object(store, path) for role, path in spec.inputs.items()}
    module = importlib.import_module(f"ups_core.steps.{spec.step}")
    work.mkdir(parents=True, exist_ok=True)
    # On a file store the output folder lies beside the objects, so that publishing it is a rename.
    near = store.local_path("tmp")
    if near is not None:
        near.mkdir(parents=True, exist_ok=True)
    record = RunRecord(store, spec.record)
    with (
        tempfile.TemporaryDirectory(dir=near, prefix="out-", ignore_cleanup_errors=True) as out,
        tempfile.TemporaryDirectory(dir=work, prefix=f"{spec.name}-") as scratch,
        Reporter(record, spec) as reporter,
    ):
        clock = Clock()
        context = StepContext(
            spec=spec,
            store=store,
            record=record,
            out=Path(out) / "object",
            work=Path(scratch),
            progress=reporter.progress,
            inputs=inputs,
        )
        context.out.mkdir()
        result = module.run(context)
        if not kind.version:
            return result
        config = spec.recipe.get("stages", {}).get(spec.options.get("stage", ""), {}).get("config", {})
        exact = "cpuBudgetSeconds" not in config and all(o.manifest.deterministic for o in inputs.values())
        published = publish(
            store,
            step=spec.step,
            key=_key(spec),
            folder=context.out,
            inputs=inputs,
            recipe=spec.recipe,
            deterministic=exact,
            provenance=clock.provenance(threads=spec.options.get("threads"), result=result),
        )
        return _result(published, result)


def _key(spec: StepSpec) -> str:
    if spec.key is None:
        raise InvalidSpec("a step that publishes needs a key", where=f"--spec: {spec.name}", found="none")
    return spec.key


def _result(published: Any, result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "object": published.path, "digest": published.digest}


def on_sigterm(signum: int, frame: object) -> None:
    # Steps that have something to save take the signal over; for the rest, leaving is safe:
    # nothing is published before it is complete.
    stopping.heard()
    raise Preempted(stopping.ASKED_TO_STOP)


def _stop_with_parent() -> None:
    """Stop when the local engine dies: its end of our standard input closes.

    Without this a killed ``ups run`` would leave its steps writing beside those of the next one.
    """
    if os.environ.get("UPS_STOP_WITH_PARENT") != "1":
        return

    def wait() -> None:
        while os.read(0, 4096):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    main()
