"""Judging a surrogate of a time-dependent problem: in a closed loop, and one step at a time.

In a *closed-loop rollout* the surrogate lives on its own output, so its errors feed back; that is how
it will be used. *Teacher forced*, it gets the true frame before each frame that it predicts; the
difference between the two figures is what feedback costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ups_core.data.families.base import Family, Solver
from ups_core.evaluate import metrics, peers
from ups_core.evaluate.judgement import Judgement, Meter, Spectra, finite_metrics, plain, spread
from ups_core.evaluate.split import Split, Window

Tick = Callable[[], None]

#: Whose rollouts may diverge and drift.
MOVING = ("rollout", "solver.rollout", "fno.rollout")


@dataclass(frozen=True)
class Score:
    """One predictor on one split: error (N, T, C), largest error (N,), drift of conserved means (N, F)."""

    error: np.ndarray
    largest: np.ndarray
    drift: np.ndarray

    @property
    def per_sample(self) -> np.ndarray:
        return metrics.mean_defined(self.error, axis=(1, 2))


def judge_transient(
    model: peers.Surrogate,
    split: Split,
    frames: Window,
    family: Family,
    *,
    names: Sequence[str],
    fno: peers.Surrogate | None = None,
    tick: Tick,
) -> Judgement:
    """All metrics of the surrogate, and of the peers in ``names``, over the predicted frames of a split.

    ``fno`` is the trained peer, judged like the surrogate.
    """
    fields = [field.name for field in family.fields]
    conserved = [fields.index(name) for name in family.conserved]
    shown = sorted({0, (frames.steps - 1) // 2, frames.steps - 1})  # frames whose spectra are kept
    spectra, meter = Spectra(split.space), Meter()
    # A first call imports, allocates and plans; that is no part of the cost of a frame.
    peers.surrogate_rollout(model, split, slice(0, 1), Window(frames.given, 1))

    def predict(batch: slice) -> np.ndarray:
        return peers.surrogate_rollout(model, split, batch, frames)

    rollout = score(
        _metered(predict, frames, meter), split, frames, conserved, tick=tick, spectra=spectra, shown=shown
    )
    one_step = score(
        lambda b: peers.surrogate_one_step(model, split, b, frames), split, frames, [], tick=tick
    )
    scores = {"rollout": rollout, "one_step": one_step}
    cost = {"surrogate": meter.to_dict()}
    if "persistence" in names:
        scores["persistence.rollout"] = score(
            lambda b: peers.persistence(split, b, frames), split, frames, [], tick=tick
        )
        scores["persistence.one_step"] = score(
            lambda b: split.u[b, frames.start : frames.start + frames.steps], split, frames, [], tick=tick
        )
    if "solver" in names and family.solver is not None:
        scores["solver.rollout"], cost["solver"] = _solver(family.solver, split, frames, conserved, tick)

    if fno is not None:
        peers.surrogate_rollout(fno, split, slice(0, 1), Window(frames.given, 1))
        fno_meter, its = Meter(), fno
        run = _metered(lambda b: peers.surrogate_rollout(its, split, b, frames), frames, fno_meter)
        scores["fno.rollout"] = score(run, split, frames, conserved, tick=tick)
        scores["fno.one_step"] = score(
            lambda b: peers.surrogate_one_step(its, split, b, frames), split, frames, [], tick=tick
        )
        cost["fno"] = fno_meter.to_dict()

    truth = _truth_drift(split, frames, conserved) if conserved else None
    return Judgement(
        metrics=finite_metrics(_flat(scores, fields, truth)),
        columns=_columns(scores, frames),
        error=np.where(np.isnan(rollout.per_sample), np.inf, rollout.per_sample),
        spectra=spectra.to_dict([frames.given + i for i in shown], split, fields),
        predict=predict,
        over_time={
            "frame": list(range(frames.given, frames.given + frames.steps)),
            "t": split.coordinates["T"][frames.predicted].tolist(),
            **{name: _over_time(found.error) for name, found in scores.items()},
        },
        cost=cost,
    )


def score(
    predict: Callable[[slice], np.ndarray],
    split: Split,
    frames: Window,
    conserved: Sequence[int],
    *,
    tick: Tick,
    spectra: Spectra | None = None,
    shown: Sequence[int] = (),
) -> Score:
    """Run a predictor over a split, batch by batch, so that memory does not grow with the split."""
    errors, largest, drifts = [], [], []
    for batch in split.batches():
        truth = split.u[batch, frames.predicted]  # (n, T, C, X[, Y])
        prediction = predict(batch)
        errors.append(metrics.nrmse(prediction, truth))
        largest.append(metrics.max_error(prediction, truth))
        drifts.append(metrics.mean_drift(prediction, split.u[batch, frames.start])[:, list(conserved)])
        if spectra is not None:
            spectra.add(prediction[:, list(shown)], truth[:, list(shown)])
        tick()
    return Score(np.concatenate(errors), np.concatenate(largest), np.concatenate(drifts))


def _solver(
    solver: Solver, split: Split, frames: Window, conserved: Sequence[int], tick: Tick
) -> tuple[Score, dict[str, float]]:
    meter = Meter()
    peers.solver_rollout(solver, split, slice(0, 1), Window(frames.given, 1))
    run = _metered(lambda b: peers.solver_rollout(solver, split, b, frames), frames, meter)
    return score(run, split, frames, conserved, tick=tick), meter.to_dict()


def _metered(
    predict: Callable[[slice], np.ndarray], frames: Window, meter: Meter
) -> Callable[[slice], np.ndarray]:
    """The same predictor, with its time and frames counted."""

    def run(batch: slice) -> np.ndarray:
        with meter.running((batch.stop - batch.start) * frames.steps):
            return predict(batch)

    return run


def _truth_drift(split: Split, frames: Window, conserved: Sequence[int]) -> np.ndarray:
    """The drift of the data themselves: what rounding and the data's own solver leave, (N, F)."""
    return np.concatenate(
        [
            metrics.mean_drift(split.u[b, frames.predicted], split.u[b, frames.start])[:, list(conserved)]
            for b in split.batches()
        ]
    )


def _flat(scores: dict[str, Score], fields: list[str], truth_drift: np.ndarray | None) -> dict[str, float]:
    rollout = scores["rollout"]
    flat = {f"{name}.nrmse": float(metrics.mean_defined(found.error)) for name, found in scores.items()}
    for name in ("rollout", "solver.rollout", "fno.rollout", "persistence.rollout"):
        if name in scores:
            flat[f"{name}.last_frame.nrmse"] = float(metrics.mean_defined(scores[name].error[:, -1]))
            flat[f"{name}.max_error"] = float(scores[name].largest.max())
    # Nothing is undefined in most data; where something is, every mean says how much it left out.
    if left_out := metrics.undefined(rollout.error):
        flat["rollout.undefined"] = left_out
    for name in MOVING:
        if name in scores:
            flat[f"{name}.diverged"] = int(metrics.diverged(scores[name].error).sum())
    if len(fields) > 1:
        for i, field in enumerate(fields):
            flat[f"rollout.{field}.nrmse"] = float(metrics.mean_defined(rollout.error[..., i]))
    if truth_drift is not None:
        flat["truth.rollout.conservation_drift"] = float(metrics.mean_defined(truth_drift))
        for name in MOVING:
            if name in scores:
                flat[f"{name}.conservation_drift"] = float(metrics.mean_defined(scores[name].drift))
    return flat


def _columns(scores: dict[str, Score], frames: Window) -> dict[str, np.ndarray]:
    rollout = scores["rollout"]
    columns = {f"{name}.nrmse": found.per_sample for name, found in scores.items()}
    columns["rollout.max_error"] = rollout.largest
    if rollout.drift.shape[1]:
        columns["rollout.conservation_drift"] = rollout.drift.max(axis=1)
    columns["rollout.finite_frames"] = metrics.first_divergence(rollout.error)
    return columns


def _over_time(error: np.ndarray) -> dict[str, list[float | None]]:
    """Error against time: the mean over samples and fields, and the spread over samples."""
    per_sample = metrics.mean_defined(error, axis=2)  # (N, T)
    return {"mean": plain(metrics.mean_defined(error, axis=(0, 2))), **spread(per_sample)}
