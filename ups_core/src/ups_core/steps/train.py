"""``train``: trains one stage and publishes its best model.

Reads the cached dataset (role ``data``) and, where the operator works on a codec's latent states, the
codec (``codec``) and the encoded dataset (``latents``). The object holds ``model.safetensors``,
``model.json`` and ``curve.jsonl``; what has a clock in it goes to the run's record.
"""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ups_core.api.stages import STAGES, CodecConfig, OperatorConfig, Training
from ups_core.data.families import family
from ups_core.errors import InvalidSpec
from ups_core.evaluate.metrics import mean_defined, nrmse
from ups_core.models.advance import Solve
from ups_core.models.device import chosen_device, device_name
from ups_core.models.domain import Domain
from ups_core.models.problem import Problem
from ups_core.steps import processes, stopping
from ups_core.steps.context import StepContext
from ups_core.train import published
from ups_core.train.checkpoint import Checkpoints
from ups_core.train.coding import decode
from ups_core.train.data import Split
from ups_core.train.group import Group
from ups_core.train.loop import fit
from ups_core.train.memory import keep_freed_memory
from ups_core.train.normaliser import Normaliser
from ups_core.train.position import Fitted
from ups_core.train.tasks import Coding, Steady, Task, Transient
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
    prepared = prepare(ctx, stage, config)
    task, facts = prepared.task, prepared.facts
    if "resume" in ctx.inputs:
        published.load_weights(task.model, ctx.inputs["resume"].folder(ctx.work) / "model.safetensors")
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

        fitted = fit(
            task,
            config,
            seed,
            checkpoints=checkpoints,
            facts={name: facts[name] for name in ("stage", "config", "units", "normaliserSha256")},
            interval=saving.get("intervalSeconds", 60),
            stop=stop,
            report=report,
        )
    return publish(ctx.out, prepared, fitted) if group.first else {}


def as_long_as_rivals(ctx: StepContext) -> dict[str, float]:
    """The limit of a peer: all the CPU seconds that the stages it stands beside have taken, if it has any."""
    rivals = [found.manifest for role, found in ctx.inputs.items() if role.startswith("rival-")]
    seconds = sum(manifest.provenance["result"]["cpuSeconds"] for manifest in rivals)
    return {"cpuBudgetSeconds": seconds} if rivals else {}


@dataclass(frozen=True)
class Prepared:
    """A stage ready to train: its task, the facts of its ``model.json``, the codec it builds on."""

    task: Task
    facts: dict[str, Any]
    codec: Path | None = None


def prepare(ctx: StepContext, stage: str, config: Training) -> Prepared:
    """Read the data of the stage and build its network."""
    data = ctx.inputs["data"].folder(ctx.work)
    if isinstance(config, CodecConfig):
        problem, normaliser = _problem(data)
        if problem.steady:
            raise InvalidSpec(
                "a codec needs states that evolve",
                where="spec.stages",
                found=f"stage codec on the steady family {problem.family}",
                fix="remove the stage codec",
            )
        settings = config.to_dict()
        network = published.build(stage, settings, problem)
        facts = published.describe(stage, settings, network, problem, normaliser, _domain(ctx, data, network))
        return Prepared(Coding(network, normaliser, *_splits(data)), facts)
    assert isinstance(config, OperatorConfig)
    coded = "latents" in ctx.inputs
    problem, normaliser = _problem(ctx.inputs["latents"].folder(ctx.work) if coded else data)
    config = config.resolved(steady=problem.steady)
    assert config.architecture != "default"
    settings = config.architecture.to_dict()
    network = published.build(stage, settings, problem)
    facts = published.describe(stage, settings, network, problem, normaliser, _domain(ctx, data, network))
    if problem.steady:
        assert isinstance(network, Solve)
        facts["testTimeAugmentation"] = config.test_time_augmentation
        return Prepared(Steady(network, problem, normaliser, *_splits(data), config), facts)
    if not coded:
        return Prepared(Transient(network, problem, normaliser, *_splits(data), config), facts)
    codec = ctx.inputs["codec"].folder(ctx.work)
    splits, judge = _splits(ctx.inputs["latents"].folder(ctx.work)), _decoded_error(codec, data)
    return Prepared(Transient(network, problem, normaliser, *splits, config, judge), facts, codec)


def publish(out: Path, prepared: Prepared, fitted: Fitted) -> dict[str, Any]:
    """Write the stage's object; returns the small result of the step."""
    position, metric = fitted.position, f"val.{prepared.task.metric}"
    facts = {
        **prepared.facts,
        "validation": {"metric": metric, "value": position.best, "step": position.best_step},
        "steps": position.step,
    }
    published.write(out, facts, fitted.weights)
    (out / "curve.jsonl").write_text("".join(json.dumps(row) + "\n" for row in position.curve))
    if prepared.codec:
        for suffix in ("safetensors", "json"):
            shutil.copyfile(prepared.codec / f"model.{suffix}", out / f"codec.{suffix}")
    return {
        "metrics": {
            f"train.{metric}": position.best,
            "train.steps": position.step,
            "train.parameters": facts["parameters"],
        },
        "cpuSeconds": round(position.cpu_seconds, 3),
        "device": device_name(chosen_device()),
        "execution": position.execution or "eager",
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


def _problem(folder: Path) -> tuple[Problem, Normaliser]:
    dataset = json.loads((folder / "dataset.json").read_text())
    problem = Problem.read(folder, family(dataset["family"]))
    statistics = json.loads((folder / "normaliser.json").read_text())
    return problem, Normaliser.of(statistics, problem, Split.read(folder / "train").parameters)


def _domain(ctx: StepContext, data: Path, network: torch.nn.Module) -> Domain:
    """Of the fields themselves, also where the network works on codes of them."""
    at_rest = getattr(network, "boost", None) is not None
    return Domain.read(data, _problem(data)[0], ctx.inputs["data"].digest, at_rest=at_rest)


def _splits(folder: Path) -> tuple[Split, Split]:
    return Split.read(folder / "train").placed(chosen_device()), Split.read(folder / "val")


def _decoded_error(codec: Path, data: Path) -> Callable[[np.ndarray], float]:
    """Rollouts of codes, (N, T, Z, X'[, Y']) in units of the codes, to the error of the fields they mean."""
    model, truth = published.read(codec), Split.read(data / "val").u[:, 1:].numpy()
    return lambda z: float(mean_defined(nrmse(decode(model, z), truth)))
