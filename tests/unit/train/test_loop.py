from __future__ import annotations

import math
import time

import pytest
import torch
from torch import nn

from ups_core.api.stages import Training
from ups_core.errors import Preempted, StageFailed
from ups_core.train.checkpoint import Checkpoints
from ups_core.train.loop import fit


class Line:
    """y = w x by least squares; the validation figure can be scripted."""

    metric = "error"

    def __init__(self, figures=None, poison=None):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.x = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
        self.figures = list(figures) if figures else None
        self.seen = []
        if poison is not None:
            self.x[poison] = float("nan")

    def __len__(self):
        return len(self.x)

    def losses(self, indices, generator, share=0.0):
        self.seen.append(indices.tolist())
        x = self.x[indices] + 0.01 * torch.randn(len(indices), 3, generator=generator)
        losses = (self.model(x)[:, 0] - x.sum(1)).square()
        return losses

    def validate(self):
        if self.figures is not None:
            return self.figures.pop(0)
        with torch.no_grad():
            return float((self.model(self.x)[:, 0] - self.x.sum(1)).square().mean())

    def describe(self, index):
        return f"no. {index}"


def config(**fields):
    return Training.model_validate({"steps": 20, "batchSize": 8, "validations": 4, **fields})


def test_learns_and_draws_every_curve_row():
    rows = []
    task = Line()
    before = task.validate()
    fitted = fit(task, config(steps=200), 0, report=lambda row, share: rows.append((row, share)))
    assert fitted.position.best < before / 3
    assert [row for row, _ in rows] == fitted.position.curve
    assert len(rows) == 20
    assert [row["step"] for row, _ in rows if "val.error" in row] == [50, 100, 150, 200]
    assert rows[-1][1] == 1.0


def test_an_epoch_shows_each_sample_once():
    task = Line()
    fit(task, config(steps=None, epochs=2), 0)
    assert len(task.seen) == 10
    first, second = ([i for batch in task.seen[n : n + 5] for i in batch] for n in (0, 5))
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second


def test_best_is_kept_by_validation_not_by_the_last_or_the_loss():
    task = Line(figures=[3.0, 1.0, float("nan"), 2.0])
    states = []
    fitted = fit(
        task,
        config(),
        0,
        report=lambda row, share: states.append(
            {k: v.clone() for k, v in task.model.state_dict().items()} if "val.error" in row else None
        ),
    )
    assert (fitted.position.best, fitted.position.best_step) == (1.0, 10)
    second = [s for s in states if s is not None][1]
    assert all(torch.equal(fitted.weights[k], second[k]) for k in second)
    assert fitted.position.curve[-6]["val.error"] is None  # diverged: no number


def test_no_finite_validation_is_a_failure():
    with pytest.raises(StageFailed, match="no validation"):
        fit(Line(figures=[math.inf] * 4), config(), 0)


def test_a_sample_that_is_never_finite_is_named_after_a_few_setbacks():
    task = Line(poison=7)
    with pytest.raises(StageFailed, match="diverged 4 times") as caught:
        fit(task, config(), 0)
    steps = [i for i, batch in enumerate(task.seen) if 7 in batch]
    assert len(steps) == 4
    assert caught.value.exit_code == 7
    assert caught.value.details["where"] == f"step {steps[-1]}, training samples no. 7"


def test_a_setback_goes_on_from_the_best_weights_at_half_the_rate(monkeypatch):
    task, rates = Line(figures=[1.0, 2.0, 3.0, 4.0]), []
    original, states = task.losses, []

    def losses(indices, generator, share):
        states.append({k: v.clone() for k, v in task.model.state_dict().items()})
        value = original(indices, generator, share)
        return value * float("nan") if len(states) == 8 else value

    task.losses = losses
    fitted = fit(task, config(warmup=0), 0, report=lambda row, share: rates.append((row["step"], row["lr"])))
    assert fitted.position.setbacks == 1
    # Validated after step 5; the eighth batch was not learned from, and the ninth starts where the sixth did.
    assert all(torch.equal(states[8][k], states[5][k]) for k in states[8])
    smooth = {step: 4e-3 * 0.5 * (1 + math.cos(math.pi * (step - 0.5) / 20)) for step, _ in rates}
    for step, lr in rates:
        assert lr == pytest.approx(smooth[step] * (1 if step <= 8 else 0.5))


def weights(fitted):
    return {name: value.numpy().tobytes() for name, value in fitted.weights.items()}


@pytest.mark.parametrize(
    "limit",
    [
        {"steps": 20},
        {"steps": None, "epochs": 4, "ema": 0.9, "accumulate": 3},
        {"optimizer": "adamw"},
        {"optimizer": "soap"},
    ],
    ids=["muon", "epochs", "adamw", "soap"],
)
@pytest.mark.parametrize("kill", [1, 7, 19])
def test_resume_is_bit_exact(store, tmp_path, limit, kill):
    whole = fit(Line(), config(**limit), 0)

    class Killed(Exception):
        pass

    def interrupted(task):
        steps = iter(range(kill))
        original = task.losses

        def losses(*args):
            if next(steps, None) is None:
                raise Killed
            return original(*args)

        task.losses = losses
        return task

    checkpoints = Checkpoints(store, "runs/x/checkpoints/k", tmp_path, keep=2)
    with pytest.raises(Killed):
        fit(interrupted(Line()), config(**limit), 0, checkpoints=checkpoints, interval=0.0)
    resumed = fit(Line(), config(**limit), 0, checkpoints=checkpoints, interval=0.0)
    assert weights(resumed) == weights(whole)
    assert resumed.position.curve == whole.position.curve
    again = fit(Line(), config(**limit), 0, checkpoints=checkpoints)  # finished: nothing is trained
    assert weights(again) == weights(whole)


@pytest.mark.parametrize("kill", [8, 9, 15])
def test_resume_after_a_setback_is_bit_exact(store, tmp_path, kill):
    class Once(Line):
        """One batch whose loss is not finite, by the place of it, whoever runs it."""

        at = 0

        def losses(self, indices, generator, share=0.0):
            self.at += 1
            return super().losses(indices, generator, share) * (float("nan") if self.at == 8 else 1.0)

    settings = config(ema=0.9)
    whole = fit(Once(), settings, 0)
    assert whole.position.setbacks == 1
    checkpoints, first = Checkpoints(store, "runs/x/checkpoints/k", tmp_path), Once()
    with pytest.raises(Preempted):
        fit(first, settings, 0, checkpoints=checkpoints, stop=lambda: first.at == kill)
    second = Once()
    second.at = kill
    resumed = fit(second, settings, 0, checkpoints=checkpoints)
    assert weights(resumed) == weights(whole)
    assert resumed.position.curve == whole.position.curve
    assert [resumed.position.setbacks, resumed.position.best] == [1, whole.position.best]


def test_a_setback_takes_the_average_back_too(monkeypatch):
    task, original = Line(), Line.losses
    at = iter(range(100))

    def losses(indices, generator, share):
        value = original(task, indices, generator, share)
        return value * float("nan") if next(at) == 11 else value

    task.losses = losses
    seen = []
    loop_validate = task.validate
    task.validate = lambda: seen.append([p.clone() for p in task.model.parameters()]) or loop_validate()
    # An average that never forgets stays where it was put: at the state validated after step 10.
    monkeypatch.setattr("ups_core.train.loop.rate", lambda share, warmup: 0.0 if share > 0.5 else 1.0)
    fit(task, config(ema=0.5), 0)
    assert len(seen) == 4
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(seen[1], seen[2], strict=True))


def test_an_interval_of_setbacks_alone_has_no_loss():
    task, original = Line(), Line.losses
    task.losses = lambda *args: original(task, *args) * (float("nan") if len(task.seen) == 3 else 1.0)
    fitted = fit(task, config(), 0)
    assert [row["step"] for row in fitted.position.curve if row["train.loss"] is None] == [3]


def test_epochs_count_batches_whatever_parts_they_are_computed_in():
    whole, parts = (fit(Line(), config(steps=None, epochs=3, accumulate=n), 0) for n in (1, 99))
    assert whole.position.step == parts.position.step == 15
    assert [row["step"] for row in whole.position.curve] == [row["step"] for row in parts.position.curve]


def test_a_stop_leaves_a_checkpoint(store, tmp_path):
    checkpoints = Checkpoints(store, "runs/x/checkpoints/k", tmp_path)
    task = Line()
    with pytest.raises(Preempted) as caught:
        fit(task, config(), 0, checkpoints=checkpoints, stop=lambda: len(task.seen) == 3)
    assert caught.value.exit_code == 75
    assert [e.path.split("/")[-2] for e in store.list(checkpoints.prefix)] == ["00000003"] * 3
    assert weights(fit(Line(), config(), 0, checkpoints=checkpoints)) == weights(fit(Line(), config(), 0))


def test_a_batch_in_parts_has_the_gradient_of_the_whole():
    whole, parts = Line(), Line()
    for task in (whole, parts):
        task.losses = lambda indices, generator, share, task=task: (
            task.model(task.x[indices])[:, 0] - task.x[indices].sum(1)
        ).square()
    one, many = (fit(task, config(accumulate=n), 0) for task, n in ((whole, 1), (parts, 3)))
    for name, value in one.weights.items():
        torch.testing.assert_close(many.weights[name], value)


def test_best_survives_a_resume_into_worse(store, tmp_path):
    checkpoints = Checkpoints(store, "runs/x/checkpoints/k", tmp_path)
    task = Line(figures=[1.0])
    with pytest.raises(Preempted):
        fit(task, config(), 0, checkpoints=checkpoints, stop=lambda: len(task.seen) == 6)
    fitted = fit(Line(figures=[5.0, 4.0, 3.0]), config(), 0, checkpoints=checkpoints)
    assert (fitted.position.best, fitted.position.best_step) == (1.0, 5)


def test_cpu_budget_ends_and_counts_what_was_used_before(store, tmp_path):
    checkpoints = Checkpoints(store, "runs/x/checkpoints/k", tmp_path)
    task = Line()
    limited = config(steps=None, cpuBudgetSeconds=0.4)
    with pytest.raises(Preempted):
        fit(task, limited, 0, checkpoints=checkpoints, stop=lambda: len(task.seen) == 5)
    used = checkpoints.newest({"shapes": {k: list(v.shape) for k, v in task.model.state_dict().items()}})
    fitted = fit(Line(), limited, 0, checkpoints=checkpoints)
    assert used.facts["loop"]["cpu_seconds"] > 0
    assert 0.4 <= fitted.position.cpu_seconds < 1.0
    assert "val.error" in fitted.position.curve[-1]


def test_slow_validations_are_fewer_under_a_cpu_budget():
    class Slow(Line):
        def validate(self):
            began = time.process_time()
            while time.process_time() - began < 0.1:
                pass
            return super().validate()

    fitted = fit(Slow(), config(steps=None, cpuBudgetSeconds=1.2, validations=12), 0)
    curve = fitted.position.curve
    assert 2 <= fitted.position.validations <= 3  # the first, the last, and one that a tenth has room for
    assert "val.error" in curve[-1]
    assert fitted.position.step > 5
    assert fit(Slow(), config(steps=4, validations=4), 0).position.validations == 4
