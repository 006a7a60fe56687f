"""``train``: trains one stage and publishes the surrogate that goes on.

Reads the cached dataset (role ``data``), the object of the stage before (``model``) and, where there was a
codec, the encoded dataset (``latents``). The object holds all files of the stage before and, where the
verdict on this one kept it, its network and its learning curve; ``verdicts.json`` has the figures. What has
a clock in it goes to the run's record.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ups_core.api.stages import STAGES, Training
from ups_core.models.device import chosen_device, device_name
from ups_core.stages import PREPARE
from ups_core.stages.base import Given, Judged, Prepared
from ups_core.steps import processes, stopping
from ups_core.steps.context import StepContext
from ups_core.train import published
from ups_core.train.checkpoint import Checkpoints
from ups_core.train.gate import Verdict
from ups_core.train.group import Group
from ups_core.train.loop import fit
from ups_core.train.memory import keep_freed_memory
from ups_core.train.position import Fitted
from ups_core.train.tracking import tracker


def run(ctx: StepContext) -> dict[str, Any]:
    stage, seed, group = ctx.options["stage"], int(ctx.recipe["seed"]), Group.joined()
    if (count := ctx.recipe["stages"][stage].get("processes", 1)) > group.size:
        return processes.train(ctx, count)
    config = STAGES[stage].model_validate(ctx.recipe["stages"][stage]["config"] | as_long_as_rivals(ctx))
    if threads := ctx.options.get("threads"):
        torch.set_num_threads(threads)
    keep_freed_memory()
    torch.manual_seed(seed)  # initial weights
    given = given_to(ctx)
    prepared = PREPARE[stage](given, config, seed)
    if isinstance(prepared, Verdict):
        published.hand_on(given.model, ctx.out, prepared.to_dict())
        return result(prepared, {}, cpu_seconds=0.0)
    fitted = train(ctx, prepared, config, seed)
    prepared.task.model.load_state_dict(fitted.weights)
    ctx.progress(100, 100, "judging")
    judged = prepared.judge(fitted.position.best)
    if not group.first:
        return {}
    published.hand_on(given.model, ctx.out, judged.verdict.to_dict())
    return publish(ctx.out, prepared, fitted, judged)


def given_to(ctx: StepContext) -> Given:
    """The folders of the inputs; codes are there only where their codec was kept."""
    latents = ctx.inputs.get("latents")
    coded = latents is not None and "dataset.json" in latents.manifest.files
    return Given(
        data=ctx.inputs["data"].folder(ctx.work),
        digest=ctx.inputs["data"].digest,
        model=ctx.inputs["model"].folder(ctx.work) if "model" in ctx.inputs else None,
        latents=latents.folder(ctx.work) if latents and coded else None,
    )


def train(ctx: StepContext, prepared: Prepared, config: Training, seed: int) -> Fitted:
    """The loop, with its checkpoints, its rows in the run's record, and its ear for SIGTERM."""
    task, facts = prepared.task, prepared.facts
    weights = f"{published.NAMES[facts['stage']]}.safetensors"
    resume = ctx.inputs.get("resume")
    if resume and weights in resume.manifest.files:  # a stage that was dropped has left none
        published.load_weights(task.model, resume.folder(ctx.work) / weights)
    saving = ctx.options.get("checkpoint", {})
    checkpoints = Checkpoints(
        ctx.store, ctx.record.path(f"checkpoints/{ctx.spec.key}"), ctx.work, keep=saving.get("keep", 3)
    )
    with (
        ctx.record.writer("metrics", ctx.spec.name, ctx.spec.attempt, ctx.spec.shard) as rows,
        tracker(ctx.options.get("tracking", {}), ctx.spec.name, facts, ctx.record, ctx.work) as track,
        on_sigterm() as stop,
    ):

        def report(row: dict[str, Any], share: float) -> None:
            rows.write({"time": time.time(), **row})
            track(row)
            loss = row["train.loss"]
            ctx.progress(round(100 * share), 100, "diverged" if loss is None else f"loss {loss:.3g}")

        return fit(
            task,
            config,
            seed,
            checkpoints=checkpoints,
            facts={name: facts[name] for name in ("stage", "config", "problem", "units", "normaliserSha256")},
            interval=saving.get("intervalSeconds", 60),
            stop=stop,
            report=report,
        )


def as_long_as_rivals(ctx: StepContext) -> dict[str, float]:
    """The limit of a peer: all the CPU seconds that the stages it stands beside have taken, if it has any."""
    rivals = [found.manifest for role, found in ctx.inputs.items() if role.startswith("rival-")]
    seconds = sum(manifest.provenance["result"]["cpuSeconds"] for manifest in rivals)
    return {"cpuBudgetSeconds": seconds} if rivals else {}


def publish(out: Path, prepared: Prepared, fitted: Fitted, judged: Judged) -> dict[str, Any]:
    """Write what the stage adds, where it was kept; returns the small result of the step."""
    position, metric = fitted.position, f"val.{prepared.task.metric}"
    facts = {
        **prepared.facts,
        **judged.facts,
        "validation": {"metric": metric, "value": position.best, "step": position.best_step},
        "steps": position.step,
    }
    if judged.verdict.kept:
        name = published.NAMES[facts["stage"]]
        published.write(out, facts, fitted.weights, name)
        curve = "curve.jsonl" if name == "model" else f"{name}-curve.jsonl"
        (out / curve).write_text("".join(json.dumps(row) + "\n" for row in position.curve))
    metrics = {
        f"train.{metric}": position.best,
        "train.steps": position.step,
        "train.parameters": facts["parameters"],
        **{f"train.{facts['stage']}.{name}": value for name, value in judged.measured.items()},
    }
    return result(
        judged.verdict,
        metrics,
        cpu_seconds=prepared.cpu_seconds + position.cpu_seconds,
        execution=position.execution or "eager",
    )


def result(
    verdict: Verdict, metrics: Mapping[str, float], *, cpu_seconds: float, execution: str = "eager"
) -> dict[str, Any]:
    return {
        "metrics": {**metrics, **verdict.metrics()},
        "verdict": str(verdict),
        "cpuSeconds": round(cpu_seconds, 3),
        "device": device_name(chosen_device()),
        "execution": execution,
    }


@contextmanager
def on_sigterm() -> Iterator[Callable[[], bool]]:
    """Inside, SIGTERM only sets a flag, which the yielded function reads."""
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told.is_set
        return

    def hear(*_: object) -> None:
        stopping.heard()
        told.set()

    before = signal.signal(signal.SIGTERM, hear)
    try:
        yield told.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
