"""Judging a surrogate of a time-dependent problem: in a closed loop, and one step at a time.

In a *closed-loop rollout* the surrogate lives on its own output, so its errors feed back; that is how
it will be used. *Teacher forced*, it gets the true frame before each frame that it predicts; the
difference between the two figures is what feedback costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ups_core.data.families.base import Family
from ups_core.data.particles import nearest
from ups_core.evaluate import beyond, metrics, peers, resolutions
from ups_core.evaluate.judgement import BandEnergy, Judgement, Meter, Spectra, finite_metrics, plain, spread
from ups_core.evaluate.leads import judge_leads
from ups_core.evaluate.split import Split, Window

Tick = Callable[[], None]

#: Whose rollouts may diverge and drift.
MOVING = ("rollout", "solver.rollout", "fno.rollout")
#: The nRMSE at which a rollout counts as lost: its correlation with the truth is then 0.98 or so.
THRESHOLD = 0.2


@dataclass(frozen=True)
class Score:
    """One predictor on one split: error (N, T, C), largest error (N,), drift of conserved means (N, F).

    ``bands`` (3,): the error's energy in each band of wavenumbers, relative to the truth's; (0,) of points.
    """

    error: np.ndarray
    largest: np.ndarray
    drift: np.ndarray
    bands: np.ndarray

    @property
    def per_sample(self) -> np.ndarray:
        return metrics.mean_defined(self.error, axis=(1, 2))

    def horizon(self, threshold: float) -> np.ndarray:
        """Frames of each sample before the first whose error, the mean over fields, exceeds it: (N,)."""
        return metrics.horizon(metrics.mean_defined(self.error, axis=2), threshold)


def judge_transient(
    model: peers.Surrogate,
    split: Split,
    frames: Window,
    family: Family,
    train: Split,
    *,
    asked: Mapping[str, Any],
    names: Sequence[str],
    conserved: Sequence[int],
    fno: peers.Surrogate | None = None,
    tick: Tick,
) -> Judgement:
    """All metrics of the surrogate, and of the peers in ``names``, over the predicted frames of a split.

    ``asked`` is ``evaluation.rollout``; ``conserved`` are the fields whose drift is one of the metrics;
    ``fno`` is the trained peer, judged like the surrogate.
    """
    fields = [field.name for field in family.fields]
    shown = sorted({0, (frames.steps - 1) // 2, frames.steps - 1})  # frames whose spectra are kept
    spectra, meter = None if split.scattered else Spectra(split.space), Meter()
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
    meters, trained = {"surrogate": meter}, {"rollout": model}
    if "persistence" in names:
        scores["persistence.rollout"] = score(
            lambda b: peers.persistence(split, b, frames), split, frames, [], tick=tick
        )
        scores["persistence.one_step"] = score(
            lambda b: peers.one_step_persistence(split, b, frames), split, frames, [], tick=tick
        )
    own, settings = np.inf, []
    if "solver" in names and (solver := family.solver) is not None:
        peers.solver_rollout(solver, split, slice(0, 1), Window(frames.given, 1))
        meters["solver"] = Meter()
        run = _metered(lambda b: peers.solver_rollout(solver, split, b, frames), frames, meters["solver"])
        scores["solver.rollout"] = score(run, split, frames, conserved, tick=tick)
        if not split.scattered and all(family.boundary[axis] == "periodic" for axis in family.space):
            first = slice(0, resolutions.SAMPLES)
            own, its = (
                float(metrics.mean_defined(scores[who].error[first])) for who in ("rollout", "solver.rollout")
            )
            here = resolutions.Setting(split.u.shape[3], its, meters["solver"])
            settings = resolutions.settings(solver, split, frames, own, here, tick)

    if fno is not None:
        trained["fno.rollout"] = peer = fno
        peers.surrogate_rollout(peer, split, slice(0, 1), Window(frames.given, 1))
        meters["fno"] = Meter()
        run = _metered(lambda b: peers.surrogate_rollout(peer, split, b, frames), frames, meters["fno"])
        scores["fno.rollout"] = score(run, split, frames, conserved, tick=tick)
        scores["fno.one_step"] = score(
            lambda b: peers.surrogate_one_step(peer, split, b, frames), split, frames, [], tick=tick
        )

    truth = _truth_drift(split, frames, conserved) if conserved else None
    threshold = float(asked.get("threshold", THRESHOLD))
    flat = _flat(scores, fields, truth) | _horizons(scores, threshold, split, frames)
    flat |= _past_training(scores, frames, train.u.shape[1])
    flat |= judge_leads(model, split, frames, rollout.error)
    flat |= {f"solver.at{s.points}.rollout.nrmse": s.error for s in settings if s.points != split.u.shape[3]}
    if more := int(asked.get("beyond") or 0):
        energy, longer = beyond.largest_energy(train, family), Window(frames.given, frames.steps + more)
        for name, who in trained.items():
            lived = beyond.lifetimes(who, split, longer, energy, tick)
            flat |= _quantiles(f"{name}.beyond", lived)
            flat[f"{name}.beyond.bounded"] = float(np.mean(lived == longer.steps))
    return Judgement(
        metrics=finite_metrics(flat),
        columns=_columns(scores, threshold),
        error=np.where(np.isnan(rollout.per_sample), np.inf, rollout.per_sample),
        spectra=spectra.to_dict([frames.given + i for i in shown], split, fields) if spectra else {},
        predict=predict,
        over_time={
            "frame": list(range(frames.given, frames.given + frames.steps)),
            "t": split.coordinates["T"][frames.predicted].tolist(),
            **{name: _over_time(found.error) for name, found in scores.items()},
        },
        cost=_cost(meters, scores, own, settings, frames),
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
    bands = BandEnergy(split)
    for batch in split.batches():
        truth = split.u[batch, frames.predicted]  # (n, T, C, X[, Y])
        prediction = nearest(predict(batch), truth, split.periods)
        errors.append(metrics.nrmse(prediction, truth))
        largest.append(metrics.max_error(prediction, truth))
        drifts.append(metrics.mean_drift(prediction, split.u[batch, frames.start])[:, list(conserved)])
        bands.add(prediction, truth)
        if spectra is not None:
            spectra.add(prediction[:, list(shown)], truth[:, list(shown)])
        tick()
    return Score(np.concatenate(errors), np.concatenate(largest), np.concatenate(drifts), bands.relative())


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
            for band, energy in zip(metrics.BANDS, scores[name].bands, strict=False):
                flat[f"{name}.spectrum.{band}"] = float(energy)
    if len(fields) > 1:
        for i, field in enumerate(fields):
            flat[f"rollout.{field}.nrmse"] = float(metrics.mean_defined(rollout.error[..., i]))
    if truth_drift is not None:
        flat["truth.rollout.conservation_drift"] = float(metrics.mean_defined(truth_drift))
        for name in MOVING:
            if name in scores:
                flat[f"{name}.conservation_drift"] = float(metrics.mean_defined(scores[name].drift))
    return flat


def _horizons(scores: dict[str, Score], threshold: float, split: Split, frames: Window) -> dict[str, float]:
    """How long predictions stay useful: frames until a sample's error exceeds the threshold."""
    flat: dict[str, float] = {}
    for name in (*MOVING, "persistence.rollout"):
        if name in scores:
            flat |= _quantiles(f"{name}.horizon", scores[name].horizon(threshold))
    times = split.coordinates["T"]
    held = scores["rollout"].horizon(threshold)
    flat["rollout.horizon.held"] = float(np.mean(held == frames.steps))
    flat["rollout.horizon.time"] = float(
        times[frames.start + int(flat["rollout.horizon.median"])] - times[frames.start]
    )
    return flat


def _quantiles(name: str, values: np.ndarray) -> dict[str, float]:
    found = metrics.quantiles(values)
    return {f"{name}.median": float(found.median), f"{name}.p10": float(found.low)}


def _past_training(scores: dict[str, Score], frames: Window, trained: int) -> dict[str, float]:
    """The error on the frames that come later than any of training; nothing where there are none."""
    first = max(0, trained - frames.given)
    if first >= frames.steps:
        return {}
    return {
        f"{name}.past_training.nrmse": float(metrics.mean_defined(scores[name].error[:, first:]))
        for name in (*MOVING, "persistence.rollout")
        if name in scores
    }


def _cost(
    meters: Mapping[str, Meter],
    scores: Mapping[str, Score],
    own: float,
    settings: Sequence[resolutions.Setting],
    frames: Window,
) -> dict[str, Any]:
    """What predictions cost, and the errors that were had for it, where they are numbers."""
    cost: dict[str, Any] = {}
    for who, meter in meters.items():
        error = float(
            metrics.mean_defined(scores["rollout" if who == "surrogate" else f"{who}.rollout"].error)
        )
        cost[who] = {**meter.to_dict(), **finite_metrics({"error": error}), "steps": frames.steps}
    if settings and np.isfinite(own):
        found = [
            {
                "points": s.points,
                "frames": s.meter.frames,
                "cpu_seconds": s.meter.cpu_seconds,
                "error": s.error,
            }
            for s in settings
            if np.isfinite(s.error)
        ]
        cost["equal"] = {"error": own, "settings": found}
    return cost


def _columns(scores: dict[str, Score], threshold: float) -> dict[str, np.ndarray]:
    rollout = scores["rollout"]
    columns = {f"{name}.nrmse": found.per_sample for name, found in scores.items()}
    columns["rollout.max_error"] = rollout.largest
    if rollout.drift.shape[1]:
        columns["rollout.conservation_drift"] = rollout.drift.max(axis=1)
    columns["rollout.finite_frames"] = metrics.first_divergence(rollout.error)
    columns["rollout.horizon"] = rollout.horizon(threshold)
    return columns


def _over_time(error: np.ndarray) -> dict[str, list[float | None]]:
    """Error against time: the mean over samples and fields, and the spread over samples."""
    per_sample = metrics.mean_defined(error, axis=2)  # (N, T)
    return {"mean": plain(metrics.mean_defined(error, axis=(0, 2))), **spread(per_sample)}
