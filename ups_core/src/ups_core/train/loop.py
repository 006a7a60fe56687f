"""The training loop of every stage.

One optimizer step at a time, until the limit is used up: steps, epochs, or CPU seconds of all processes.
Everything follows the elapsed share of that limit: learning rate, validations, rows of the curve. The
best model is the one with the smallest validation figure; the training loss never decides.

A loss or a gradient that is not finite is a setback: the loop goes back to the best weights it has, with
fresh moments and a lower learning rate, and on from there. After a few setbacks it gives up.

Where several processes train together (:mod:`~ups_core.train.group`), each computes its rows of every batch
and all take the same step by the sum of their gradients; the first validates, saves and reports.

The loop can stop after any step and go on later to the same bytes (under a limit of steps or epochs,
at a fixed number of threads): the order of samples is a function of seed and epoch, and everything
else that changes is in the checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
import torch
from torch import Tensor

from ups_core.api.stages import Training
from ups_core.errors import InvalidSpec, Preempted, StageFailed
from ups_core.models.device import chosen_device
from ups_core.train import execution
from ups_core.train.checkpoint import Checkpoints, Saved, shapes_of
from ups_core.train.draws import BatchGenerator
from ups_core.train.group import Group
from ups_core.train.optim import Optimizer
from ups_core.train.position import Fitted, Position
from ups_core.train.schedule import Limit, affordable, rate, ticks
from ups_core.train.tasks import Task

log = structlog.get_logger()

#: Rows of the learning curve for each validation.
ROWS = 5
#: How often training may diverge before it has failed, and what each time does to the learning rate.
SETBACKS, SLOWER = 3, 0.5


def fit(
    task: Task,
    config: Training,
    seed: int,
    *,
    checkpoints: Checkpoints | None = None,
    facts: Mapping[str, Any] | None = None,
    interval: float = 60.0,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[dict[str, Any], float], None] = lambda row, share: None,
) -> Fitted:
    """Train ``task.model`` until the limit of ``config`` and return the best of its validated states.

    The model goes to the accelerator, if there is one, and stays there. In a process that has joined others,
    only the outcome of the first is what was trained.

    ``checkpoints`` are written every ``interval`` seconds, when ``stop()`` turns true (Preempted) and at
    the end; the newest is continued. ``facts`` (architecture, units, normaliser hash) are kept in them
    and must be equal. ``report(row, share)`` gets each row of the curve. StageFailed where losses or
    gradients were not finite too often, or where no validation was.
    """
    return _Loop(task, config, seed, checkpoints, facts or {}, interval, stop, report).run()


class _Loop:
    def __init__(
        self,
        task: Task,
        config: Training,
        seed: int,
        checkpoints: Checkpoints | None,
        facts: Mapping[str, Any],
        interval: float,
        stop: Callable[[], bool],
        report: Callable[[dict[str, Any], float], None],
    ) -> None:
        self.group, self.device = Group.joined(), chosen_device()
        self.task, self.config, self.seed, self.model = task, config, seed, task.model.to(self.device)
        self.checkpoints, self.interval, self.stop, self.report = checkpoints, interval, stop, report
        self.facts = {**facts, "shapes": shapes_of(task.model)}
        self.batch = min(config.batch_size, len(task))
        smallest = min(map(len, torch.arange(self.batch).chunk(config.accumulate)))
        if smallest < self.group.size:
            raise InvalidSpec(
                "a batch has too few samples for all processes",
                where="spec.stages[].config",
                found=f"parts of {smallest} samples and {self.group.size} processes",
                fix="raise batchSize or lower accumulate or processes",
            )
        self.per_epoch = len(task) // self.batch  # what does not fill a batch waits for the next shuffle
        self.limit = Limit.of(config, self.per_epoch)
        self.optimizer = self.fresh_optimizer()
        self.generator = BatchGenerator()
        self.generator.manual_seed(seed)
        self.order: tuple[int, Tensor] = (-1, torch.empty(0))
        self.position = Position()
        self.weights = dict(task.model.named_parameters())
        self.average = {k: v.detach().clone() for k, v in self.weights.items()} if config.ema else {}
        #: The best weights yet; before the first validation those of the start.
        self.best = {k: v.clone() for k, v in task.model.state_dict().items()}

    def run(self) -> Fitted:
        if self.checkpoints and (saved := self.checkpoints.newest(self.facts)):
            self.restore(saved)
            log.info("going on from a checkpoint", at_step=self.position.step)
        self.began, self.earlier = time.process_time(), self.position.cpu_seconds
        self.choose_execution()
        written = time.monotonic()
        share = self.share()
        while share < 1:
            learning_rate = rate(self.share(0.5), self.config.warmup) * SLOWER**self.position.setbacks
            self.train_one(learning_rate)
            stopped = self.count()
            before, share = share, self.share()
            validated = ticks(before, share, self.config.validations) and (share >= 1 or self.affordable())
            if self.group.first and (validated or ticks(before, share, self.config.validations * ROWS)):
                self.row(learning_rate, self.validate() if validated else None, share)
            if stopped:
                self.save()
                self.group.wait()  # else the first would be taken for left behind while it still writes
                raise Preempted("stopped, with a checkpoint written", found=f"step {self.position.step}")
            if time.monotonic() - written >= self.interval:
                self.save()
                written = time.monotonic()
        self.count()
        self.save()
        if self.group.first and self.position.best_step < 0:
            raise StageFailed(
                "no validation gave a finite figure",
                found=f"{self.position.step} steps",
                expected=f"a finite {self.task.metric}",
                fix="set stages[].config.lr and muonLr to a third",
            )
        return Fitted(self.best, self.position)

    def fresh_optimizer(self) -> Optimizer:
        config = self.config
        return Optimizer(
            self.model,
            kind=config.optimizer,
            lr=config.lr,
            muon_lr=config.muon_lr,
            weight_decay=config.weight_decay,
            clip=config.clip,
        )

    def share(self, ahead: float = 0.0) -> float:
        """Elapsed share of the limit, in the middle of the coming step with ``ahead`` = 1/2."""
        return self.limit.share(self.position.step + ahead, self.position.cpu_seconds)

    def affordable(self) -> bool:
        """Whether a validation before the last one leaves enough of a budget to training."""
        position = self.position
        return self.limit.cpu_seconds is None or affordable(
            position.validation_seconds, position.validations, position.cpu_seconds
        )

    def count(self) -> bool:
        """Take the CPU seconds of all processes up to here; whether any of them was told to stop."""
        own = torch.tensor([time.process_time() - self.began, float(self.stop())], dtype=torch.float64)
        self.group.add([own])
        self.position.cpu_seconds = self.earlier + float(own[0])
        return bool(own[1] > 0)

    def choose_execution(self) -> None:
        """Measure on the first batch, where the device leaves a choice and it was not made before."""
        position = self.position
        #: How this process executes the network; None on the processor, which has no choice.
        self.way: execution.Way | None = None
        if self.device.type != "cuda":
            return
        if position.execution is None:
            indices, share, drawn = self.indices(), self.share(), self.generator.get_state()

            def once(way: execution.Way) -> None:
                self.backward(indices, share, way)
                self.generator.set_state(drawn)
                self.optimizer.forget_gradient()

            seconds = execution.measure(self.model, self.device, once)
            left = self.limit.steps_left(position.step, position.cpu_seconds, seconds["eager"].step)
            agreed = torch.tensor(execution.WAYS.index(execution.fastest(seconds, left)), device=self.device)
            self.group.follow_first([agreed])
            position.execution = execution.WAYS[int(agreed)]
            log.info("measured how to execute the network", chosen=position.execution, seconds=seconds)
        self.way = position.execution
        execution.use(self.model, self.way)

    def indices(self) -> Tensor:
        """The training samples of the coming step, (B,)."""
        epoch, place = divmod(self.position.step, self.per_epoch)
        if self.order[0] != epoch:
            shuffle = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self.order = epoch, torch.randperm(len(self.task), generator=shuffle)
        return self.order[1][place * self.batch : (place + 1) * self.batch]

    def backward(self, indices: Tensor, share: float, way: execution.Way | None) -> Tensor:
        """Gradients of the mean loss by this process's rows of the batch; their losses among zeros, (B,)."""
        losses, start = torch.zeros(len(indices), device=self.device), 0  # (B,)
        for part in indices.chunk(self.config.accumulate):
            rows = self.group.rows(len(part))
            self.generator.whole, self.generator.rows = len(part), rows
            with execution.precision(self.device, way):
                own = self.task.losses(part[rows], self.generator, share)  # (B/parts/processes,)
            (own.sum() / len(indices)).backward()
            losses[start + rows.start : start + rows.stop] = own.detach()
            start += len(part)
        return losses

    def train_one(self, learning_rate: float) -> None:
        indices = self.indices()
        losses = self.backward(indices, self.share(), self.way)  # (B,)
        self.group.add([*(p.grad for p in self.optimizer.params if p.grad is not None), losses])
        norm, value = self.optimizer.step(learning_rate), float(losses.mean())
        position = self.position
        position.step += 1
        if not (math.isfinite(norm) and math.isfinite(value)):
            self.set_back(indices, losses.cpu())
            return
        position.loss_sum += value
        position.loss_count += 1
        if self.average:
            with torch.no_grad():
                # A young average forgets faster: else it would remember the random start.
                decay = min(self.config.ema, position.step / (position.step + 10))
                for name, average in self.average.items():
                    average.lerp_(self.weights[name], 1 - decay)

    def set_back(self, indices: Tensor, losses: Tensor) -> None:
        """After a step that was not taken; StageFailed where it was one too many."""
        position, finite = self.position, torch.isfinite(losses)
        guilty = indices if bool(finite.all()) else indices[~finite]
        names = ", ".join(self.task.describe(int(i)) for i in guilty[:8])
        where = f"step {position.step - 1}, training samples {names}{', ...' if len(guilty) > 8 else ''}"
        found = "a gradient that is not finite" if bool(finite.all()) else "a loss that is not finite"
        position.setbacks += 1
        if position.setbacks <= SETBACKS:
            log.warning(
                "training diverged, going back", where=where, found=found, to_step=max(position.best_step, 0)
            )
            self.group.follow_first(self.best.values())
            self.model.load_state_dict(self.best)
            self.optimizer = self.fresh_optimizer()
            for name, average in self.average.items():
                average.copy_(self.best[name])
            return
        raise StageFailed(
            f"training diverged {position.setbacks} times",
            where=where,
            found=found,
            expected="finite numbers",
            fix="look at these samples; where they are sound, set stages[].config.lr and muonLr to a third",
        )

    def validate(self) -> float:
        """The figure of the current model, or of the average; keeps the weights where it is the best yet."""
        began = time.process_time()
        live = {k: v.detach().clone() for k, v in self.weights.items()}
        self.load(self.average or live)
        with execution.eager(self.model):
            figure = self.task.validate()
        if math.isfinite(figure) and figure < self.position.best:
            self.position.best, self.position.best_step = figure, self.position.step
            self.best = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.load(live)
        self.position.validations += 1
        self.position.validation_seconds += time.process_time() - began
        return figure

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        for name, p in self.weights.items():
            p.copy_(values[name])

    def row(self, learning_rate: float, figure: float | None, share: float) -> None:
        """One row of the curve: mean loss of what was learned since the last one, perhaps a validation."""
        position = self.position
        row: dict[str, Any] = {
            "step": position.step,
            "epoch": round(position.step / self.per_epoch, 6),
            "lr": learning_rate * self.config.lr,
            "train.loss": position.loss_sum / position.loss_count if position.loss_count else None,
        }
        if figure is not None:
            row[f"val.{self.task.metric}"] = figure if math.isfinite(figure) else None
        position.loss_sum, position.loss_count = 0.0, 0
        position.curve.append(row)
        self.report(row, min(share, 1.0))

    def save(self) -> None:
        if self.checkpoints is None or not self.group.first:
            return
        state = {f"optimizer/{k}": v for k, v in self.optimizer.state().items()}
        state |= {f"best/{k}": v for k, v in self.best.items()}
        state |= {f"average/{k}": v for k, v in self.average.items()}
        state["generator"] = self.generator.get_state()
        facts = {**self.facts, "loop": self.position.to_dict()}
        self.checkpoints.save(self.position.step, self.model.state_dict(), state, facts)

    def restore(self, saved: Saved) -> None:
        self.position = Position.of(saved.facts["loop"])
        self.model.load_state_dict(saved.weights)
        parts: dict[str, dict[str, Tensor]] = {"optimizer": {}, "best": {}, "average": {}}
        for name, value in saved.state.items():
            kind, _, rest = name.partition("/")
            if rest:
                parts[kind][rest] = value.to(self.device)
        self.optimizer.load_state(parts["optimizer"])
        self.best, self.average = parts["best"], parts["average"]
        self.generator.set_state(saved.state["generator"])
